"""What numbers of capability and stability proxies decide: pure functions, no models, no files.

Source: arXiv 2603.25022 states the conditions without numbers; thresholds are OUR DEFINITION.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from measure.intervals import N_RESAMPLES, SEED
from measure.stability_records import AsymmetryLabel, HypothesisOutcome, PropositionLabel

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    Points = Float[NDArray[np.float64], " students"]

ENVELOPE_QUANTILE = 0.9


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What the decisions turn on."""

    epsilon_k: float = 0.05  # capability travelled if delta_k is at most this
    load_ratio: float = 1.1  # burden is hidden if the ratio's interval is above this
    min_problems: int = 50  # stories
    min_students: int = 5  # of one teacher, for the coupling


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; None where not defined."""

    value: float | None
    low: float | None
    high: float | None

    def text(self, name: str) -> str:
        """The number as a reason gives it."""
        if self.value is None:
            return f"{name} not defined"
        if self.low is None or self.high is None:
            return f"{name} {self.value:.3f}"
        return f"{name} {self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @property
    def is_above_0(self) -> bool:
        """Whether all of the interval is."""
        return self.low is not None and self.low > 0

    @property
    def is_below_0(self) -> bool:
        """Whether all of the interval is."""
        return self.high is not None and self.high < 0


def asymmetry(
    delta_k: float | None, delta_r: float | None, noise_r: float | None, n_problems: int,
    thresholds: Thresholds,
) -> tuple[AsymmetryLabel, list[str]]:  # fmt: skip
    """Eq. 2: capability travelled, and R differs by more than noise."""
    if too_few := few_problems(n_problems, thresholds):
        return "NOT ENOUGH", [too_few]
    if delta_k is None or delta_r is None or noise_r is None:
        return "NOT ENOUGH", ["K, R or its noise is not defined"]
    reasons = [
        _against("delta K", delta_k, thresholds.epsilon_k),
        _against("delta R", delta_r, noise_r) + " (noise)",
    ]
    is_asymmetric = delta_k <= thresholds.epsilon_k and delta_r > noise_r
    return ("ASYMMETRIC" if is_asymmetric else "NOT ASYMMETRIC"), reasons


def few_problems(n_problems: int, thresholds: Thresholds) -> str | None:
    """Why nothing is decided; None where there are problems enough."""
    if n_problems >= thresholds.min_problems:
        return None
    return f"{n_problems} stories tested, {thresholds.min_problems} are needed"


def _against(name: str, value: float, limit: float) -> str:
    return f"{name} {value:.3f} {'>' if value > limit else '<='} {limit:.3f}"


@dataclass(frozen=True, slots=True)
class Proposition:
    """What a student of a constraint-coupled teacher pays with; None where not known."""

    has_capability_gap: bool | None
    has_stability_gap: bool | None
    has_hidden_burden: bool | None
    label: PropositionLabel


def proposition(
    delta_k_plus: float | None, delta_r: float | None, noise_r: float | None,
    load_ratio: Estimate, n_problems: int, thresholds: Thresholds,
) -> Proposition:  # fmt: skip
    """Proposition 1: one gap at least; a student without any of the three is a counter-example."""
    found = (
        None if delta_k_plus is None else delta_k_plus > thresholds.epsilon_k,
        None if delta_r is None or noise_r is None else delta_r > noise_r,
        None if load_ratio.low is None else load_ratio.low > thresholds.load_ratio,
    )
    label: PropositionLabel = "NOT ENOUGH"
    if n_problems >= thresholds.min_problems:
        label = "HOLDS" if True in found else label
        label = "COUNTER-EXAMPLE" if found == (False, False, False) else label
    return Proposition(*found, label)


# --- coupling (Eq. 9) ---------------------------------------------------------------------------


def envelope(delta_k: Points, delta_r: Points) -> Points:
    """The isotonic upper 90 % envelope of delta_r over delta_k, at each point.

    The never falling function of least 0.9-quantile loss: at the i-th smallest delta_k the largest
    over a <= i of the smallest over b >= i of the 0.9-quantile of points a to b.
    """
    places, which = np.unique(delta_k, return_inverse=True)
    groups = [delta_r[which == i] for i in range(len(places))]
    n = len(groups)
    quantile = np.full((n, n), np.nan)
    for a in range(n):
        for b in range(a, n):
            joined = np.concatenate(groups[a : b + 1])
            quantile[a, b] = np.quantile(joined, ENVELOPE_QUANTILE, method="inverted_cdf")
    found = [max(quantile[a, i:].min() for a in range(i + 1)) for i in range(n)]
    return np.array(found)[which]


def spearman(one: Points, other: Points) -> Estimate:
    """Rank correlation with its bootstrap interval over students; not defined of equal values."""
    rng = np.random.default_rng(SEED)
    drawn = rng.integers(len(one), size=(N_RESAMPLES, len(one)))
    resampled = _correlations(_ranks(one[drawn]), _ranks(other[drawn]))
    observed = _correlations(_ranks(one[None]), _ranks(other[None]))[0]
    known = resampled[~np.isnan(resampled)]
    if np.isnan(observed) or not len(known):
        return Estimate(None, None, None)
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(float(observed), float(low), float(high))


def _ranks(rows: Float[NDArray[np.float64], "rows n"]) -> Float[NDArray[np.float64], "rows n"]:
    """From 1; equal values share the mean of theirs."""
    ranks = np.empty_like(rows)
    for i in range(rows.shape[1]):
        own = rows[:, i : i + 1]
        ranks[:, i] = (rows < own).sum(1) + ((rows == own).sum(1) + 1) / 2
    return ranks


def _correlations(
    one: Float[NDArray[np.float64], "rows n"], other: Float[NDArray[np.float64], "rows n"]
) -> Float[NDArray[np.float64], " rows"]:
    a, b = (x - x.mean(1, keepdims=True) for x in (one, other))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))


def coupling(
    delta_k: Points, delta_r: Points, noise_r: Points, n_problems: int, thresholds: Thresholds
) -> tuple[HypothesisOutcome, Estimate, list[str]]:  # fmt: skip
    """Eq. 9 over the students of one teacher, with the rank correlation it turns on."""
    nothing = Estimate(None, None, None)
    n = len(delta_k)
    if n < thresholds.min_students:
        return "not run", nothing, [f"{n} students, {thresholds.min_students} are needed"]
    if too_few := few_problems(n_problems, thresholds):
        return "not run", nothing, [too_few]
    nearest = int(np.argmin(delta_k))
    if delta_k[nearest] > thresholds.epsilon_k:
        why = f"no student has delta K <= {thresholds.epsilon_k}: the implication is vacuous"
        return "untestable", nothing, [why]
    top = float(envelope(delta_k, delta_r)[nearest])
    correlation = spearman(delta_k, delta_r)
    reasons = [
        _against(
            f"envelope of delta R at delta K {delta_k[nearest]:.3f}", top, float(noise_r[nearest])
        )
        + " (noise)",
        correlation.text("rank correlation of delta K and delta R"),
    ]
    is_coupled = top <= noise_r[nearest] and correlation.is_above_0
    return ("supported" if is_coupled else "not supported"), correlation, reasons
