"""Rows of a DuckLake catalog, copied into a catalog on the same or another kind of database.

The tables of both kinds are the same, their columns' types are not: SQLite knows no booleans, and
PostgreSQL no text with a NUL in it.
"""

from collections.abc import Mapping

import duckdb

from warehouse.location import LakeError, Location

# How DuckLake keeps an inlined column in a PostgreSQL catalog; what is not named is a VARCHAR.
_POSTGRES_TYPES = {"varchar": "BLOB", "boolean": "BOOLEAN", "int32": "INTEGER", "int64": "BIGINT",
                   "float64": "DOUBLE"}  # fmt: skip
_COLUMNS = """
select i.table_name, c.column_name, c.column_type
from source.ducklake_inlined_data_tables as i
inner join source.ducklake_schema_versions as v
    on v.table_id = i.table_id and v.schema_version = i.schema_version
inner join source.ducklake_column as c
    on c.table_id = i.table_id and c.parent_column is null
    and c.begin_snapshot <= v.begin_snapshot
    and (c.end_snapshot is null or c.end_snapshot > v.begin_snapshot)
"""


def copy(connection: duckdb.DuckDBPyConnection, target: Location) -> None:
    """Copy every row from the database `source` to `scratch` in one transaction.

    `scratch` is an empty catalog of the target's kind; the data path becomes the target's. The
    caller holds the source's writer lock.
    """
    kept: dict[tuple[str, str], str] = {
        (table, column): kind for table, column, kind in connection.execute(_COLUMNS).fetchall()
    }
    here, there = _columns(connection, "source"), _columns(connection, "scratch")
    connection.execute("begin")
    for table, columns in here.items():
        if (wanted := there.get(table)) is None:
            if not table.startswith("ducklake_inlined_"):
                raise LakeError(f"the catalog holds a table '{table}' that is not known here")
            wanted = {name: _type_in(target, kept.get((table, name), "int64")) for name in columns}
            defined = ", ".join(f'"{name}" {kind}' for name, kind in wanted.items())
            connection.execute(f'create table scratch."{table}" ({defined})')
        else:
            connection.execute(f'delete from scratch."{table}"')
        names = ", ".join(f'"{name}"' for name in columns)
        values = ", ".join(_cast(name, columns[name], wanted[name]) for name in columns)
        connection.execute(
            f'insert into scratch."{table}" ({names}) select {values} from source."{table}"'
        )
    connection.execute(
        "update scratch.ducklake_metadata set value = ? where key = 'data_path'",
        [target.data if "://" in target.data else target.data.rstrip("/") + "/"],
    )
    connection.execute("commit")


def _columns(connection: duckdb.DuckDBPyConnection, name: str) -> Mapping[str, dict[str, str]]:
    """Types of the catalog's own tables by table and column."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(
        "select table_name, column_name, data_type from duckdb_columns() "
        "where database_name = ? and table_name like 'ducklake\\_%' escape '\\' "
        "order by table_name, column_index",
        [name],
    ).fetchall():
        found.setdefault(table, {})[column] = kind
    return found


def _type_in(target: Location, kind: str) -> str:
    """How DuckLake keeps an inlined column of its type `kind` in the target's catalog."""
    if target.is_postgres:
        return _POSTGRES_TYPES.get(kind, "VARCHAR")
    return "BIGINT" if kind in ("boolean", "int32", "int64") else "VARCHAR"


def _cast(name: str, given: str, wanted: str) -> str:
    if given == wanted:
        return f'"{name}"'
    if (given, wanted) == ("VARCHAR", "BLOB"):  # a text, which in PostgreSQL may not hold a NUL
        return f'encode("{name}")'
    if (given, wanted) == ("BLOB", "VARCHAR"):
        return f'decode("{name}")'
    return f'"{name}"::{wanted}'
