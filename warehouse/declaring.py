# pyarrow carries no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownParameterType=false
# pyright: reportUnknownArgumentType=false
"""How a table of the lake is declared: its grain, its key, its columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

ARROW_TYPES: dict[str, pa.DataType] = {
    "VARCHAR": pa.string(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", tz="UTC"),
    "INTEGER[]": pa.list_(pa.int32()),
    "DOUBLE[]": pa.list_(pa.float64()),
    "VARCHAR[]": pa.list_(pa.string()),
}
INSTANT = "TIMESTAMP WITH TIME ZONE"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Its DuckDB type, its meaning with unit and range, and which values it may hold.
    """

    name: str
    type: str
    meaning: str
    is_nullable: bool = False
    values: tuple[str, ...] = ()  # the only texts allowed; empty: any


@dataclass(frozen=True, slots=True)
class Table:
    """One table: `grain` completes "One row per ...".

    `key` is unique, held by the writer, not by DuckLake.
    """

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    is_record: bool = False  # filled unit by unit, by what a measurement yields

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in the order of declaration."""
        return tuple(column.name for column in self.columns)

    @property
    def arrow_schema(self) -> pa.Schema:
        """The schema in which rows are appended."""
        return pa.schema(
            [pa.field(c.name, ARROW_TYPES[c.type], nullable=c.is_nullable) for c in self.columns]
        )

    @property
    def ddl(self) -> str:
        """`create table` as the newest migrated lake has it."""
        lines = [
            f"    {c.name} {c.type.lower()}{'' if c.is_nullable else ' not null'}"
            for c in self.columns
        ]
        return f"create table {self.name} (\n" + ",\n".join(lines) + "\n)"


def text(name: str, meaning: str, *, null: bool = False, values: Sequence[str] = ()) -> Column:
    """A column of text."""
    return Column(name, "VARCHAR", meaning, null, tuple(values))


def integer(name: str, meaning: str, *, null: bool = False) -> Column:
    """A column of whole numbers."""
    return Column(name, "INTEGER", meaning, null)


def bigint(name: str, meaning: str, *, null: bool = False) -> Column:
    """A column of large whole numbers."""
    return Column(name, "BIGINT", meaning, null)


def real(name: str, meaning: str, *, null: bool = False) -> Column:
    """A column of float64."""
    return Column(name, "DOUBLE", meaning, null)


def boolean(name: str, meaning: str, *, null: bool = False) -> Column:
    """A column of truth values."""
    return Column(name, "BOOLEAN", meaning, null)


def instant(name: str, meaning: str) -> Column:
    """A column of instants in UTC."""
    return Column(name, INSTANT, meaning)


MEASUREMENT_ID = text("measurement_id", "sha256 of the measurement's inputs (design.md 4)")
REASON = text("reason", "why numbers of this row are missing; null when none is", null=True)
