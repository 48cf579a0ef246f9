"""Means and ratios with the interval of the bootstrap over their units."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from measure.intervals import SEED, bootstrap_counts
from measure.stability_verdicts import Estimate

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    Values = Float[NDArray[np.float64], " units"]
    Draws = Float[NDArray[np.float64], "draws units"]

UNKNOWN = Estimate(None, None, None)


def mean_of(values: Values) -> Estimate:
    """Mean with its interval, of fewer than two units without one."""
    if not len(values):
        return UNKNOWN
    return _estimate(float(values.mean()), _means(values[:, None])[:, 0])


def ratio_of(top: Values, bottom: Values) -> Estimate:
    """Ratio of sums, both resampled by units; over a sum of 0 there is none."""
    if not len(top) or bottom.sum() == 0:
        return UNKNOWN
    means = _means(np.stack([top, bottom], axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = means[:, 0] / means[:, 1]
    return _estimate(float(top.sum() / bottom.sum()), drawn)


def mean_of_draws(values: Draws) -> Estimate:
    """Mean with the interval of the bootstrap over units and, beside it, over draws."""
    if not values.size:
        return UNKNOWN
    by_draw = _means(values.T)
    rng = np.random.default_rng(SEED + 1)
    weights = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), len(by_draw))
    return _estimate(float(values.mean()), (by_draw * weights).sum(1) / len(values))


@lru_cache(maxsize=8)
def _counts(n_units: int) -> NDArray[np.float64]:
    """Kept, as many estimates are of the same units: of 100 it takes 8 MB."""
    return np.concatenate(list(bootstrap_counts(n_units))).astype(np.float64)


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(values) < 2:  # resamples of one unit are all the same: no certainty
        return np.full((1, values.shape[1]), np.nan)
    return _counts(len(values)) @ values / len(values)


def _estimate(value: float, drawn: NDArray[np.float64]) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    if len(known) == 0:
        return Estimate(value, None, None)
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(value, float(low), float(high))
