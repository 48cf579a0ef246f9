"""What a typed text must be before it is run: one `select` over the lake's tables and marts.

The text is parsed, never searched: every relation, function and kind of expression in the tree is
looked up in a list of what is allowed. Parsing itself may act (that of `import database` opens
files), so this runs inside the fences, in the process that `sandbox` is.
"""

import json
from collections.abc import Iterator
from typing import cast

import duckdb

from warehouse.functions import FUNCTIONS, TABLE_FUNCTIONS
from warehouse.location import LakeError
from warehouse.relations import views
from warehouse.tables import TABLES

MOST_CHARACTERS = 100_000
ONLY_SELECT = (
    "runs one `select` (also with, from, values, describe, summarize, pivot ... on ... in, show "
    "tables)"
)
_QUALIFIERS = frozenset({"", "lake", "main", "temp"})
_SOURCES = frozenset(
    {"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT"}
    | {"SHOW_REF", "SELECT_NODE"}
)
_EXPRESSIONS = frozenset(
    {"BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT"}
    | {"DEFAULT", "FUNCTION", "LAMBDA", "OPERATOR", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY"}
    | {"WINDOW", "TYPE"}
)
Node = dict[str, object]


def relation_names() -> frozenset[str]:
    """Every table and view that may be asked."""
    return frozenset(TABLES) | {view.name for view in views()}


def check(sql: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Refuse what is not one `select` over the lake; the connection parses it and runs nothing."""
    if len(sql) > MOST_CHARACTERS:
        raise refused(f"got {len(sql):,} characters and reads {MOST_CHARACTERS:,}; ask for less")
    if "\x00" in sql:
        raise refused("got a NUL character, behind which a parser does not look; take it out")
    try:
        sql.encode()  # DuckDB's own error for half a surrogate pair is not always the same
        row = connection.execute("select json_serialize_sql(?::varchar)", [sql]).fetchone()
        tree = cast(Node, json.loads(row[0] if row else "{}"))
        _check_tree(tree)
    except UnicodeEncodeError as error:
        raise refused("got bytes that are no text; write the statement in UTF-8") from error
    except duckdb.Error as error:
        raise refused(one_line(error)) from error
    except RecursionError as error:
        raise refused("got an expression nested too deeply; break it up") from error


def one_line(error: Exception) -> str:
    """DuckDB's message with its hint ("Did you mean"), without the picture of the statement."""
    return " ".join(str(error).split("\n\nLINE ")[0].split())


def refused(why: str) -> LakeError:
    """Why a statement is not answered."""
    return LakeError(f"the workbench: {why}")


def _check_tree(tree: Node) -> None:
    if tree.get("error"):
        if tree.get("error_type") == "parser":
            raise refused(f"Parser Error: {' '.join(str(tree.get('error_message')).split())}")
        raise refused(
            f"{ONLY_SELECT}, and this is another kind of statement; results are written out by "
            "--format and --out, a plan is shown by --explain"
        )
    statements = cast(list[Node], tree.get("statements", []))
    if len(statements) != 1:
        raise refused(
            f"got {len(statements)} statements and runs exactly one; send them one by one"
        )
    allowed = relation_names() | _cte_names(statements[0])
    for node in _nodes(statements[0]):
        _check_node(node, allowed)


def _nodes(value: object) -> Iterator[Node]:
    if isinstance(value, dict):
        node = cast(Node, value)
        yield node
        value = list(node.values())
    if isinstance(value, list):
        for item in cast(list[object], value):
            yield from _nodes(item)


def _cte_names(tree: Node) -> set[str]:
    """Names that the statement gives to its own parts.

    A name holds in its own scope only, and elsewhere would open what else is called so: a view of
    DuckDB's, or a file. So it may only be one that nothing else is called.
    """
    names: set[str] = set()
    for node in _nodes(tree):
        if isinstance(ctes := node.get("cte_map"), dict):
            entries = cast(list[Node], cast(Node, ctes).get("map", []))
            names |= {str(entry["key"]).lower() for entry in entries}
        if "cte_name" in node:
            names.add(str(node["cte_name"]).lower())
    for name in sorted(names):
        if not name.isidentifier() or name.startswith(("duckdb_", "pg_", "sqlite_", "pragma_")):
            raise refused(f"a CTE may not be called '{name}'; give it a plain name of its own")
    return names


def _check_node(node: Node, allowed: frozenset[str]) -> None:
    if "sample" in node and "type" in node:  # what stands after `from`
        _check_source(node, allowed)
    elif (kind := node.get("class")) is not None:
        if kind == "PARAMETER":
            raise refused("has no parameters; write the value itself in the place of ? or $1")
        if kind not in _EXPRESSIONS:
            raise refused(f"does not know the expression {kind}")
        if kind in ("FUNCTION", "WINDOW"):
            _check_function(node, FUNCTIONS, "functions it calls")


def _check_source(node: Node, allowed: frozenset[str]) -> None:
    kind = node["type"]
    if kind not in _SOURCES:
        raise refused(f"does not read from {kind}")
    if kind == "BASE_TABLE":
        _check_relation(node, allowed)
    elif kind == "SHOW_REF" and node.get("query") is None:
        if (node.get("table_name"), node.get("show_type")) != ('"tables"', "SHOW_UNQUALIFIED"):
            raise refused("shows only tables; ask `show tables` or `describe <table>`")
    elif kind == "TABLE_FUNCTION":
        _check_function(cast(Node, node["function"]), TABLE_FUNCTIONS, "functions it reads from")


def _check_function(node: Node, allowed: frozenset[str], what: str) -> None:
    name = str(node.get("function_name", "")).lower()
    if name not in allowed:
        examples = f" ({', '.join(sorted(allowed))})" if len(allowed) < 10 else ""
        raise refused(f"'{name}' is not among the {what}{examples}; ask tables and marts")


def _check_relation(node: Node, allowed: frozenset[str]) -> None:
    catalog, schema, name = (
        str(node.get(part, "")).lower() for part in ("catalog_name", "schema_name", "table_name")
    )
    if catalog not in _QUALIFIERS or schema not in _QUALIFIERS or name not in allowed:
        shown = ".".join(part for part in (catalog, schema, name) if part)
        raise refused(f"there is no table or mart '{shown}'; `show tables` lists them")
