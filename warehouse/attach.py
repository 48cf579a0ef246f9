"""The one place that attaches a lake: for reading or writing, made and migrated as needed."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from warehouse import extensions
from warehouse.location import MOVED, CatalogState, LakeError, Location, explain
from warehouse.locking import WriterLock, writer_lock
from warehouse.relations import define_as_of, define_empty_lake, relations

INLINED_ROWS = 100  # appends up to this size live in the catalog until `compact`
BUSY_TIMEOUT_MS = 10_000


def schema_version() -> int:
    """The version of the lake that this code writes: the number of its last migration."""
    return max(int(name[:4]) for name in relations("migrations"))


def connect(
    location: Location, *, read_only: bool, as_of: datetime | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection that uses the lake, in UTC; staging and marts are for `Views` to define.

    A lake that nobody configured and that is not there yet is made when opened for writing,
    and reads as empty. With `as_of` a reader sees what was known at that instant.
    """
    connection = _connection(location)
    try:
        if read_only:
            _attach_for_reading(connection, location, as_of)
        else:
            _attach_for_writing(connection, location, may_create=not location.is_configured)
    except BaseException:
        connection.close()
        raise
    return connection


def create(location: Location) -> int:
    """Make the lake, also where it was configured; one that is there is only migrated.

    The version that was found, 0 if there was none.
    """
    connection = _connection(location)
    try:
        return _attach_for_writing(connection, location, may_create=True)
    finally:
        connection.close()


def _connection(location: Location) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config=extensions.CONFIG)
    try:
        catalog = "postgres_scanner" if location.is_postgres else "sqlite_scanner"
        extensions.load(connection, "ducklake", catalog)
        connection.execute("set timezone = 'UTC'")
    except duckdb.Error as error:
        connection.close()
        raise explain(location, error, "load DuckDB's extensions") from error
    return connection


def _attach_for_reading(
    connection: duckdb.DuckDBPyConnection, location: Location, as_of: datetime | None
) -> None:
    if not _is_there(location):
        if location.is_configured:
            raise _missing(location)
        _refuse_orphaned_data(location)
        define_empty_lake(connection)
        return
    attach(connection, location, "read_only", "create_if_not_exists false")
    version = _version(connection, location)
    if version == 0:  # another process is making it at this moment
        connection.execute("use memory; detach lake")
        define_empty_lake(connection)
        return
    if version < schema_version():
        raise LakeError(
            f"the lake {location.name} is of version {version} and this code reads version "
            f"{schema_version()}; run `cicatrix init` once to migrate it"
        )
    if as_of is not None:
        define_as_of(connection, as_of)


def _attach_for_writing(
    connection: duckdb.DuckDBPyConnection, location: Location, *, may_create: bool
) -> int:
    if _is_there(location):
        attach(connection, location, "create_if_not_exists false")
    elif may_create:
        _make(connection, location)
    else:
        raise _missing(location)
    version = _version(connection, location)
    if version < schema_version():
        _migrate(connection, location)
    return version


def _is_there(location: Location) -> bool:
    """Whether there is something to attach; a catalog that was moved away is refused."""
    state = catalog_state(location)
    if state == "foreign":
        raise LakeError(
            f"{location.name} is a file but no DuckLake catalog; move it away, or point "
            "CICATRIX_CATALOG at the right one"
        )
    if state == "moved":
        raise LakeError(
            f"the lake was moved away from {location.name}; set CICATRIX_CATALOG and "
            "CICATRIX_DATA to where it is now"
        )
    return state == "lake"


def catalog_state(location: Location) -> CatalogState:
    """What lies where the catalog should be, on a server as well."""
    return _state_on_server(location) if location.is_postgres else location.catalog_state()


def _state_on_server(location: Location) -> CatalogState:
    """Ask the server itself, since attaching would make the lake or fail without saying why."""
    connection = duckdb.connect(config=extensions.CONFIG)
    try:
        extensions.load(connection, "postgres_scanner")
        dsn = location.libpq.replace("'", "''")
        connection.execute(f"attach '{dsn}' as catalog (type postgres, read_only)")
        found = connection.execute(
            "from postgres_query('catalog', 'select table_name from information_schema.tables "
            "where table_schema = ''public'' and table_name like ''%ducklake_metadata''')"
        ).fetchall()
    except duckdb.Error as error:
        raise explain(location, error, "reach the catalog's server") from error
    finally:
        connection.close()
    names = {str(row[0]) for row in found}
    if "ducklake_metadata" in names:
        return "lake"
    return "moved" if f"{MOVED}ducklake_metadata" in names else "absent"


def _missing(location: Location) -> LakeError:
    return LakeError(
        f"CICATRIX_CATALOG names {location.name}, where there is no lake; correct it, or make a "
        "new lake there with `cicatrix init`"
    )


def _refuse_orphaned_data(location: Location) -> None:
    folder = location.data_folder
    if folder is None or not folder.is_dir():
        return
    if any(folder.rglob("*.parquet")):
        raise LakeError(
            f"'{folder}' holds data but its catalog {location.name} is missing; restore the "
            "catalog, or move the data away to start a new lake"
        )


def _make(connection: duckdb.DuckDBPyConnection, location: Location) -> None:
    """Make catalog and data folder.

    Of several processes at once, one makes and the others attach.
    """
    if not location.data:
        raise LakeError(
            "CICATRIX_DATA is not set: say which folder or object-store prefix shall hold the data "
            "of a new lake"
        )
    try:
        if not location.is_postgres:
            Path(location.catalog).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(location, error, "make the lake") from error
    lock = writer_lock(location)
    try:
        with lock:
            if _is_there(location):
                attach(connection, location, "create_if_not_exists false")
                return
            _refuse_orphaned_data(location)
            _make_data_folder(location)
            attach(connection, location)
    finally:
        lock.close()


def _make_data_folder(location: Location) -> None:
    try:
        if (folder := location.data_folder) is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(location, error, "make the lake") from error


def attach(connection: duckdb.DuckDBPyConnection, location: Location, *options: str) -> None:
    """Attach as `lake` and use it, with options of DuckLake; its catalog is made if need be."""
    folder = location.data_folder
    if folder is not None and not folder.is_dir():
        raise LakeError(
            f"the data folder '{folder}' of the lake {location.name} is missing; restore it, "
            "or set CICATRIX_DATA to where it is"
        )
    settings = [*options, f"data_inlining_row_limit {INLINED_ROWS}"]
    if location.data:  # data files are stored relative to it, so a lake may move
        data = location.data if "://" in location.data else location.data.rstrip("/") + "/"
        settings += [f"data_path '{_quoted(data)}'", "override_data_path true"]
    if location.is_postgres:
        uri = f"ducklake:postgres:{location.libpq}"
    else:
        uri = f"ducklake:sqlite:{location.catalog}"
        settings += ["meta_journal_mode 'WAL'", f"meta_busy_timeout {BUSY_TIMEOUT_MS}"]
    try:
        connection.execute(f"attach '{_quoted(uri)}' as lake ({', '.join(settings)})")
        connection.execute("use lake")
    except duckdb.Error as error:
        raise explain(location, error, "open the lake") from error


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _version(connection: duckdb.DuckDBPyConnection, location: Location) -> int:
    """The version the lake is of; 0 before its first migration.

    A newer one than ours is refused.
    """
    try:
        row = connection.execute("select max(version) from lake.schema_version").fetchone()
    except duckdb.CatalogException:
        return 0
    except duckdb.Error as error:
        raise explain(location, error, "open the lake") from error
    version = int(row[0]) if row and row[0] is not None else 0
    if version > schema_version():
        raise LakeError(
            f"the lake {location.name} is of version {version}, written by a newer cicatrix; this "
            f"one knows versions up to {schema_version()}: upgrade it"
        )
    return version


def _migrate(connection: duckdb.DuckDBPyConnection, location: Location) -> None:
    """Apply what is missing in one transaction: a lake is never left between two versions."""
    lock: WriterLock = writer_lock(location)
    try:
        with lock:
            done = _version(connection, location)
            missing = {
                int(name[:4]): migration.sql
                for name, migration in relations("migrations").items()
                if int(name[:4]) > done
            }
            _apply(connection, missing)
    except duckdb.Error as error:
        raise explain(location, error, "migrate the lake") from error
    finally:
        lock.close()


def _apply(connection: duckdb.DuckDBPyConnection, migrations: Mapping[int, str]) -> None:
    try:
        connection.execute("begin")
        for version, sql in migrations.items():
            connection.execute(sql)
            row = [version, datetime.now(UTC)]
            connection.execute("insert into schema_version values (?, ?)", row)
        connection.execute("commit")
    except BaseException:
        with suppress(duckdb.Error):
            connection.execute("rollback")
        raise
