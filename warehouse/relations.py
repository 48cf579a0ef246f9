"""The SQL files: staging cleans tables, marts answer questions, checks find broken rows.

A file holds one `select`; its name is the relation; its first line says what one row is; lines
`-- name: meaning` under it say what its columns mean.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Literal

import duckdb

from warehouse.declaring import INSTANT
from warehouse.tables import TABLES

Kind = Literal["staging", "marts", "checks", "migrations"]
SQL = Path(__file__).parent / "sql"
_READ = re.compile(r"\b(?:from|join)\s+(\w+)")  # a column may be called like a view
_COLUMN_LINE = re.compile(r"^-- (\w+): (.+)$")


@dataclass(frozen=True)
class Relation:
    """One SQL file."""

    name: str
    sql: str

    @property
    def grain(self) -> str:
        """Its first line: 'One row per ...'."""
        return self.sql.partition("\n")[0].removeprefix("-- ")

    @cached_property
    def meanings(self) -> dict[str, str]:
        """Column to meaning, for the columns that the head of the file describes."""
        found: dict[str, str] = {}
        for line in self.sql.splitlines():
            if not line.startswith("--"):
                break
            if match := _COLUMN_LINE.match(line):
                found[match[1]] = match[2]
        return found

    @cached_property
    def reads(self) -> list[str]:
        """What stands after `from` and `join`, in order: views and tables among it."""
        return _READ.findall(self.query)

    @property
    def query(self) -> str:
        """The statement without the comments above it."""
        lines = self.sql.splitlines()
        start = next(i for i, line in enumerate(lines) if not line.startswith("--"))
        return "\n".join(lines[start:])


@cache
def relations(kind: Kind) -> dict[str, Relation]:
    """All files of a kind, by name."""
    files = sorted((SQL / kind).glob("*.sql"))
    return {file.stem: Relation(file.stem, file.read_text(encoding="utf-8")) for file in files}


@cache
def views() -> tuple[Relation, ...]:
    """Staging and marts, each after those it reads."""
    every = {**relations("staging"), **relations("marts")}
    reads = {name: set(relation.reads) & every.keys() for name, relation in every.items()}
    return tuple(every[name] for name in TopologicalSorter(reads).static_order())


class Views:
    """Staging and marts as temporary views of a connection; nothing of them is in the lake.

    Each is made when a query first reads it, since all of them take longer than most queries.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._defined: set[str] = set()

    def define(self, *queries: str) -> None:
        """Make the views that these queries read; outside of a transaction."""
        wanted = set(re.findall(r"\w+", " ".join(queries)))
        for relation in reversed(views()):  # each before those it reads
            if relation.name in wanted:
                wanted.update(self.reads(relation))
        missing = [v for v in views() if v.name in wanted and v.name not in self._defined]
        if not missing:
            return
        self._connection.execute("begin")  # one look at the catalog for all of them
        for relation in missing:
            self._connection.execute(f"create temp view {relation.name} as {self.body(relation)}")
        self._connection.execute("commit")
        self._defined.update(relation.name for relation in missing)

    def body(self, relation: Relation) -> str:
        """What a view is made as."""
        return relation.query

    def reads(self, relation: Relation) -> Sequence[str]:
        """What a view, so made, reads."""
        return relation.reads

    def define_all(self) -> None:
        """Make all of them, for queries that are not known yet."""
        self.define(*(relation.name for relation in views()))


def define_as_of(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """Let views that are defined afterwards see the lake as it was at an instant.

    Records are append-only and count once their measurement is complete, so it is enough to hide
    the rows of the tables that know when they came; the clock stands still. A lineage that its
    user declared anew since is as if it was never declared.
    """
    instant = f"timestamptz '{as_of.astimezone(UTC).isoformat()}'"
    connection.execute("begin")
    connection.execute(f"create temp macro now() as {instant}")
    for table in TABLES.values():
        known_at = [column.name for column in table.columns if column.type == INSTANT]
        if known_at and table.name != "schema_version":
            connection.execute(
                f"create temp view {table.name} as "
                f"select * from lake.main.{table.name} where {known_at[0]} <= {instant}"
            )
    connection.execute("commit")


def define_empty_lake(connection: duckdb.DuckDBPyConnection) -> None:
    """An empty lake in memory: what a reader sees before the first write, with all columns."""
    connection.execute("attach ':memory:' as lake; use lake")
    for table in TABLES.values():
        connection.execute(table.ddl)
