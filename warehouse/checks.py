"""Checks: each is a question that a good lake answers with no row.

A test and a nightly flow ask them all.
"""

from collections.abc import Iterator

import duckdb
import polars as pl

from warehouse.attach import connect
from warehouse.location import LakeError, Location, explain
from warehouse.relations import Views, relations
from warehouse.tables import RECORD_TABLES, TABLES


def queries() -> dict[str, str]:
    """Every check by name.

    The files of `sql/checks`, and those that follow from the declared tables.
    """
    files = {name: relation.query for name, relation in relations("checks").items()}
    return {
        **files,
        "duplicate_key": " union all ".join(_duplicate_keys()),
        "not_finite": " union all ".join(_not_finite()),
    }


def run(location: Location | None = None) -> dict[str, pl.DataFrame]:
    """The offending rows by check; all frames are empty on a good lake."""
    location = location or Location.from_env()
    connection = connect(location, read_only=True)
    try:
        asked = queries()
        Views(connection).define(*asked.values())
        return {name: connection.execute(sql).pl() for name, sql in asked.items()}
    except duckdb.Error as error:
        raise explain(location, error, "check the lake") from error
    finally:
        connection.close()


def require_good(location: Location | None = None) -> None:
    """Raise a LakeError that names every check with offending rows."""
    broken = {name: rows.height for name, rows in run(location).items() if rows.height}
    if broken:
        listed = ", ".join(f"{name} ({n} rows)" for name, n in broken.items())
        raise LakeError(f"the lake fails the checks {listed}; see `warehouse.checks.run()`")


def _duplicate_keys() -> Iterator[str]:
    for table in TABLES.values():
        key = ", ".join(table.key)
        shown = "concat_ws(' ', " + key + ")"
        yield (
            f"select '{table.name}' as table_name, {shown} as key, count(*) as n_rows "
            f"from {table.name} group by {key} having count(*) > 1"
        )


def _not_finite() -> Iterator[str]:
    """One scan a table, not one a column: the tables have hundreds of numbers."""
    for table in RECORD_TABLES:
        broken = {
            column.name: f"not isfinite({column.name})"
            if column.type == "DOUBLE"
            else f"len(list_filter({column.name}, lambda x: not isfinite(x))) > 0"
            for column in table.columns
            if column.type in ("DOUBLE", "DOUBLE[]")
        }
        if broken:
            named = ", ".join(
                f"case when {is_broken} then '{name}' end" for name, is_broken in broken.items()
            )
            yield (
                f"select '{table.name}' as table_name, column_name, measurement_id from ("
                f"select measurement_id, unnest([{named}]) as column_name "
                f"from {table.name} where {' or '.join(broken.values())}) "
                "where column_name is not null"
            )
