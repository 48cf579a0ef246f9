"""Evaluation over lakes where the right answer was planted."""

import json

import numpy as np
import polars as pl
import pytest
from planting import Plant, directions, family_of, plant

from flows import calibrating, cli, evaluating
from warehouse import checks
from warehouse.lake import Lake

FAMILIES = ("Alpha", "Beta", "Gamma")


def evaluated(plants):
    with Lake.open() as lake:
        plant(lake, plants)
        found = evaluating.evaluations(lake)
    return {(one.layer, one.scope, one.rule): one for one in found}


def test_a_planted_direction_is_found_in_both_layers(home):
    rng = np.random.default_rng(0)
    plants = [one for name in FAMILIES for one in family_of(name, rng, shift=100.0)]
    found = evaluated(plants)
    assert len(found) == 2 * 4 * 3  # layers, three families and pooled, rules
    for layer in ("structural", "functional"):
        pooled = found[layer, "pooled", "family null"]
        assert (pooled.n_distilled, pooled.n_recipes, pooled.n_null) == (12, 4, 75)
        for scope in (*FAMILIES, "pooled"):
            row = found[layer, scope, "family null"]
            assert row.auc.value == row.auc.ci_low == 1
            assert row.tpr_at_5.value == 1
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}


def test_without_an_effect_nothing_is_found_and_false_alarms_are_at_their_level(home):
    """A p at most 0.05 among 39 others is one of the 2 foremost: 2 of 40, in every family.

    120 scores of standard deviation 1 / sqrt 12 give an AUC to 0.026; that the 20 of a family
    share an axis doubles the variance: 0.037.
    """
    rng = np.random.default_rng(1)
    names = [f"F{i:02d}" for i in range(6)]
    sizes = {"shift": 0.0, "n_recipes": 20, "n_null": 40, "with_gaps": False}
    found = evaluated([one for name in names for one in family_of(name, rng, **sizes)])
    for family in names:
        assert found["structural", family, "family null"].fpr_at_5 == pytest.approx(0.05)
    pooled = found["structural", "pooled", "family null"]
    assert pooled.fpr_at_5 == pytest.approx(0.05)
    assert pooled.auc.value == pytest.approx(0.5, abs=0.11)
    assert pooled.tpr_at_5.value <= 0.11  # of 120 at most 0.05 + 3 sqrt(0.05 * 0.95 / 120)
    assert found["structural", "pooled", "pooled null"].tpr_at_1.value <= 0.04


def test_one_threshold_on_the_norm_fails_where_the_loud_ones_are_not_distilled(home):
    """Null twice as far from the base as the distilled, in random directions of 16 dimensions."""
    rng = np.random.default_rng(2)
    plants = []
    for family in FAMILIES:
        axis = directions(rng, 1, 30.0)[0]
        noise = directions(rng, 4, 3.0)
        plants += [
            Plant(f"{family}-d{i}", family, axis + noise[i], f"r{i}", True) for i in range(4)
        ]
        across = directions(rng, 40, 60.0)
        across -= np.outer(across @ axis, axis) / (axis @ axis)
        plants += [Plant(f"{family}-n{i}", family, v, "sft") for i, v in enumerate(across)]
    found = evaluated(plants)
    assert found["structural", "pooled", "family null"].auc.value == 1
    assert found["structural", "pooled", "uniform norm"].auc.value == 0
    assert not any(layer == "functional" for layer, _, _ in found)


def test_what_was_measured_otherwise_takes_no_part(home):
    rng = np.random.default_rng(3)
    with Lake.open() as lake:
        plant(lake, family_of("Alpha", rng, shift=100.0))
        frame = calibrating.displacements(lake, "structural")
    odd = pl.col("derivative_id") == "Alpha-null-7"
    frame = frame.with_columns(
        protocol=pl.when(odd).then(pl.lit("another")).otherwise(pl.col("protocol")),
        floor=pl.when(pl.col("derivative_id") == "Alpha-null-8").then(None).otherwise("floor"),
    )
    (family,) = calibrating.families(frame, "structural")
    assert (len(family.distilled), len(family.null)) == (4, 23)
    asked = calibrating.question(frame, "structural", "Alpha-null-9", "Alpha-base")
    assert asked.n_left_out == 2
    alone = calibrating.question(frame, "structural", "Alpha-null-7", "Alpha-base")
    assert (len(alone.calibration.distilled), len(alone.calibration.null)) == (0, 1)
    assert "noise" in calibrating.question(frame, "structural", "Alpha-null-8", "Alpha-base")
    assert "no displacement" in calibrating.question(frame, "structural", "gone", "Alpha-base")


def test_a_failed_prompt_leaves_its_dimension_out_for_all(home):
    rng = np.random.default_rng(4)
    with Lake.open() as lake:
        plant(lake, family_of("Alpha", rng, shift=100.0))
        frame = calibrating.displacements(lake, "structural")
    first = frame["displacement"][0].to_list()
    broken = [None, *first[1:]]
    rows = [broken, *frame["displacement"].to_list()[1:]]
    frame = frame.with_columns(displacement=pl.Series(rows, dtype=pl.List(pl.Float64)))
    (family,) = calibrating.families(frame, "structural")
    assert {one.displacement.shape for one in (*family.distilled, *family.null)} == {(15,)}


def test_the_command_prints_a_table_and_json(home, capsys):
    assert cli.main(["evaluate"]) == 0
    assert "no model of known lineage is measured" in capsys.readouterr().out
    assert cli.main(["evaluate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"evaluations": []}
    rng = np.random.default_rng(5)
    with Lake.open() as lake:
        plant(lake, family_of("Alpha", rng, shift=100.0, n_recipes=3, n_null=10))
    assert cli.main(["evaluate"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    said = " ".join(shown.split())
    assert "19 null are needed for a p of 0.05, 10 are there: no p is below 0.0909" in said
    assert "99 null are needed for a p of 0.01, 10 are there: no p is below 0.0909" in said
    assert "TPR at the least p, structural: Alpha, family null 1 [1, 1] at p 0.0909" in said
    assert cli.main(["evaluate", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["evaluations"]
    row = next(r for r in rows if (r["scope"], r["rule"]) == ("Alpha", "family null"))
    assert row["auc"]["value"] == 1 and row["tpr_at_5"]["value"] is None
    assert row["p_least"] == 1 / 11 and row["tpr_at_least"]["value"] == 1
    assert row["tpr_at_1"]["value"] is None and "no p is below" in row["tpr_at_1"]["reason"]
