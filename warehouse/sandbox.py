"""`python -m warehouse.sandbox`: the process that reads one typed statement and answers it.

It fences itself in before it loads anything, opens the lake, and waits for the statement, so that
one can be kept ready. In: two lines of JSON, `Setting` and `Statement`. Out: a line of JSON, then
the rows as an Arrow stream. `workbench` starts it, and ends it when its time is over.
"""

import dataclasses
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from warehouse import fences
from warehouse.location import LakeError, Location

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# What the interpreter and its shared libraries need, beside the folders that Python imports from.
_SYSTEM_PATHS = (
    *("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache"),
    *("/dev/null", "/dev/urandom", "/etc/localtime", "/usr/share/zoneinfo"),
    # DuckDB counts processors and memory when it starts.
    *("/proc/self/cgroup", "/proc/self/statm", "/proc/stat", "/proc/meminfo", "/proc/cpuinfo"),
    *("/proc/sys/vm/overcommit_memory", "/sys/devices/system/cpu", "/sys/fs/cgroup"),
)
# What libpq needs to find a server by name and to log in.
_POSTGRES_PATHS = (
    *("/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"),
    *("/etc/services", "/etc/passwd", "/etc/ssl", "/etc/pki", "/etc/krb5.conf"),
    *("/run/systemd/resolve", "~/.pgpass", "~/.pg_service.conf", "~/.postgresql"),
)
_POSTGRES_FILES = ("PGPASSFILE", "PGSERVICEFILE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY")
POSTGRES_PORT = 5432
# Types that Arrow, polars or a CSV file does not carry; their values are given as text.
_AS_TEXT = re.compile(
    r"\b(INTERVAL|UNION|VARIANT|BIGNUM|BIT|BLOB|GEOMETRY|MAP|STRUCT|TIME WITH TIME ZONE)\b"
)
_PLAN_WIDTH = 160  # characters
TOO_MUCH_MEMORY = "the workbench: the statement needs more memory than it may have; ask for less"
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # of the years 1 and 9999, from 1970-01-01


@dataclass(frozen=True, slots=True)
class Setting:
    """Which lake, and how much memory."""

    catalog: str
    data: str
    is_configured: bool
    memory_bytes: int

    @property
    def location(self) -> Location:
        """The lake."""
        return Location(self.catalog, self.data, self.is_configured)


@dataclass(frozen=True, slots=True)
class Statement:
    """A typed text, whether its plan alone is wanted, and how much of an answer may be given."""

    sql: str
    is_plan: bool
    rows: int
    result_bytes: int
    cpu_s: float


def main() -> int:
    """Say that the lake is open, then answer one statement; nothing when none comes."""
    answers = sys.stdout.buffer
    setting = Setting(**json.loads(sys.stdin.buffer.readline()))
    missing = fence_in(setting.location)
    try:
        connection = open_lake(setting, missing)
        fences.bound_memory(2 * setting.memory_bytes)
        _say(answers, missing=missing)
        line = sys.stdin.buffer.readline()
        if not line:
            return 0
        asked = Statement(**json.loads(line))
        fences.bound_cpu(asked.cpu_s)
        fences.give_way()
        _answer(connection, asked, answers)
    except LakeError as error:
        _say(answers, error=without_secrets(str(error), setting.location))
    except MemoryError:
        _say(answers, error=TOO_MUCH_MEMORY)
    return 0


def readable_paths(location: Location, env: Mapping[str, str] = os.environ) -> list[Path]:
    """What the process may read: the lake, and what Python and DuckDB are made of."""
    paths = [*_SYSTEM_PATHS, *filter(None, sys.path), sys.prefix, sys.base_prefix]
    paths += filter(None, env.get("LD_LIBRARY_PATH", "").split(os.pathsep))
    if location.is_postgres:
        paths += [*_POSTGRES_PATHS, *(env[name] for name in _POSTGRES_FILES if env.get(name))]
        paths += re.findall(r"\b(?:passfile|sslcert|sslkey|sslrootcert)=([^\s&']+)", location.libpq)
    else:
        paths += [location.catalog + end for end in ("", "-wal", "-shm")]
    catalog = "postgres_scanner" if location.is_postgres else "sqlite_scanner"
    wheels = (f"duckdb_extension_{name}" for name in ("ducklake", catalog))
    if not all(map(importlib.util.find_spec, wheels)):
        paths.append("~/.duckdb/extensions")
    found = [Path(path).expanduser() for path in paths]
    return [*found, location.data_folder] if location.data_folder else found


def catalog_ports(location: Location, env: Mapping[str, str] = os.environ) -> list[int] | None:
    """TCP ports of the catalog's server, none for a file; None where only libpq knows them."""
    if not location.is_postgres:
        return []
    if location.libpq.startswith("postgresql:"):
        servers = urlsplit(location.libpq).netloc.rpartition("@")[2]
        named = re.findall(r":(\d+)(?:,|$)", servers)
        n_servers = servers.count(",") + 1
        query = urlsplit(location.libpq).query
    else:
        named = [
            port
            for group in re.findall(r"\bport\s*=\s*'?([\d,]+)", location.libpq)
            for port in group.split(",")
            if port
        ]
        n_servers = len(named) or 1
        query = location.libpq
    if "service" in query or env.get("PGSERVICE"):
        return None
    ports = {int(port) for port in named}
    if len(named) < n_servers:
        ports.add(int(env.get("PGPORT") or POSTGRES_PORT))
    return sorted(ports)


def fence_in(location: Location) -> list[str]:
    """No file grows, no file but the lake's is read, before anything else is loaded."""
    missing = fences.read_only(readable_paths(location), catalog_ports(location))
    if fences.NO_LANDLOCK not in missing:
        missing += fences.no_file_grows()
    return missing


def open_lake(setting: Setting, missing: list[str]) -> "duckdb.DuckDBPyConnection":
    """A connection that reads the lake, reaches no other file and cannot be configured."""
    import duckdb

    from warehouse import attach
    from warehouse.location import explain
    from warehouse.relations import Views

    location = setting.location
    connection = attach.connect(location, read_only=True)
    try:
        Views(connection).define_all()
        row = connection.execute(
            "select value from ducklake_options('lake') where option_name = 'data_path'"
        ).fetchone()
        folders = [location.data or str(row[0])] if row else []
    except duckdb.Error:
        folders = []  # an absent lake reads as an empty one in memory, and has no data
    allowed = ", ".join("'" + folder.replace("'", "''") + "'" for folder in folders)
    try:
        connection.execute(f"set memory_limit = '{setting.memory_bytes // 2**20}MiB'")
        connection.execute("set temp_directory = ''")
        connection.execute(f"set allowed_directories = [{allowed}]")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        _warm_up(connection)
        if fences.NO_LANDLOCK in missing:
            # SQLite then opens its shared memory for writing, and would make it grow when it is
            # the first to open it: another connection of this process has it open already.
            keeper = connection.cursor()
            keeper.execute("begin; select count(*) from lake.model").fetchall()
            missing += fences.no_file_grows()
            _kept_open.append(keeper)
    except duckdb.Error as error:
        raise explain(location, error, "lock the workbench down") from error
    return connection


_kept_open: "list[duckdb.DuckDBPyConnection]" = []


def _warm_up(connection: "duckdb.DuckDBPyConnection") -> None:
    """Load what answering loads, so that a process that stands by answers at once."""
    import pyarrow as pa

    from warehouse import statement

    statement.relation_names()
    rows = connection.execute("select * from query(?) limit ?", ["from run", 1]).to_arrow_table()
    with pa.ipc.new_stream(pa.BufferOutputStream(), rows.schema) as stream:
        stream.write_table(rows)
    for column in rows.columns:
        _is_beyond_calendar(column)


def _answer(connection: "duckdb.DuckDBPyConnection", asked: Statement, out: BinaryIO) -> None:
    import duckdb
    import pyarrow as pa

    from warehouse import statement

    try:
        statement.check(asked.sql, connection)
        found = _plan(connection, asked) if asked.is_plan else _rows(connection, asked)
    except duckdb.OutOfMemoryException as error:
        raise LakeError(TOO_MUCH_MEMORY) from error
    except duckdb.Error as error:
        raise statement.refused(statement.one_line(error)) from error
    if found.nbytes > asked.result_bytes:
        raise statement.refused(
            f"the answer takes {found.nbytes / 1e6:,.0f} MB and may take "
            f"{asked.result_bytes / 1e6:,.0f} MB; ask for fewer rows or columns"
        )
    _say(out, is_cut=found.num_rows > asked.rows)
    shown = found.slice(0, asked.rows)
    with pa.ipc.new_stream(out, shown.schema) as stream:
        stream.write_table(shown)
    out.flush()


# The text is a value of ours and never a part of our text: it cannot end what it stands in.
_BOUND = "from query($1) limit $2"


def _plan(connection: "duckdb.DuckDBPyConnection", asked: Statement) -> "pa.Table":
    """A line a step, those it takes its rows from below it and further in; nothing is run."""
    import pyarrow as pa

    sql = f"explain (format json) select * {_BOUND}"
    found = connection.execute(sql, [asked.sql, asked.rows]).fetchone()
    steps = json.loads(found[1]) if found else []
    lines = [line for step in steps for line in _plan_lines(step, 0)]
    return pa.table({"plan": lines[: asked.rows]})


def _plan_lines(step: dict[str, Any], depth: int) -> Iterator[str]:
    facts = dict(step.get("extra_info", {}))
    rows = facts.pop("Estimated Cardinality", None)
    said = [
        f"{name} {', '.join(value) if isinstance(value, list) else value}".replace("\n", ", ")
        for name, value in facts.items()
    ]
    estimate = f" (~{int(rows):,} rows)" if rows else ""
    line = f"{'  ' * depth}{str(step.get('name', '')).strip()}{estimate}: {'; '.join(said)}"
    yield line.removesuffix(": ") if len(line) <= _PLAN_WIDTH else line[: _PLAN_WIDTH - 3] + "..."
    for child in step.get("children", []):
        yield from _plan_lines(child, depth + 1)


def _rows(connection: "duckdb.DuckDBPyConnection", asked: Statement) -> "pa.Table":
    """The rows, and one more when there are more; as text what is not carried otherwise."""
    values = [asked.sql, asked.rows + 1]
    result = connection.execute(f"select * {_BOUND}", values)
    types = {str(name): str(kind) for name, kind, *_ in result.description or []}
    as_text = {name for name, kind in types.items() if _AS_TEXT.search(kind)}
    found = _chosen(connection, values, types, as_text) if as_text else result.to_arrow_table()
    beyond = {name for name in types if _is_beyond_calendar(found[name])}
    return _chosen(connection, values, types, as_text | beyond) if beyond else found


def _chosen(
    connection: "duckdb.DuckDBPyConnection",
    values: Sequence[object],
    names: Iterable[str],
    as_text: set[str],
) -> "pa.Table":
    """The rows, some columns as text; chosen by place, since a name is a typed text, too."""
    names = list(names)
    columns = ", ".join(
        f"#{place}::varchar" if name in as_text else f"#{place}"
        for place, name in enumerate(names, start=1)
    )
    found = connection.execute(f"select {columns} {_BOUND}", list(values)).to_arrow_table()
    return found.rename_columns(names)


def _is_beyond_calendar(values: "pa.ChunkedArray") -> bool:
    """Whether a column holds instants before the year 1 or after 9999, infinity among them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date32(values.type):
        a_day = 1
    elif pa.types.is_timestamp(values.type):
        a_day = 86_400 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[values.type.unit]
    else:
        return False
    kind = pa.int32() if pa.types.is_date32(values.type) else pa.int64()
    ends = pc.call_function("min_max", [values.cast(kind)]).as_py()
    if ends["min"] is None:
        return False
    return not _FIRST_DAY * a_day <= ends["min"] <= ends["max"] <= _LAST_DAY * a_day


def _say(out: BinaryIO, **said: object) -> None:
    out.write(json.dumps(said).encode() + b"\n")
    out.flush()


def without_secrets(text: str, location: Location) -> str:
    """The message without what a connection string may hold."""
    if not location.is_postgres:
        return text
    secrets = [location.libpq, *re.findall(r"password\s*=\s*('[^']*'|[^\s&]+)", location.libpq)]
    if location.libpq.startswith("postgresql:"):
        secrets.append(urlsplit(location.libpq).password or "")
    for secret in secrets:
        if secret.strip("'"):
            text = text.replace(secret, "...").replace(secret.strip("'"), "...")
    return text


def as_line(value: Setting | Statement) -> bytes:
    """One line of what `main` reads."""
    return json.dumps(dataclasses.asdict(value)).encode() + b"\n"


if __name__ == "__main__":
    sys.exit(main())
