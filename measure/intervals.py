"""Intervals by bootstrap, nulls by sign flips: seeded, vectorised, the unit named by the caller.

Of a handful of values the bootstrap's interval is too narrow (of five it covers some 85 %, where
95 % are meant); there Student's t is used, which supposes that they are about normal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int

    Sample = Float[NDArray[np.float64], "units dims"]

N_RESAMPLES = 10_000
# Resamples held at once: 500 of 40 prompts by 20 gaps are 3 MB.
CHUNK = 500
SEED = 42
# 97.5 % quantiles of Student's t for 1, 2, ... 30 degrees of freedom.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
Z_95 = NormalDist().inv_cdf(0.975)  # 1.96


def wilson_interval(n_hits: int, n: int) -> tuple[float, float] | None:
    """95 % Wilson score interval of a share, 0 to 1; None of nothing.

    With z = 1.96: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).
    """
    if n == 0:
        return None
    share, slack = n_hits / n, Z_95**2 / n
    half = Z_95 * math.sqrt(share * (1 - share) / n + slack / (4 * n))
    low, high = ((share + slack / 2 + side * half) / (1 + slack) for side in (-1, 1))
    # Of none and of all the interval ends there; its arithmetic leaves a rounding.
    return (low if n_hits else 0.0), (high if n_hits < n else 1.0)


def newcombe_interval(n_hits: int, n: int, other_hits: int, other_n: int) -> tuple[float, float]:
    """95 % interval of a difference of two independent shares, -1 to 1 (Newcombe's method 10).

    With shares p, q and their Wilson intervals [l, u], [m, v]:
    p - q - sqrt((p-l)^2 + (v-q)^2) to p - q + sqrt((u-p)^2 + (q-m)^2).
    """
    one, other = wilson_interval(n_hits, n), wilson_interval(other_hits, other_n)
    if one is None or other is None:
        raise ValueError(f"shares of {n} and {other_n}: a share of none has no interval")
    p, q = n_hits / n, other_hits / other_n
    return (
        p - q - math.hypot(p - one[0], other[1] - q),
        p - q + math.hypot(one[1] - p, q - other[0]),
    )


def bootstrap_counts(
    n_units: int, n_resamples: int = N_RESAMPLES, chunk: int = CHUNK
) -> Iterator[Int[NDArray[np.int64], "resamples units"]]:
    """How often each unit is drawn in each resample, `chunk` resamples at a time.

    The same of every sample of so many units, so that two samples of the same units stay paired.
    """
    rng = np.random.default_rng(SEED)
    shares = np.full(n_units, 1 / n_units)
    for start in range(0, n_resamples, chunk):
        yield rng.multinomial(n_units, shares, size=min(chunk, n_resamples - start))


def bootstrap_interval(
    values: Sample, statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> tuple[float, float]:
    """Percentile 2.5 and 97.5 of a statistic of the mean over resampled units (rows).

    `statistic` maps means of shape [resamples, dims] to one number a resample, NaN where it is not
    defined; those resamples are left out.
    """
    n_units = len(values)
    drawn = [statistic(counts @ values / n_units) for counts in bootstrap_counts(n_units)]
    low, high = np.nanpercentile(np.concatenate(drawn), [2.5, 97.5])
    return float(low), float(high)


def student_t_interval(values: Float[NDArray[np.float64], " units"]) -> tuple[float, float]:
    """95 % interval of the mean of two values or more; of over 31 a little too wide."""
    n = len(values)
    half = _T[min(n - 1, len(_T)) - 1] * float(values.std(ddof=1)) / n**0.5
    return float(values.mean()) - half, float(values.mean()) + half


def sign_flip_null(values: Sample) -> Float[NDArray[np.float64], " resamples"]:
    """L2 norms of the mean of rows under 10,000 random sign vectors: no consistent direction."""
    rng = np.random.default_rng(SEED)
    norms: list[NDArray[np.float64]] = []
    for start in range(0, N_RESAMPLES, CHUNK):
        size = min(CHUNK, N_RESAMPLES - start)
        signs = rng.choice([-1.0, 1.0], size=(size, len(values)))
        norms.append(np.linalg.norm(signs @ values / len(values), axis=1))
    return np.concatenate(norms)
