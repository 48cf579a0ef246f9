"""SQL that a person typed: one `select` that reads tables and marts, and nothing else.

Ad-hoc SQL is code, and a read-only attachment is no sandbox: extensions open files on their own,
maintenance functions write, and PRAGMA passes for a `select`. So there are two fences. The parsed
statement may name only relations of the lake and functions of a short list; and the connection
that runs it is read-only, reaches no files but the lake's data, and cannot be configured any
more.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import cast

import duckdb
import polars as pl

from warehouse import extensions
from warehouse.attach import connect
from warehouse.location import LakeError, Location, explain
from warehouse.relations import views
from warehouse.tables import TABLES

TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "repeat"})
# Scalar functions that change something, wait, or tell about the machine.
REFUSED_FUNCTIONS = frozenset(
    {"write_log", "nextval", "currval", "setseed", "sleep_ms", "pg_sleep", "getenv"}
    | {"getvariable", "current_setting", "current_query", "query", "query_table"}
)
TIMEOUT_S = 300.0
QUALIFIERS = frozenset({"", "lake", "main", "temp"})
SCHEMA_VIEWS = frozenset({("information_schema", "tables"), ("information_schema", "columns")})
Node = dict[str, object]


def query(
    sql: str,
    location: Location | None = None,
    params: Sequence[object] | None = None,
    *,
    timeout_s: float | None = TIMEOUT_S,
) -> pl.DataFrame:
    """Run one `select` over the lake's tables and marts; anything else is a LakeError."""
    check(sql)
    location = location or Location.from_env()
    connection = connect(location, read_only=True)
    try:
        _lock_down(connection, location)
        return _run(connection, sql, list(params or []), timeout_s)
    finally:
        connection.close()


def relation_names() -> frozenset[str]:
    """Every table and view that may be asked."""
    return frozenset(TABLES) | {view.name for view in views()}


def check(sql: str) -> None:
    """Refuse what is not one plain `select` over the lake; reads and runs nothing."""
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise _refused(_one_line(error)) from error
    if len(statements) != 1:
        raise _refused(
            f"got {len(statements)} statements and runs exactly one; send them one by one"
        )
    if statements[0].type != duckdb.StatementType.SELECT:
        raise _refused(
            f"got a statement of type {statements[0].type.name} and runs only select; copy results "
            "out with --format instead"
        )
    try:
        tree = _tree(sql)
        allowed = relation_names() | _cte_names(tree)
        for node in _nodes(tree):
            _check_node(node, allowed)
    except RecursionError as error:
        raise _refused("got an expression nested too deeply; break it up") from error


def _tree(sql: str) -> Node:
    """The parsed statement; PRAGMA, which counts as a select, cannot be parsed this way."""
    connection = duckdb.connect(config=extensions.CONFIG)
    try:
        row = connection.execute("select json_serialize_sql(?::varchar)", [sql]).fetchone()
    except duckdb.Error as error:
        raise _refused(_one_line(error)) from error
    finally:
        connection.close()
    tree = cast(Node, json.loads(row[0] if row else '{"error": true}'))
    if tree.get("error"):
        raise _refused("got a statement that is no plain select; PRAGMA and the like are not run")
    return tree


def _nodes(value: object) -> Iterator[Node]:
    if isinstance(value, dict):
        node = cast(Node, value)
        yield node
        value = list(node.values())
    if isinstance(value, list):
        for item in cast(list[object], value):
            yield from _nodes(item)


def _cte_names(tree: Node) -> set[str]:
    names: set[str] = set()
    for node in _nodes(tree):
        if isinstance(ctes := node.get("cte_map"), dict):
            entries = cast(list[Node], cast(Node, ctes).get("map", []))
            names |= {str(entry["key"]).lower() for entry in entries}
        if "cte_name" in node:
            names.add(str(node["cte_name"]).lower())
    # A name holds in its own scope only; elsewhere it would open the built-in view of that name.
    if hidden := names & _builtin_views():
        raise _refused(f"a CTE may not be called '{min(hidden)}', as a view of DuckDB's is")
    return {name for name in names if name.isidentifier()}  # no file's path passes for one


@cache
def _builtin_views() -> frozenset[str]:
    connection = duckdb.connect(config=extensions.CONFIG)
    try:
        rows = connection.execute("select lower(view_name) from duckdb_views() where internal")
        return frozenset(row[0] for row in rows.fetchall())
    finally:
        connection.close()


def _check_node(node: Node, allowed: frozenset[str]) -> None:
    kind = node.get("type")
    if kind == "BASE_TABLE":
        _check_relation(node, allowed)
    elif kind == "SHOW_REF" and node.get("query") is None:
        if node.get("table_name") not in ('"tables"', "__show_tables_expanded"):
            raise _refused("shows only tables; ask `show tables` or `describe <table>`")
    elif kind == "TABLE_FUNCTION":
        function = cast(Node, node.get("function", {}))
        name = str(function.get("function_name", "")).lower()
        if name not in TABLE_FUNCTIONS:
            raise _refused(
                f"'{name}' is not among the functions it may read from "
                f"({', '.join(sorted(TABLE_FUNCTIONS))}); ask tables and marts"
            )
    elif node.get("class") == "FUNCTION":
        name = str(node.get("function_name", "")).lower()
        if name in REFUSED_FUNCTIONS:
            raise _refused(f"the function '{name}' is not run here")


def _check_relation(node: Node, allowed: frozenset[str]) -> None:
    catalog, schema, name = (
        str(node.get(part, "")).lower() for part in ("catalog_name", "schema_name", "table_name")
    )
    if (schema, name) in SCHEMA_VIEWS and catalog in QUALIFIERS:
        return
    if catalog not in QUALIFIERS or schema not in QUALIFIERS or name not in allowed:
        shown = ".".join(part for part in (catalog, schema, name) if part)
        raise _refused(f"there is no table or mart '{shown}'; `show tables` lists them")


def _lock_down(connection: duckdb.DuckDBPyConnection, location: Location) -> None:
    """After attaching: no file but the data's, no spilling to disk, no way back."""
    try:
        row = connection.execute(
            "select value from ducklake_options('lake') where option_name = 'data_path'"
        ).fetchone()
        folders = [location.data or str(row[0])] if row else []
    except duckdb.Error:
        folders = []  # an absent lake reads as an empty one in memory, and has no data
    directories = ", ".join("'" + folder.replace("'", "''") + "'" for folder in folders)
    try:
        connection.execute("set temp_directory = ''")
        connection.execute(f"set allowed_directories = [{directories}]")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
    except duckdb.Error as error:
        raise explain(location, error, "lock the workbench down") from error


def _run(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    params: list[object],
    timeout_s: float | None,
) -> pl.DataFrame:
    timer = threading.Timer(timeout_s, connection.interrupt) if timeout_s else None
    if timer:
        timer.daemon = True
        timer.start()
    try:
        return connection.execute(sql, params).pl()
    except duckdb.InterruptException as error:
        with suppress(duckdb.Error):
            connection.execute("rollback")
        raise _refused(f"the query took longer than {timeout_s:g} s; ask for less") from error
    except duckdb.Error as error:
        raise _refused(_one_line(error)) from error
    finally:
        if timer:
            timer.cancel()


def _one_line(error: Exception) -> str:
    """DuckDB's message with its hint ("Did you mean"), without the picture of the statement."""
    return " ".join(str(error).split("\n\nLINE ")[0].split())


def _refused(why: str) -> LakeError:
    return LakeError(f"the workbench: {why}")
