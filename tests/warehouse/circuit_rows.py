"""Rows of distilled circuits for the warehouse's tests."""

from warehouse import circuit_tables, picture_tables
from warehouse.declaring import Column

TABLES = (*circuit_tables.TABLES, *picture_tables.TABLES)

OF_TYPE: dict[str, object] = {"VARCHAR": "x", "INTEGER": 1, "DOUBLE": 0.25, "BOOLEAN": True}
OF_TYPE |= {"DOUBLE[]": [0.25, 0.75], "VARCHAR[]": ["x", "y"]}
# What the checks hold against one another: a circuit of one head, and what it retains.
OVER: dict[str, dict[str, object]] = {
    "circuit_size": {"budget": 0.2, "completeness_pct": 90.0, "n_mlps": 0},
    "circuit_node": {"budget": 0.2},
    "circuit_edge": {"budget": 0.2, "delta_p_edge": -25.0},
}


def value_of(column: Column) -> object:
    """A value that the column may hold; nothing for reasons, as nothing is missing."""
    if column.name == "reason":
        return None
    return column.values[0] if column.values else OF_TYPE[column.type]


def one_of_each() -> dict[str, list[dict[str, object]]]:
    """A row of every table, which the checks let pass."""
    return {
        table.name: [
            {c.name: value_of(c) for c in table.columns if c.name != "measurement_id"}
            | OVER.get(table.name, {})
        ]
        for table in TABLES
    }


def one_of_each_broken() -> dict[str, list[dict[str, object]]]:
    """For each check of circuits a row that it is there for, in a measurement of components."""
    (component,) = one_of_each()["component"]
    return {"component": [component | {"influence_max": 1.5}]}
