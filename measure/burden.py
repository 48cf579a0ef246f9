"""Transition burden, path load and feasible region along a trajectory of reasoning steps.

Of a trajectory's states h_0 ... h_{n-1} (a state a sentence), for each step t from one to the next:

    burden     b_t = 1 - cos(h_t, h_{t+1})                      0 to 2
    path load  L_t = b_0 + ... + b_t                            never falls
    limit      B_u = 0.95 quantile of b at decile u = floor(10 t / n), over the teacher's correct
               clean trajectories on calibration problems
    distance   m_t = Mahalanobis distance of h_{t+1} / |h_{t+1}| from the model's own such states,
               in their 32 principal axes, covariance shrunk as by Ledoit and Wolf
    radius     r_t = r_0 max(1/2, exp(-0.1 max(0, (L_t - mu_u) / sigma_u))), r_0 the 0.99 quantile
               of m there, mu and sigma the teacher's load at the decile
    violation  b_t > B_u; outside the region: m_t > r_t

Source: arXiv 2603.25022, which leaves all of this open and publishes no numbers: every formula is
OUR DEFINITION. The load does not forget and its weights do not depend on t, as the source demands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int

    States = Float[NDArray[np.float64], "states d_model"]
    PerStep = Float[NDArray[np.float64], " steps"]
    PerDecile = Float[NDArray[np.float64], " deciles"]

N_DECILES = 10
MIN_STATES_IN_TRAJECTORY = 3
LIMIT_QUANTILE = 0.95
MIN_PER_DECILE = 20  # a 0.95 quantile of fewer is their maximum
N_AXES = 32
MIN_STATES = 2 * N_AXES
RADIUS_QUANTILE = 0.99
ROUNDING = 1e-12  # variance of directions of fp32 states that are equal, with room
LEAST_RADIUS, SHRINK = 0.5, 0.1


def burdens(states: States) -> PerStep:
    """1 - cos of each state and the next, 0 to 2; NaN beside a state of length 0."""
    norms = np.linalg.norm(states, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (states[:-1] * states[1:]).sum(1) / (norms[:-1] * norms[1:])
    return 1 - np.clip(cosine, -1, 1)


def relative_jumps(states: States) -> PerStep:
    """|h_{t+1} - h_t| / |h_t|, >= 0; NaN after a state of length 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.linalg.norm(np.diff(states, axis=0), axis=1) / np.linalg.norm(
            states[:-1], axis=1
        )
    return np.where(np.isfinite(found), found, np.nan)


def deciles(n_states: int) -> Int[NDArray[np.int64], " steps"]:
    """Where each step of a trajectory of `n_states` begins, 0 to 9."""
    return N_DECILES * np.arange(max(0, n_states - 1)) // max(1, n_states)


def loads(b: PerStep) -> PerStep:
    """The burden so far, after each step."""
    return np.cumsum(b)


# --- limits: what is usual for the teacher ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """By decile: the burden that 95 % of usual steps stay below, and the usual load."""

    burden: PerDecile
    load_mean: PerDecile
    load_sd: PerDecile
    n_steps: Int[NDArray[np.int64], " deciles"]  # that they are of
    reach: Int[NDArray[np.int64], " deciles"]  # deciles on either side that had to be taken in


def fit_limits(trajectories: Sequence[PerStep]) -> Limits | None:
    """Limits from burdens by trajectory; None of fewer than 20 steps.

    A decile of fewer than 20 steps takes in its neighbours, as many on either side as it needs.
    """
    if not trajectories:
        return None
    where = np.concatenate([deciles(len(b) + 1) for b in trajectories])
    b = np.concatenate(list(trajectories))
    load = np.concatenate([loads(b) for b in trajectories])
    if len(b) < MIN_PER_DECILE:
        return None
    rows = [_decile(u, where, b, load) for u in range(N_DECILES)]
    return Limits(
        *(np.array([row[i] for row in rows]) for i in range(3)),
        n_steps=np.array([row[3] for row in rows]),
        reach=np.array([row[4] for row in rows]),
    )


def _decile(
    u: int, where: NDArray[np.int64], b: PerStep, load: PerStep
) -> tuple[float, float, float, int, int]:
    reach = next(r for r in range(N_DECILES) if (abs(where - u) <= r).sum() >= MIN_PER_DECILE)
    near = abs(where - u) <= reach
    return (
        float(np.quantile(b[near], LIMIT_QUANTILE)),
        float(load[near].mean()),
        float(load[near].std(ddof=1)),
        int(near.sum()),
        reach,
    )


# --- the feasible region ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Region:
    """Where a model's states usually are: centre, principal axes (rows) and their variances."""

    center: Float[NDArray[np.float64], " d_model"]
    axes: Float[NDArray[np.float64], "axes d_model"]
    variances: Float[NDArray[np.float64], " axes"]  # of the directions of states, shrunk
    radius: float  # r_0, Mahalanobis
    n_states: int

    def distance(self, states: States) -> Float[NDArray[np.float64], " states"]:
        """Mahalanobis distance of the directions of states; NaN of a state of length 0."""
        scores = (directions(states) - self.center) @ self.axes.T
        return np.sqrt((scores**2 / self.variances).sum(1))


def directions(states: States) -> States:
    """States at length 1; NaN where there is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return states / np.linalg.norm(states, axis=1, keepdims=True)


def fit_region(states: States) -> Region | None:
    """The region of given states; None of fewer than 64, or where they do not differ."""
    unit = directions(states)
    unit = unit[np.isfinite(unit).all(1)]
    n_states = len(unit)
    if n_states < MIN_STATES:
        return None
    center = unit.mean(0)
    _, lengths, axes = np.linalg.svd(unit - center, full_matrices=False)
    axes = axes[:N_AXES][lengths[:N_AXES] ** 2 > ROUNDING * n_states]
    if not len(axes):
        return None
    variances = shrunk_variances((unit - center) @ axes.T)
    found = Region(center, axes, variances, 0.0, n_states)
    radius = float(np.quantile(found.distance(unit), RADIUS_QUANTILE))
    return Region(center, axes, variances, radius, n_states)


def shrunk_variances(
    scores: Float[NDArray[np.float64], "states axes"],
) -> Float[NDArray[np.float64], " axes"]:
    """Variances on principal axes, shrunk to their mean by the weight of Ledoit and Wolf (2004).

    Scores are centred and uncorrelated, so that the covariance is the diagonal of `variances`:
    weight = min(beta, delta) / delta, with delta = sum (variance - mean)^2 / p and
    beta = (mean |x|^4 - sum variance^2) / (n p).
    """
    n, p = scores.shape
    variances = (scores**2).mean(0)
    mean = variances.mean()
    delta = ((variances - mean) ** 2).sum() / p
    if delta == 0:
        return variances
    beta = (((scores**2).sum(1) ** 2).mean() - (variances**2).sum()) / (n * p)
    weight = min(beta, delta) / delta
    return (1 - weight) * variances + weight * mean


def radii(radius: float, load: PerStep, where: NDArray[np.int64], limits: Limits) -> PerStep:
    """The region's radius after each step: it shrinks with load beyond the teacher's usual one.

    At most `radius`, never below half of it.
    """
    above = load - limits.load_mean[where]
    with np.errstate(invalid="ignore", divide="ignore"):
        # Where the teacher's load does not vary, any load beyond it is far beyond it.
        excess = np.where(above > 0, above / limits.load_sd[where], 0.0)
    return radius * np.maximum(LEAST_RADIUS, np.exp(-SHRINK * excess))
