"""Influence: closed forms worked out by hand, refusals, and the null of a dead component."""

import numpy as np
import pytest

from measure.influence import (
    component_effects,
    drop_pct,
    influence,
    refusal,
    retained_pct,
    task_baseline,
)
from tests.measure.sweeps import additive, sweep

CLEAN = [3.0, 5.0]  # mean 4
ABLATED = [
    [1.0, 1.0],  # mean 1: loses 3 of 4
    [3.0, 3.0],  # loses 1
    [4.0, 6.0],  # mean 5: helps by being gone
    [-2.0, -2.0],  # turns over: loses 6
]


def test_percentages_and_influences_by_hand():
    """D = 4, effects 3, 1, -1, 6, so raw influences 3, 1, 0, 6: largest 6, sum 10, norm sqrt 46."""
    rows = component_effects(sweep(CLEAN, ABLATED))
    assert [row.effect for row in rows] == [3, 1, -1, 6]
    assert [row.influence_raw for row in rows] == [3, 1, 0, 6]
    # Two prompts of 3 and 5: Student's interval 4 +- 12.7 holds 0, so nothing is divided by 4.
    assert all(row.retained_pct is None and "not apart from 0" in row.reason for row in rows)

    many = sweep(CLEAN * 20, [one * 20 for one in ABLATED])
    rows = component_effects(many)
    assert [row.retained_pct for row in rows] == [25, 75, 125, -50]
    assert [row.delta_p_pct for row in rows] == [-75, -25, 25, -150]
    assert [row.drop_pct for row in rows] == [75, 25, 0, 100]
    assert [row.influence_max for row in rows] == pytest.approx([3 / 6, 1 / 6, 0, 1])
    assert [row.influence_l1 for row in rows] == pytest.approx([0.3, 0.1, 0, 0.6])
    assert [row.influence_l2 for row in rows] == pytest.approx(np.array([3, 1, 0, 6]) / 46**0.5)
    assert [row.kind for row in rows] == ["head", "head", "head", "mlp"]
    assert {row.reason for row in rows} == {None}


def test_delta_p_has_the_sign_of_the_change_and_retained_that_of_the_share():
    """delta_p = retained - 100 wherever D is above 0."""
    rows = component_effects(additive(3, 4, 50, seed=0))
    assert [row.delta_p_pct for row in rows] == pytest.approx(
        [row.retained_pct - 100 for row in rows]
    )


@pytest.mark.parametrize("norm", [np.max, np.sum, np.linalg.norm])
def test_influences_are_normalised(norm):
    how = {np.max: "max", np.sum: "l1", np.linalg.norm: "l2"}[norm]
    raw = np.random.default_rng(0).exponential(size=(3, 7))
    for row in influence(raw, how):
        assert norm(row) == pytest.approx(1)


def test_a_dead_component_has_effect_influence_and_drop_0():
    """Its interval too: the same logit differences on every prompt."""
    live = additive(2, 3, 30, seed=1)
    dead = sweep(live.ld_clean, [*live.ld_ablated, live.ld_clean], [*live.is_head, False])
    row = component_effects(dead)[-1]
    assert (row.effect, row.ci_low_effect, row.ci_high_effect) == (0, 0, 0)
    assert (row.influence_raw, row.influence_max, row.influence_l1, row.influence_l2) == (0,) * 4
    assert (row.retained_pct, row.drop_pct, row.ci_high_drop_pct) == pytest.approx((100, 0, 0))


def test_where_no_ablation_lowers_the_difference_influence_is_unknown_and_says_so():
    rows = component_effects(sweep([2.0, 2.1] * 10, [[3.0] * 20, [2.5] * 20]))
    assert {row.influence_max for row in rows} == {None}
    assert {row.reason for row in rows} == {"no ablation lowers the logit difference"}
    assert [row.drop_pct for row in rows] == [0, 0]


def test_the_interval_of_an_effect_is_that_of_the_mean_of_paired_differences():
    """Per prompt the effects are 1 + noise: 1.96 standard errors either side, by the bootstrap."""
    rng = np.random.default_rng(2)
    clean = 5 + 3 * rng.normal(size=400)
    effects = 1 + 0.5 * rng.normal(size=400)
    row = component_effects(sweep(clean, [clean - effects, clean]))[0]
    half = 1.96 * effects.std() / 20
    assert row.effect == pytest.approx(effects.mean())
    assert row.ci_high_effect - row.effect == pytest.approx(half, rel=0.05)
    assert row.effect - row.ci_low_effect == pytest.approx(half, rel=0.05)


@pytest.mark.parametrize(
    ("clean", "reason"),
    [
        ([1.0, -1.0] * 20, "not apart from 0"),
        ([0.3, 0.5] * 20, "below 0.5"),  # mean 0.4, interval 0.37 to 0.43
        ([-7.0, -6.9] * 20, "below 0.5"),  # it answers the foil
        ([4.0], "1 prompts, at least 2"),
        ([], "0 prompts, at least 2"),
    ],
)
def test_a_task_that_the_model_cannot_do_has_raw_effects_only(clean, reason):
    assert reason in task_baseline(np.array(clean)).reason
    rows = component_effects(sweep(clean, np.zeros((2, len(clean)))))
    assert len(rows) == (2 if clean else 0)
    for row in rows:
        assert reason in row.reason
        assert row.effect == pytest.approx(np.mean(clean))
        assert row.retained_pct is row.drop_pct is row.delta_p_pct is row.influence_max is None


def test_a_task_that_it_does_has_its_share_of_right_answers():
    found = task_baseline(np.array([2.0, 3.0, -0.5, 2.5] * 5))
    assert found.reason is None
    assert (found.n_prompts, found.mean_ld, found.answer_share) == (20, 1.75, 0.75)
    assert found.ci_low_mean_ld < 1.75 < found.ci_high_mean_ld


def test_a_refusal_names_the_model_that_cannot():
    able, unable = additive(1, 2, 20, seed=0), additive(1, 2, 20, seed=0, clean=0.1)
    assert refusal({"teacher": able, "student": able}) is None
    assert refusal({"teacher": able, "student": unable}).startswith("student: mean logit diff")


def test_a_share_of_nothing_is_unknown():
    found = retained_pct(np.array(0.0), np.array([1.0, 0.0]))
    assert np.isnan(found).all()
    assert np.isnan(drop_pct(found)).all()


def test_a_sweep_of_other_shapes_is_refused():
    with pytest.raises(ValueError, match="2 components and 3 prompts"):
        sweep([1, 2, 3], [[1, 2], [3, 4]])
