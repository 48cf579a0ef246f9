# pyarrow and duckdb's rows carry no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownParameterType=false
# pyright: reportUnknownArgumentType=false
"""Rows on their way into the lake: checked against the declared table, then Arrow."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from numbers import Integral, Real

import pyarrow as pa

from warehouse.declaring import INSTANT, Column, Table
from warehouse.location import LakeError

Row = Mapping[str, object]
_INTEGER_BITS = {"INTEGER": 31, "BIGINT": 63}


def to_arrow(table: Table, rows: Iterable[Row], fixed: Row | None = None) -> pa.Table:
    """The rows as an Arrow table.

    `fixed` columns may be left out of the rows, and may not contradict them.
    """
    fixed = fixed or {}
    checked = [_checked(table, row, fixed) for row in rows]
    _refuse_repeated_keys(table, checked)
    return pa.Table.from_pylist(checked, schema=table.arrow_schema)


def _checked(table: Table, row: Row, fixed: Row) -> dict[str, object]:
    names = table.column_names
    unknown = [name for name in row if name not in names]
    if unknown:
        raise LakeError(
            f"a row of '{table.name}' has the unknown column {_list(unknown)}; its columns are "
            f"{', '.join(names)}"
        )
    missing = [name for name in names if name not in row and name not in fixed]
    if missing:
        raise LakeError(
            f"a row of '{table.name}' lacks the column {_list(missing)}; give every column, "
            "and None where a value is not known"
        )
    for name, value in fixed.items():
        if name in row and row[name] != value:
            raise LakeError(
                f"a row of '{table.name}' has {name} '{row[name]}' and is written under '{value}'; "
                "leave the column out, or write it where it belongs"
            )
    both = {**row, **fixed}
    return {column.name: _value(table, column, both[column.name]) for column in table.columns}


def _value(table: Table, column: Column, value: object) -> object:
    if value is None:
        if column.is_nullable:
            return None
        raise _unfit(table, column, value, f"a {column.type.lower()}, never null")
    if column.type == "VARCHAR":
        return _text(table, column, value)
    if column.type == INSTANT:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC)
        raise _unfit(table, column, value, "a datetime with a time zone")
    if column.type == "BOOLEAN":
        if isinstance(value, bool):
            return value
        raise _unfit(table, column, value, "true or false (boolean)")
    if column.type.endswith("[]"):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise _unfit(table, column, value, f"a list ({column.type.lower()})")
        item_of = _text if column.type == "VARCHAR[]" else _number
        return [item_of(table, column, item) for item in value]
    return _number(table, column, value)


def _text(table: Table, column: Column, value: object) -> str:
    if not isinstance(value, str):
        raise _unfit(table, column, value, "text")
    if column.values and value not in column.values:
        raise _unfit(table, column, value, f"one of {', '.join(column.values)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _unfit(table, column, value, "text that UTF-8 can hold") from error
    return value


def _number(table: Table, column: Column, value: object) -> int | float:
    kind = column.type.removesuffix("[]")
    if kind in _INTEGER_BITS:
        if not isinstance(value, bool) and isinstance(value, Integral):
            number = int(value)
            if -(2 ** _INTEGER_BITS[kind]) <= number < 2 ** _INTEGER_BITS[kind]:
                return number
        raise _unfit(table, column, value, f"a whole number ({kind.lower()})")
    if not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value):
        return float(value)
    raise _unfit(table, column, value, "a finite number, or None and a reason")


def _refuse_repeated_keys(table: Table, rows: Sequence[Row]) -> None:
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        key = tuple(row[name] for name in table.key)
        if key in seen:
            shown = ", ".join(f"{name} '{row[name]}'" for name in table.key)
            raise LakeError(f"two rows of '{table.name}' have the same key ({shown}); give it once")
        seen.add(key)


def _unfit(table: Table, column: Column, value: object, wanted: str) -> LakeError:
    shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
    return LakeError(f"'{table.name}.{column.name}' was given {shown} and wants {wanted}")


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
