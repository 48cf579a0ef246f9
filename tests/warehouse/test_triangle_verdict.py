"""The verdict on triangles in SQL is that of `measure.verdicts`, case by case."""

from itertools import product

import duckdb
import polars as pl
import pytest
from making import add_distances, comparison, distance_row

from measure.verdicts import Triangle, triangle
from warehouse import read
from warehouse.relations import Views, define_empty_lake, relations

D, SELF_BASELINE = (0.1, 0.4, None), (0.25, None)
C_PRIMARY, C_SHARED = (0.125, 0.375, 2.0, None), (0.125, 0.5, 2.0, None)
CRP = (1.0, None)  # of the derivative; the references' are 1.03, 2 and 0.5
SHIFTS = ((1.0, 0.05), (1.0, 0.5), (None, None))


def rows() -> list[dict[str, object]]:
    """Two rows of `triangle` for each case, one a role."""
    found = []
    cases = product(D, SELF_BASELINE, C_PRIMARY, C_SHARED, CRP, (1.03, 2.0, 0.5), SHIFTS)
    for number, (d, sb, c1, c2, crp, crp1, (shift, to_reference)) in enumerate(cases):
        for role, c, c_crp in (("reference", c1, crp1), ("shared_comparator", c2, 2.0)):
            found.append(
                {
                    "derivative_id": f"m{number}", "base_id": "base", "mode": "free", "role": role,
                    "reference_id": role, "d": d, "d_crp": crp, "c": c, "c_crp": c_crp,
                    "dc": None if d is None or c is None else d / c,
                    "dc_crp": None if crp is None else crp / c_crp,
                    "self_baseline": sb, "shift_1": shift, "shift_1_to_reference": to_reference,
                }
            )  # fmt: skip
    return found


def test_verdict_reasons_flags_and_magnitude_are_those_of_the_rule():
    connection = duckdb.connect()
    define_empty_lake(connection)
    Views(connection).define_all()
    given = pl.DataFrame(rows(), infer_schema_length=None)
    connection.register("given", given)
    connection.execute("create temp table made as select * from triangle")
    connection.execute("insert into made by name from given")
    query = relations("marts")["triangle_verdict"].query.replace("from triangle\n", "from made\n")
    answers = {row["derivative_id"]: row for row in connection.sql(query).pl().to_dicts()}
    pairs = given.partition_by("derivative_id", maintain_order=True)
    assert len(pairs) == 3 * 2 * 4 * 4 * 2 * 3 * 3 == len(answers)
    seen = set()
    for primary, shared in (pair.to_dicts() for pair in pairs):
        rule = triangle(
            Triangle(
                dc_primary=primary["dc"], dc_shared=shared["dc"], dc_primary_crp=primary["dc_crp"],
                d=primary["d"], c_primary=primary["c"], c_shared=shared["c"],
                crp_shared=shared["c_crp"], self_baseline=primary["self_baseline"],
                shift_1=primary["shift_1"], shift_1_to_reference=primary["shift_1_to_reference"],
            )
        )  # fmt: skip
        mine = answers[primary["derivative_id"]]
        assert (mine["verdict"], tuple(mine["verdict_reasons"])) == (rule.label, rule.reasons)
        flags = (mine["is_d_below_sb"], mine["is_shared_patho"], mine["is_reference_neighbour"])
        assert flags == (rule.d_below_sb, rule.shared_patho, rule.reference_neighbour)
        assert mine["magnitude"] == rule.magnitude
        seen.add(mine["verdict"])
    assert len(seen) == 7  # every word that the rule has


def test_ratios_and_their_outer_ends_by_hand(lake, location):
    others = {"reference": "other", "shared_comparator": "common"}
    lake.add_comparisons(
        [comparison("child", role, name) for role, name in {"base": "base", **others}.items()]
    )
    models = {"base": "base", "derivative": "child", **others}
    ends = {"ci_low_centroid_distance": 0.5, "ci_high_centroid_distance": 2.0}
    sides = [
        distance_row("derivative", centroid_distance=1.5, crp_distance=3.0, **ends),
        distance_row("reference", centroid_distance=1.0, crp_distance=4.0, **ends),
        distance_row("shared_comparator", centroid_distance=3.0, crp_distance=6.0, **ends),
    ]
    add_distances(lake, "d", models, sides)
    row = read.mart("triangle_verdict", location).row(0, named=True)
    assert (row["dc_primary"], row["dc_shared"]) == (1.5, 0.5)
    assert (row["dc_primary_crp"], row["dc_shared_crp"]) == (0.75, 0.5)
    assert (row["low_dc_primary"], row["high_dc_primary"]) == (0.25, 4.0)  # 0.5 / 2 and 2 / 0.5
    assert row["verdict"] == "Marginal / reference-sensitive"
    assert row["recorded_verdict"] is None and row["n_prompts"] == 40


@pytest.mark.parametrize("role", ["reference", "shared_comparator"])
def test_one_reference_alone_is_not_interpretable(lake, location, role):
    models = {"base": "base", "derivative": "child", role: "other"}
    add_distances(lake, "d", models, [distance_row("derivative"), distance_row(role)])
    row = read.mart("triangle_verdict", location).row(0, named=True)
    missing = {"reference": "shared comparator", "shared_comparator": "primary reference"}[role]
    assert row["verdict"] == "Not interpretable"
    assert row["verdict_reasons"][0] == f"D/C against the {missing} is unknown"
