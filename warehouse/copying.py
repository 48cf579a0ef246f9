"""Whole copies of a lake: its backup, its restoration, its move to another kind of catalog.

A copy holds the catalog row by row and every data file that it names, so snapshots and history
come with it. Data files never change once they are written: they are copied while writers go on,
and only the catalog, with the files of the last moment, is copied under the writer lock. The
target has no catalog until all is there and its tables equal the source's, row for row.
"""

import os
import shutil
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from warehouse import catalog_rows, extensions
from warehouse.attach import attach, catalog_state
from warehouse.location import MOVED, LakeError, Location, explain
from warehouse.locking import writer_lock

_SCRATCH = "cicatrix_copying"  # where a catalog is made on a PostgreSQL server
_RETIRED = ("ducklake_metadata", "ducklake_snapshot")  # every reader and writer asks one of them
_FILES = """
select distinct s.path || t.path || f.path as path, f.file_size_bytes as n_bytes,
    f.path_is_relative::int + t.path_is_relative::int + s.path_is_relative::int = 3 as is_inside
from (
    select table_id, path, path_is_relative, file_size_bytes from source.ducklake_data_file
    union all
    select table_id, path, path_is_relative, file_size_bytes from source.ducklake_delete_file
) as f
inner join (
    select distinct table_id, schema_id, path, path_is_relative from source.ducklake_table
) as t on t.table_id = f.table_id
inner join source.ducklake_schema as s on s.schema_id = t.schema_id
"""
_PUBLISH = f"""
do $$ declare one record; begin
for one in select tablename from pg_tables where schemaname = 'public'
    and (tablename like 'ducklake\\_%' or tablename like '{MOVED}ducklake\\_%')
loop execute format('drop table public.%I', one.tablename); end loop;
for one in select tablename from pg_tables where schemaname = '{_SCRATCH}'
loop execute format('alter table {_SCRATCH}.%I set schema public', one.tablename); end loop;
drop schema {_SCRATCH};
end $$
"""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy holds."""

    n_tables: int
    n_rows: int
    n_snapshots: int
    n_files: int
    n_bytes: int  # of the files

    def __str__(self) -> str:
        return (
            f"{self.n_rows:,} rows in {self.n_tables} tables, {self.n_snapshots} snapshots, "
            f"{self.n_files} files of {self.n_bytes / 1e6:.2f} MB"
        )


def copy(source: Location, target: Location) -> Copied:
    """Copy a lake to where there is none; a copy that was killed is made by the same call again.

    Where `target.data` is the source's, its files stay where they are and belong to both.
    """
    source = with_data(source)
    with _making(source, target), _both(source, target) as connection:
        n_tables, n_rows = _copy(connection, source, target)
        _publish(connection, target)
        return _counted(connection, n_tables, n_rows)


def move(source: Location, target: Location) -> Copied:
    """Move a lake; its writers wait meanwhile, and are refused afterwards.

    The source is touched when the copy is whole, in one step: its catalog is retired, its files
    stay.
    """
    source = with_data(source)
    with _making(source, target, may_be_there=True), _both(source, target) as connection:
        _copy_files(connection, source, target)  # those that are there: writers need not wait
        with _locked(source):
            if catalog_state(target) == "lake":
                n_tables, n_rows = _finished(connection, source, target)
            else:
                n_tables, n_rows = _copy(connection, source, target, is_locked=True)
                _publish(connection, target)
            copied = _counted(connection, n_tables, n_rows)
            _retire(connection, source)
    return copied


def with_data(location: Location) -> Location:
    """The location with its data path, where only the catalog remembers it."""
    if location.data or catalog_state(location) != "lake":
        return location
    with _told(location, "read the catalog"), _plain(source=location) as connection:
        row = connection.execute(
            "select value from source.ducklake_metadata where key = 'data_path'"
        ).fetchone()
    return replace(location, data=str(row[0])) if row else location


def _copy(
    connection: duckdb.DuckDBPyConnection,
    source: Location,
    target: Location,
    *,
    is_locked: bool = False,
) -> tuple[int, int]:
    """Copy files and catalog, the latter to where nobody looks yet; tables and rows, compared."""
    scratch = _scratch(target)
    if is_locked:
        _copy_files(connection, source, target)
        _copy_rows(connection, target)
    else:
        _copy_files(connection, source, target)
        with _locked(source):
            _copy_files(connection, source, target)
            _copy_rows(connection, target)
    with _told(target, "compare the copy with the lake"):
        return _compared(connection, "scratch", source, scratch, _options(target))


@contextmanager
def _making(source: Location, target: Location, *, may_be_there: bool = False) -> Generator[None]:
    """Refuse what cannot be copied; one copy at a time into a target."""
    if source.catalog == target.catalog:
        raise LakeError(f"{source.name} is the lake itself: name another place")
    if catalog_state(source) != "lake":
        raise LakeError(f"{source.name} holds no lake: name one that does")
    if catalog_state(target) == "lake" and not may_be_there:
        raise LakeError(f"{target.name} holds a lake already: name a place without one")
    if source.data != target.data and (source.data_folder is None or target.data_folder is None):
        raise LakeError(
            f"the data are to go from '{source.data}' to '{target.data}': copy an object store "
            "with its own tools; what is copied here is folders"
        )
    with _told(target, "make the copy"):
        if not target.is_postgres:
            Path(target.catalog).parent.mkdir(parents=True, exist_ok=True)
    with _locked(target):
        if catalog_state(target) == "lake" and not may_be_there:
            raise LakeError(f"{target.name} holds a lake already: name a place without one")
        yield


@contextmanager
def _locked(location: Location) -> Generator[None]:
    lock = writer_lock(location)
    try:
        with lock:
            yield
    finally:
        lock.close()


@contextmanager
def _told(location: Location, doing: str) -> Generator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, duckdb.Error) as error:
        raise explain(location, error, doing) from error


@contextmanager
def _plain(**catalogs: Location) -> Generator[duckdb.DuckDBPyConnection]:
    """A connection to the catalogs as plain databases, by name."""
    connection = duckdb.connect(config=extensions.CONFIG)
    try:
        connection.execute("set timezone = 'UTC'")
        for name, location in catalogs.items():
            _attach_plain(connection, name, location)
        yield connection
    finally:
        connection.close()


def _attach_plain(connection: duckdb.DuckDBPyConnection, name: str, location: Location) -> None:
    kind = "postgres" if location.is_postgres else "sqlite"
    extensions.load(connection, f"{kind}_scanner")
    path = (location.libpq if location.is_postgres else location.catalog).replace("'", "''")
    # A catalog that is made lies in a schema of its own; what is read, in the one of all lakes.
    schema = _SCRATCH if name == "scratch" else "public"
    options = f", schema '{schema}'" if location.is_postgres else ""
    connection.execute(f"attach '{path}' as {name} (type {kind}{options})")


@contextmanager
def _both(source: Location, target: Location) -> Generator[duckdb.DuckDBPyConnection]:
    """A connection to the source's catalog, and to an empty one where nobody looks yet."""
    scratch = _scratch(target)
    with _told(target, "make the copy"):
        _drop_scratch(target)
        if (folder := target.data_folder) is not None:
            folder.mkdir(parents=True, exist_ok=True)
        maker = duckdb.connect(config=extensions.CONFIG)
        try:
            extensions.load(maker, "ducklake")
            extensions.load(maker, f"{'postgres' if target.is_postgres else 'sqlite'}_scanner")
            if target.is_postgres:
                _attach_plain(maker, "server", target)
                _on_server(maker, "server", f"create schema {_SCRATCH}")
            attach(maker, scratch, *_options(target))
        finally:
            maker.close()
    try:
        with _plain(source=source, scratch=scratch) as connection:
            yield connection
    finally:
        with suppress(OSError, duckdb.Error):  # a disk or server that went away: said already
            _drop_scratch(target)


def _scratch(target: Location) -> Location:
    """Where the target's catalog is made: beside it, or on its server."""
    return target if target.is_postgres else replace(target, catalog=f"{target.catalog}.copying")


def _options(target: Location) -> tuple[str, ...]:
    return (f"metadata_schema '{_SCRATCH}'",) if target.is_postgres else ()


def _drop_scratch(target: Location) -> None:
    if target.is_postgres:
        with _plain(server=target) as connection:
            _on_server(connection, "server", f"drop schema if exists {_SCRATCH} cascade")
        return
    for end in ("", "-wal", "-shm", "-journal"):
        Path(_scratch(target).catalog + end).unlink(missing_ok=True)


def _on_server(connection: duckdb.DuckDBPyConnection, name: str, sql: str) -> None:
    connection.execute("call postgres_execute(?, ?)", [name, sql])


def _copy_files(connection: duckdb.DuckDBPyConnection, source: Location, target: Location) -> None:
    """Copy the files that the catalog names and the target lacks."""
    if source.data == target.data:
        return
    here, there = source.data_folder, target.data_folder
    assert here is not None and there is not None  # _making refuses others
    with _told(target, "copy the data files"):
        files = connection.execute(_FILES).fetchall()
        missing: dict[str, int] = {}
        for path, n_bytes, is_inside in files:
            if not is_inside or not (there / path).resolve().is_relative_to(there.resolve()):
                raise LakeError(
                    f"the data file '{path}' lies outside the data path '{source.data}': "
                    "such a lake cannot be copied"
                )
            if not _has(there / path, n_bytes):
                missing[path] = n_bytes
        needed, free = sum(missing.values()), shutil.disk_usage(there).free
        if needed > free:
            raise LakeError(
                f"the copy needs {needed / 1e9:.3g} GB but the disk of '{there}' has "
                f"{free / 1e9:.3g} GB free: name a larger one"
            )
        for path, n_bytes in missing.items():
            if not _has(here / path, n_bytes):
                raise LakeError(
                    f"the data file '{here / path}' is missing or not of its {n_bytes} bytes: "
                    "the lake is damaged; restore a backup of it"
                )
            (there / path).parent.mkdir(parents=True, exist_ok=True)
            part = there / f"{path}.part"
            shutil.copyfile(here / path, part)
            os.replace(part, there / path)


def _has(file: Path, n_bytes: int) -> bool:
    with suppress(FileNotFoundError):
        return file.stat().st_size == n_bytes
    return False


def _compared(
    connection: duckdb.DuckDBPyConnection,
    catalog: str,
    source: Location,
    copied: Location,
    options: tuple[str, ...] = (),
) -> tuple[int, int]:
    """Number of tables with rows, and of rows, at the newest snapshot of `catalog`.

    LakeError where a table of the copy differs from the source's.
    """
    (version,) = connection.execute(
        f"select max(snapshot_id) from {catalog}.ducklake_snapshot"
    ).fetchone() or (0,)
    filled = connection.execute(
        f"select table_name from {catalog}.ducklake_table "
        f"inner join {catalog}.ducklake_table_stats using (table_id) "
        "where end_snapshot is null order by table_name"
    ).fetchall()  # DuckLake takes 25 ms to say that a table is empty
    tables = [str(row[0]) for row in filled]
    wanted = _sums(source, (), version, tables)
    found = _sums(copied, options, version, tables)
    for table in tables:
        if wanted[table] != found[table]:
            raise LakeError(
                f"the copy's table '{table}' is not that of {source.name}: nothing was changed; "
                "please report it"
            )
    return sum(n > 0 for n, _ in found.values()), sum(n for n, _ in found.values())


def _sums(
    location: Location, options: tuple[str, ...], version: int, tables: Sequence[str]
) -> dict[str, tuple[int, int | None]]:
    """Rows and the sum of their hashes by table, at a snapshot."""
    connection = duckdb.connect(config=extensions.CONFIG)
    try:
        connection.execute("set timezone = 'UTC'")
        extensions.load(connection, "ducklake")
        extensions.load(connection, f"{'postgres' if location.is_postgres else 'sqlite'}_scanner")
        at = f"snapshot_version {version}"
        attach(connection, location, "read_only", "create_if_not_exists false", at, *options)
        connection.execute("begin")  # the catalog is read once, not once a table
        found: dict[str, tuple[int, int | None]] = {}
        for table in tables:
            row = connection.execute(
                f'select count(*), sum(hash(t)) from lake."{table}" as t'
            ).fetchone()
            assert row is not None  # an aggregate has a row
            found[table] = (row[0], row[1])
        return found
    finally:
        connection.close()


def _copy_rows(connection: duckdb.DuckDBPyConnection, target: Location) -> None:
    with _told(target, "copy the catalog"):
        catalog_rows.copy(connection, target)


def _publish(connection: duckdb.DuckDBPyConnection, target: Location) -> None:
    """Make the copy the target's catalog, in one step."""
    scratch = _scratch(target)
    with _told(target, "finish the copy"):
        if hasattr(os, "sync"):
            os.sync()  # files before the catalog that names them
        if target.is_postgres:
            _on_server(connection, "scratch", _PUBLISH)
            return
        connection.execute("detach scratch")
        _write_log_back(scratch)
        if Path(target.catalog).exists():
            _write_log_back(target)
        if Path(target.catalog + "-wal").exists():
            # SQLite would take the log of the catalog that was here for the new one's.
            raise LakeError(
                f"a process still has {target.name} open, which was moved away: end it, and "
                "run the command again"
            )
        os.replace(scratch.catalog, target.catalog)
        target.forget()


def _write_log_back(scratch: Location) -> None:
    """Bring what SQLite's write-ahead log holds into its file; the last to close ends the log."""
    catalog = sqlite3.connect(scratch.catalog)
    try:
        is_busy, *_ = catalog.execute("pragma wal_checkpoint(truncate)").fetchone()
    finally:
        catalog.close()
    if is_busy:
        raise LakeError(f"'{scratch.catalog}' is open in another process: run it again")


def _finished(
    connection: duckdb.DuckDBPyConnection, source: Location, target: Location
) -> tuple[int, int]:
    """Tables and rows of a target whose move was killed when only the source was left to retire."""
    try:
        return _compared(connection, "source", source, target)
    except (LakeError, duckdb.Error) as error:
        raise LakeError(
            f"{target.name} holds another lake already: name a place without one"
        ) from error


def _counted(connection: duckdb.DuckDBPyConnection, n_tables: int, n_rows: int) -> Copied:
    (n_snapshots,) = connection.execute(
        "select count(*) from source.ducklake_snapshot"
    ).fetchone() or (0,)
    n_files, n_bytes = connection.execute(
        f"select count(*), coalesce(sum(n_bytes), 0)::bigint from ({_FILES})"
    ).fetchone() or (0, 0)
    return Copied(n_tables, n_rows, n_snapshots, n_files, n_bytes)


def _retire(connection: duckdb.DuckDBPyConnection, source: Location) -> None:
    """Take from the source's catalog what all who open or write the lake ask for."""
    with _told(source, "retire the catalog"):
        connection.execute("begin")
        for table in _RETIRED:
            connection.execute(f"alter table source.{table} rename to {MOVED}{table}")
        connection.execute("commit")
        connection.execute("detach source")
    source.forget()
