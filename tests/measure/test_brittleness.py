"""Brittleness: the published numbers to every printed digit, closed forms, and the noise floor."""

from dataclasses import asdict

import numpy as np
import pytest

from measure import published
from measure.brittleness import (
    brittleness,
    brittleness_difference,
    component_interval,
    compression,
    difference_of_drops,
    drop_summaries,
    drops_of,
    gini,
    noise_floor,
    tail_score,
    top_drop,
)
from measure.errors import BadInput
from tests.measure.sweeps import additive, published_bert_drops, published_drops, sweep

ROWS = [row for row in published.load() if row.source == "S3"]


def table_2(model):
    """Published mean drop and its interval."""
    of = [r for r in ROWS if (r.place, r.subject) == ("Table 2", model)]
    (value,), (low, high) = (
        [r.value for r in of if r.value is not None],
        [end for r in of if r.low is not None for end in (r.low, r.high)],
    )
    return value, low, high


def of_pair(quantity, pair):
    (row,) = [r for r in ROWS if (r.quantity, r.subject) == (quantity, pair)]
    return row


# --- as published -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "named", "n"),
    [("gpt2", "GPT2", 156), ("distilgpt2", "DistilGPT2", 78), ("distilbert", "DistilBERT", 78)],
)
def test_table_2_to_the_last_digit(model, named, n):
    drops = {**published_drops(), **published_bert_drops()}[model]
    assert len(drops) == n
    found = (float(drops.mean()), *component_interval(drops))
    assert tuple(round(number, 4) for number in found) == table_2(named)


@pytest.mark.parametrize(
    ("pair", "teacher", "student", "params"),
    [("GPT", "gpt2", "distilgpt2", (124, 82)), ("BERT", "bert", "distilbert", (109, 66))],
)
def test_beta_and_its_interval_in_paper_mode(pair, teacher, student, params):
    drops = {**published_drops(), **published_bert_drops()}
    share = compression(*params)
    row = difference_of_drops(
        drops[teacher], drops[student], against="teacher", compression=share, paper_mode=True
    )
    assert round(100 * row.compression, 1) == of_pair("compression", pair).value
    assert round(row.beta, 2) == of_pair("beta", pair).value
    interval = of_pair("per_tenth", pair)
    assert (round(row.ci_low_per_tenth, 2), round(row.ci_high_per_tenth, 2)) == (
        interval.low,
        interval.high,
    )
    assert row.per_tenth == pytest.approx(row.beta / 10)


def test_the_samples_difference_is_not_the_mean_of_the_bootstraps():
    """12.2401 - 3.0561 = 9.1840; the paper's 10,000 draws have mean 9.1234."""
    drops = published_drops()
    rows = [
        difference_of_drops(
            drops["gpt2"], drops["distilgpt2"], against="teacher", compression=0.5, paper_mode=mode
        )
        for mode in (False, True)
    ]
    assert [round(row.difference_pct, 4) for row in rows] == [9.1840, 9.1234]
    assert rows[0].ci_low_beta == rows[1].ci_low_beta > 0


def test_components_over_20_percent_and_the_five_largest_of_the_published_list():
    """By hand in the list of retained_pct."""
    drops = published_drops()
    teacher, student = (drop_summaries(drops[model]) for model in ("gpt2", "distilgpt2"))
    # GPT2: head 7.11, MLPs 0, 8, 9, 10, 11.
    assert teacher["share_over_20_pct"] == pytest.approx(6 / 156)
    # DistilGPT2: heads 0.1, 2.4, 3.7, 3.11, 4.1 and all six MLPs.
    assert student["share_over_20_pct"] == pytest.approx(11 / 78)
    # 47.1177, 62.5812, 71.3322, 32.7054, 25.1878: the five largest of GPT2.
    assert teacher["top5_drop_pct"] == pytest.approx(
        (47.1177 + 62.5812 + 71.3322 + 32.7054 + 25.1878) / 5, abs=1e-4
    )


# --- closed forms -------------------------------------------------------------------------------


def test_summaries_by_hand():
    """Drops 0, 10, 10, 60, 100, 100: mean 280/6; the five largest 280/5."""
    drops = np.array([0.0, 10, 10, 60, 100, 100])
    found = drop_summaries(drops)
    assert found["mean_drop_pct"] == pytest.approx(280 / 6)
    assert found["top5_drop_pct"] == 56
    assert found["share_over_10_pct"] == 0.5  # 10 is not over 10
    assert found["share_over_20_pct"] == 0.5
    # (40 + 80 + 80) / 80 / 6
    assert found["tail_score"] == pytest.approx(2.5 / 6)


def test_gini_by_hand_and_by_all_pairs():
    assert gini(np.array([5.0, 5, 5, 5])) == pytest.approx(0)
    assert gini(np.array([0.0, 0, 0, 8])) == pytest.approx(3 / 4)  # (n - 1) / n
    assert np.isnan(gini(np.zeros(4)))
    x = np.random.default_rng(0).exponential(size=(4, 9))
    # The other route: half the mean absolute difference over the mean.
    pairs = np.abs(x[:, :, None] - x[:, None, :]).mean((1, 2)) / 2 / x.mean(1)
    assert gini(x) == pytest.approx(pairs)


def test_the_five_largest_of_fewer_are_all():
    assert top_drop(np.array([3.0, 6.0])) == 4.5
    assert tail_score(np.array([20.0, 100.0])) == 0.5


def test_drops_come_heads_first_as_the_published_list():
    """Layer by layer the sweep has head, MLP, head, MLP; D = 10, left are 9, 8, 7, 6."""
    given = sweep(
        [10.0] * 5, [[left] * 5 for left in (9, 8, 7, 6)], is_head=[True, False, True, False]
    )
    assert drops_of(given) == pytest.approx([10, 30, 20, 40])


def test_compression_by_hand_and_of_a_student_that_is_no_smaller():
    assert compression(8, 4) == 0.5
    assert compression(8, 8) is None
    assert compression(8, 9) is None
    row = difference_of_drops(np.ones(4), np.ones(3), against="teacher", compression=None)
    assert row.beta is None is row.ci_low_per_tenth
    assert (row.difference_pct, row.ci_low_difference_pct) == (0, 0)


# --- intervals, floor, null ---------------------------------------------------------------------


def test_the_prompt_interval_agrees_with_the_delta_method():
    """Mean drop = mean over c of 100 (1 - D_c / D) where no drop is clipped: a ratio of means."""
    given = additive(2, 3, 300, seed=3)
    found = brittleness(given)
    ratio = given.ld_ablated.mean(0) / given.ld_clean.mean()
    slope = ratio - given.ld_clean * ratio.mean() / given.ld_clean.mean()
    half = 1.96 * 100 * slope.std() / np.sqrt(300)
    assert found.reason is None
    width = found.prompt_ci_high_mean_drop_pct - found.prompt_ci_low_mean_drop_pct
    assert width == pytest.approx(2 * half, rel=0.1)
    assert found.prompt_ci_low_mean_drop_pct < found.mean_drop_pct
    assert found.mean_drop_pct < found.prompt_ci_high_mean_drop_pct
    assert found.ci_low_mean_drop_pct < found.mean_drop_pct < found.ci_high_mean_drop_pct


def test_components_without_an_effect_do_not_exceed_the_floor_more_often_than_5_percent():
    """Drops below 0 count as 0, so that noise alone drops: the floor is above it in 19 of 20."""
    rng = np.random.default_rng(4)
    above = 0
    for _ in range(40):
        clean = 4 + rng.normal(size=40)
        given = sweep(clean, clean + rng.normal(size=(30, 40)))
        floor = noise_floor(given)
        mean = drops_of(given).mean()
        assert floor > 0 < mean
        above += mean > floor
    assert above <= 6  # of 40 at 5 %: 7 or more have probability 0.3 %


def test_an_effect_is_above_the_floor():
    found = brittleness(additive(3, 4, 60, seed=5))
    assert found.mean_drop_pct > found.floor_mean_drop_pct > 0


def test_a_model_against_itself_differs_by_nothing():
    """The same prompts are drawn for both: no interval over prompts either."""
    given = additive(2, 3, 40, seed=6)
    row = brittleness_difference(given, given, against="size-matched control", compression=None)
    assert row.difference_pct == 0
    assert (row.prompt_ci_low_difference_pct, row.prompt_ci_high_difference_pct) == (0, 0)
    assert row.ci_low_difference_pct < 0 < row.ci_high_difference_pct


def test_a_control_has_as_many_components_as_the_student():
    large, small = additive(3, 4, 20, seed=0), additive(2, 4, 20, seed=0)
    with pytest.raises(BadInput, match="a control of 15 components for a student of 10"):
        brittleness_difference(large, small, against="size-matched control", compression=None)


def test_a_model_that_cannot_do_the_task_is_refused_with_the_reason():
    able, unable = additive(2, 3, 20, seed=0), additive(2, 3, 20, seed=1, clean=0.1, noise=0.01)
    found = brittleness(unable)
    numbers = {n: v for n, v in asdict(found).items() if not n.startswith(("n_", "reason"))}
    assert set(numbers.values()) == {None}
    assert "below 0.5" in found.reason
    row = brittleness_difference(able, unable, against="teacher", compression=0.5)
    assert row.difference_pct is row.beta is row.prompt_ci_low_difference_pct is None
    assert row.reason.startswith("student: ")
    assert row.n_prompts == 20
