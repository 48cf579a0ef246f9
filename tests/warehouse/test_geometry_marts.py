"""Geometry gained against accuracy gained, over pairs of models whose gains are known."""

import math

import pytest
from crosscoder_rows import geometry_gain
from making import measurement, model

from warehouse import read


def rollouts(right: int, n: int = 10):
    """Two samples of each problem, right in the first of them."""
    return [
        {
            "problem_id": f"p{p}", "sample": s, "category": "", "problem": "?", "gold": "1",
            "text": "1", "n_tokens": 1, "finish": "stop", "answer": "1", "is_correct": p < right,
            "reason": None,
        }
        for p in range(n)
        for s in range(2)
    ]  # fmt: skip


def sampled(lake, name, right):
    lake.add_models([model(name)])
    lake.plan(measurement(f"r {name}", "rollout", 1, options='{"n": 2}'), {"model": name})
    lake.append_unit(f"r {name}", "all", {"rollout": rollouts(right)}, 1.0)


def compared(lake, name, areas):
    lake.add_models([model("b"), model(name)])
    models = {"base": "b", "distilled": name}
    lake.plan(measurement(f"g {name}", "parallelogram", 1, prompt_set_sha256="words"), models)
    gains = [
        geometry_gain(relation=f"r{i}", d_area=d, ci_low_d_area=d - 1, ci_high_d_area=d + 1,
                      change="no difference")
        for i, d in enumerate(areas)
    ]  # fmt: skip
    # Another number of axes is no part of it.
    tables = {"parallelogram_difference": [*gains, {**gains[0], "n_axes": 2, "d_area": 9.0}]}
    lake.append_unit(f"g {name}", "all", tables, 1.0)


def test_gains_of_one_pair_by_hand(lake, location):
    sampled(lake, "b", 2)
    sampled(lake, "d", 7)
    compared(lake, "d", [0.1, 0.3])
    compared(lake, "unsampled", [0.1, 0.3])
    (row,) = read.mart("geometry_gain", location).to_dicts()
    assert (row["distilled"], row["n_relations"], row["n_problems"]) == ("D", 2, 10)
    assert row["d_area"] == pytest.approx(0.2)
    # The standard deviation of 0.1 and 0.3 is 0.2 / sqrt(2), the standard error 0.1.
    assert row["ci_low_d_area"] == pytest.approx(0.2 - 0.196)
    # Five of ten problems went from wrong to right: 0.5, of variance 10 / 9 * 0.25.
    assert row["d_accuracy"] == pytest.approx(0.5)
    half = 1.96 * math.sqrt(10 / 9 * 0.25 / 10)
    assert row["ci_high_d_accuracy"] == pytest.approx(0.5 + half)
    (said,) = read.mart("geometry_verdict", location).to_dicts()
    assert (said["n_pairs"], said["correlation"], said["answer"]) == (1, None, "NOT ENOUGH")


@pytest.mark.parametrize(("n", "sign"), [(9, 1), (10, -1), (10, 0)])
def test_ten_pairs_are_needed(lake, location, n, sign):
    sampled(lake, "b", 0)
    for i in range(n):
        sampled(lake, f"d{i}", i)
        # Without a sign every other pair gains, whatever it gains in accuracy.
        compared(lake, f"d{i}", [sign * (i + 0.5 * (i % 2)) / 100 if sign else (i % 2) / 100])
    (said,) = read.mart("geometry_verdict", location).to_dicts()
    assert (said["n_pairs"], said["n_bases"]) == (n, 1)
    if n < 10:
        assert (said["correlation"], said["answer"]) == (None, "NOT ENOUGH")
        return
    xs = [sign * (i + 0.5 * (i % 2)) if sign else i % 2 for i in range(n)]
    ys = range(n)
    mx, my = sum(xs) / n, sum(ys) / n
    sxy = sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True))
    r = sxy / math.sqrt(sum((x - mx) ** 2 for x in xs) * sum((y - my) ** 2 for y in ys))
    assert said["correlation"] == pytest.approx(r)
    assert said["ci_low_correlation"] == pytest.approx(math.tanh(math.atanh(r) - 1.96 / 7**0.5))
    assert said["answer"] == {-1: "go apart", 0: "no relation"}[sign]
