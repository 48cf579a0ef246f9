"""Intervals of the bootstrap against closed forms, and what has none."""

import numpy as np
import pytest

from measure import estimates
from measure.stability_verdicts import Estimate


def test_what_has_no_value_or_no_interval():
    zeros = np.zeros(30)
    assert estimates.ratio_of(zeros, zeros) == Estimate(None, None, None)
    assert estimates.mean_of(zeros) == Estimate(0.0, 0.0, 0.0)
    assert estimates.mean_of(np.array([])) == Estimate(None, None, None)
    one = np.array([3.0])
    assert estimates.mean_of(one) == Estimate(3.0, None, None)
    assert estimates.ratio_of(one, 2 * one) == Estimate(0.5, None, None)
    assert estimates.mean_of_draws(one[None]) == Estimate(3.0, None, None)


def test_a_ratio_by_hand():
    # 1 of 2 and 3 of 2: 4 / 4; resamples are 2/4, 4/4 and 6/4, the extremes one in four each.
    found = estimates.ratio_of(np.array([1.0, 3.0]), np.array([2.0, 2.0]))
    assert found == Estimate(1.0, 0.5, 1.5)


def test_draws_that_differ_widen_the_interval():
    # Two draws of -1 and 1 whatever the pair: resampled draws give -1, 0 or 1.
    values = np.repeat([[-1.0], [1.0]], 50, axis=1)
    assert estimates.mean_of_draws(values) == Estimate(0.0, -1.0, 1.0)
    # Draws that agree: the same as of one.
    rng = np.random.default_rng(0).normal(size=50)
    agreed = estimates.mean_of_draws(np.stack([rng, rng]))
    alone = estimates.mean_of(rng)
    assert (agreed.low, agreed.high) == pytest.approx((alone.low, alone.high))


def test_noise_is_seldom_causal():
    """Effects of mean 0: at most the 2.5 % that an interval lies below 0 by chance."""
    rng = np.random.default_rng(1)
    drawn = rng.normal(size=(200, 60))
    n_below = sum(estimates.mean_of(row).is_below_0 for row in drawn)
    assert n_below <= 12  # of 200, where 5 are expected
