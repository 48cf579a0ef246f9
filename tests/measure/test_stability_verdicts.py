"""Decisions of given numbers; the envelope by hand, and against every other never falling one."""

import itertools

import numpy as np
import pytest

from measure import stability_verdicts as verdicts
from measure.stability_verdicts import Estimate, Thresholds

T = Thresholds()


@pytest.mark.parametrize(
    ("delta_k", "delta_r", "noise", "n", "label"),
    [
        (0.05, 0.11, 0.1, 50, "ASYMMETRIC"),
        (0.051, 0.11, 0.1, 50, "NOT ASYMMETRIC"),  # capability did not travel
        (0.0, 0.1, 0.1, 50, "NOT ASYMMETRIC"),  # within the noise
        (0.0, 0.11, 0.1, 49, "NOT ENOUGH"),
        (None, 0.11, 0.1, 50, "NOT ENOUGH"),
        (0.0, None, 0.1, 50, "NOT ENOUGH"),
        (0.0, 0.11, None, 50, "NOT ENOUGH"),
    ],
)
def test_asymmetry(delta_k, delta_r, noise, n, label):
    assert verdicts.asymmetry(delta_k, delta_r, noise, n, T)[0] == label


def test_reasons_are_the_comparisons():
    _, reasons = verdicts.asymmetry(0.02, 0.3, 0.1, 60, T)
    assert reasons == ["delta K 0.020 <= 0.050", "delta R 0.300 > 0.100 (noise)"]
    assert verdicts.asymmetry(0.02, 0.3, 0.1, 6, T)[1] == ["6 stories tested, 50 are needed"]


NO = Estimate(None, None, None)


@pytest.mark.parametrize(
    ("plus", "delta_r", "noise", "ratio", "n", "gaps", "label"),
    [
        (0.06, 0.0, 0.1, Estimate(1.0, 0.9, 1.1), 50, (True, False, False), "HOLDS"),
        (0.05, 0.2, 0.1, Estimate(1.0, 0.9, 1.1), 50, (False, True, False), "HOLDS"),
        (0.05, 0.1, 0.1, Estimate(1.3, 1.11, 1.5), 50, (False, False, True), "HOLDS"),
        (0.05, 0.1, 0.1, Estimate(1.3, 1.1, 1.5), 50, (False, False, False), "COUNTER-EXAMPLE"),
        (0.05, 0.1, 0.1, NO, 50, (False, False, None), "NOT ENOUGH"),
        (0.5, 0.1, 0.1, NO, 50, (True, False, None), "HOLDS"),
        (None, None, 0.1, NO, 50, (None, None, None), "NOT ENOUGH"),
        (0.0, 0.0, 0.1, Estimate(1.0, 0.9, 1.1), 10, (False, False, False), "NOT ENOUGH"),
    ],
)
def test_proposition_1(plus, delta_r, noise, ratio, n, gaps, label):
    found = verdicts.proposition(plus, delta_r, noise, ratio, n, T)
    assert (found.has_capability_gap, found.has_stability_gap, found.has_hidden_burden) == gaps
    assert found.label == label


# --- envelope -----------------------------------------------------------------------------------


def test_envelope_by_hand():
    # Of fewer than 10 points a 0.9-quantile is their largest; rising points are their own envelope.
    x = np.array([0.3, 0.1, 0.2])
    np.testing.assert_array_equal(verdicts.envelope(x, np.array([3.0, 1.0, 2.0])), [3, 1, 2])
    # A point that falls is lifted to the one before it.
    found = verdicts.envelope(np.array([1.0, 2, 3]), np.array([1.0, 5, 2]))
    np.testing.assert_array_equal(found, [1, 5, 5])
    # Two students at one delta K share the larger.
    found = verdicts.envelope(np.array([1.0, 1, 2]), np.array([1.0, 2, 3]))
    np.testing.assert_array_equal(found, [2, 2, 3])


def test_one_in_ten_may_lie_above_the_envelope():
    # Ten students at one delta K: the 0.9-quantile is the ninth.
    y = np.arange(1.0, 11)
    np.testing.assert_array_equal(verdicts.envelope(np.zeros(10), y), np.full(10, 9.0))


def loss(fitted, y):
    over = y - fitted
    return np.maximum(0.9 * over, -0.1 * over).sum()


@pytest.mark.parametrize("seed", range(8))
def test_no_never_falling_function_has_less_loss(seed):
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.normal(size=5)), rng.integers(0, 4, size=5).astype(float)
    found = verdicts.envelope(x, y)
    assert (np.diff(found) >= 0).all()
    every = itertools.combinations_with_replacement(sorted(set(y)), 5)
    assert loss(found, y) == pytest.approx(min(loss(np.array(one), y) for one in every))


# --- coupling -----------------------------------------------------------------------------------


def test_rank_correlation_by_its_formula():
    one, other = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 9])
    # 1 - 6 sum d^2 / (n (n^2 - 1)), ranks differ by 1 four times
    assert verdicts.spearman(one, other).value == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert verdicts.spearman(one, -one).value == pytest.approx(-1)
    # Ties share ranks: (1.5, 1.5, 3) against (1, 2, 3).
    found = verdicts.spearman(np.array([1.0, 1, 2]), np.array([1.0, 2, 3])).value
    assert found == pytest.approx(np.corrcoef([1.5, 1.5, 3], [1, 2, 3])[0, 1])
    assert verdicts.spearman(np.ones(5), one) == NO


RISING = np.array([0.01, 0.1, 0.2, 0.3, 0.4, 0.5])


def decide(delta_k, delta_r, n_problems=60):
    noise = np.full(len(delta_k), 0.05)
    outcome, _, reasons = verdicts.coupling(delta_k, delta_r, noise, n_problems, T)
    return outcome, "; ".join(reasons)


def test_coupled_students_are_found():
    assert decide(RISING, RISING)[0] == "supported"


@pytest.mark.parametrize(
    ("delta_k", "delta_r", "outcome", "why"),
    [
        (RISING, RISING[::-1], "not supported", "envelope of delta R at delta K 0.010 0.500 >"),
        (RISING, np.array([0.04, 0.3, 0.05, 0.2, 0.06, 0.1]), "not supported", "[-"),
        (RISING + 0.05, RISING, "untestable", "no student has delta K <= 0.05"),
        (RISING[:4], RISING[:4], "not run", "4 students, 5 are needed"),
        (RISING, np.zeros(6), "not supported", "not defined"),
    ],
)
def test_what_is_not_coupled(delta_k, delta_r, outcome, why):
    found, reasons = decide(delta_k, delta_r)
    assert found == outcome and why in reasons


def test_few_problems_decide_nothing():
    assert decide(RISING, RISING, 49)[0] == "not run"
