"""Intervals of shares: by the equation that they solve."""

import pytest

from measure.intervals import wilson_interval

Z2 = 3.841458820694124  # the 95 % point of chi squared with one degree: 1.96 squared


@pytest.mark.parametrize(("n_hits", "n"), [(1, 10), (5, 10), (148, 238), (999, 1000)])
def test_both_ends_are_1_96_standard_errors_away(n_hits, n):
    """Each end p solves (k / n - p)^2 = z^2 p (1 - p) / n, one below the share and one above."""
    low, high = wilson_interval(n_hits, n)
    assert 0 < low < n_hits / n < high < 1
    for end in (low, high):
        assert (n_hits / n - end) ** 2 == pytest.approx(Z2 * end * (1 - end) / n)


def test_none_and_all_by_hand():
    """With k = 0 the equation is p = z^2 (1 - p) / n: p = z^2 / (n + z^2); all is its mirror."""
    assert wilson_interval(0, 10) == (0, pytest.approx(Z2 / (10 + Z2)))
    assert wilson_interval(10, 10) == (pytest.approx(10 / (10 + Z2)), 1)
    assert wilson_interval(0, 1) == (0, pytest.approx(Z2 / (1 + Z2)))


def test_of_nothing_there_is_no_interval():
    assert wilson_interval(0, 0) is None
