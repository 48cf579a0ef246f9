"""What each component carries of a task: its effect, what is left without it, its influence.

With D the mean logit difference over prompts, and D_c that with component c ablated:

    retained_pct  = 100 D_c / D
    delta_p_pct   = 100 (D_c - D) / |D|                    (Eq. 4)
    drop_pct      = 100 - retained_pct, kept within 0 to 100
    influence_raw = max(0, D - D_c)                        logits
    influence     = influence_raw over its largest, its sum or its norm (Eq. 5: the largest)

A ratio to a D near 0 explodes and to a negative one turns over, so where the model cannot do the
task (D within its interval of 0, or below 0.5) there are raw effects and no more. Intervals are
over prompts. Source: Haskins & Adams 2026, arXiv 2505.10822; the refusal and the intervals are OUR
DEFINITION.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from measure.circuit_records import ComponentEffect, Normalisation, TaskBaseline
from measure.intervals import bootstrap_counts, bootstrap_interval, student_t_interval

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Bool, Float

    Values = Float[NDArray[np.float64], "*batch components"]
    Means = Float[NDArray[np.float64], "*batch"]

VERSION = 1  # raise it when a number changes: it is part of the measurement's id
MIN_LOGIT_DIFF = 0.5
FEW_PROMPTS = 10  # of fewer the bootstrap's interval is too narrow

NORMALISATIONS: tuple[Normalisation, ...] = ("max", "l1", "l2")


@dataclass(frozen=True, slots=True)
class Sweep:
    """One model's ablations on one task; components layer by layer, heads before the MLP."""

    components: Sequence[str]  # "L03.H07" a head, "L03.mlp" an MLP
    is_head: Bool[NDArray[np.bool_], " components"]
    ld_clean: Float[NDArray[np.float64], " prompts"]  # logits, answer minus foil
    ld_ablated: Float[NDArray[np.float64], "components prompts"]

    def __post_init__(self) -> None:
        n, n_prompts = len(self.components), len(self.ld_clean)
        if self.is_head.shape != (n,) or self.ld_ablated.shape != (n, n_prompts):
            raise ValueError(
                f"{n} components and {n_prompts} prompts, but is_head has shape "
                f"{self.is_head.shape} and ld_ablated {self.ld_ablated.shape}"
            )

    @property
    def effects(self) -> Float[NDArray[np.float64], "components prompts"]:
        """Logit difference that each ablation takes; of a dead component exactly 0."""
        return self.ld_clean - self.ld_ablated

    def in_paper_order(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Heads row by row, then MLPs: the bootstrap's draws follow the order of its list."""
        return np.concatenate([values[self.is_head], values[~self.is_head]])


def task_baseline(ld_clean: Float[NDArray[np.float64], " prompts"]) -> TaskBaseline:
    """Mean logit difference with its interval over prompts, and why nothing may be divided by it.

    Of fewer than 10 prompts the interval is Student's, else the bootstrap's.
    """
    n = len(ld_clean)
    low = high = None
    if n >= FEW_PROMPTS:
        low, high = bootstrap_interval(ld_clean[:, None], lambda means: means[:, 0])
    elif n > 1:
        low, high = student_t_interval(ld_clean)
    mean = float(ld_clean.mean()) if n else None
    return TaskBaseline(
        n_prompts=n,
        mean_ld=mean,
        ci_low_mean_ld=low,
        ci_high_mean_ld=high,
        answer_share=float((ld_clean > 0).mean()) if n else None,
        reason=_why_raw_only(n, mean, low, high),
    )


def _why_raw_only(n: int, mean: float | None, low: float | None, high: float | None) -> str | None:
    if mean is None or low is None or high is None:
        return f"{n} prompts, at least 2 are needed"
    if low <= 0 <= high:
        return f"mean logit difference {mean:.2f} [{low:.2f}, {high:.2f}] is not apart from 0"
    if mean < MIN_LOGIT_DIFF:
        return f"mean logit difference {mean:.2f} is below {MIN_LOGIT_DIFF}"
    return None


def refusal(sweeps: Mapping[str, Sweep]) -> str | None:
    """Why models cannot be compared on a task: each that cannot do it, by its role."""
    reasons = {role: task_baseline(sweep.ld_clean).reason for role, sweep in sweeps.items()}
    refused = [f"{role}: {reason}" for role, reason in reasons.items() if reason is not None]
    return "; ".join(refused) or None


# --- closed forms: means in, percent or influence out -------------------------------------------


def retained_pct(mean_clean: Means, mean_ablated: Values) -> Values:
    """Share of the mean logit difference that is left, %; NaN where there was none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 100 * mean_ablated / np.asarray(mean_clean)[..., None]
    return np.where(np.isfinite(share), share, np.nan)


def drop_pct(retained: Values) -> Values:
    """What is lost, 0 to 100 %: a component that helps by being gone drops 0."""
    return 100 - np.clip(retained, 0, 100)


def influence(raw: Values, normalisation: Normalisation) -> Values:
    """Eq. 5, 0 to 1, over all components of the last axis; NaN where all are 0."""
    size = {
        "max": raw.max(-1, keepdims=True),
        "l1": raw.sum(-1, keepdims=True),
        "l2": np.linalg.norm(raw, axis=-1, keepdims=True),
    }[normalisation]
    with np.errstate(invalid="ignore"):
        return raw / np.where(size > 0, size, np.nan)


# --- one row a component ------------------------------------------------------------------------


def component_effects(sweep: Sweep) -> list[ComponentEffect]:
    """A row a component, in the sweep's order; none of no prompts.

    Where the model cannot do the task, or no ablation lowers the logit difference, what is unknown
    is null and the reason says which of the two.
    """
    baseline = task_baseline(sweep.ld_clean)
    if baseline.mean_ld is None:
        return []
    clean, effect = baseline.mean_ld, sweep.effects.mean(1)
    ablated, raw = clean - effect, np.maximum(0, effect)
    retained = retained_pct(np.array(clean), ablated)
    drops = drop_pct(retained)
    effects, resampled = _intervals_over_prompts(sweep)
    influences = {how: influence(raw, how) for how in NORMALISATIONS}
    does_task = baseline.reason is None
    reason = baseline.reason or (None if raw.any() else "no ablation lowers the logit difference")

    def known(value: float) -> float | None:
        return float(value) if does_task and not np.isnan(value) else None

    return [
        ComponentEffect(
            component=name,
            kind="head" if sweep.is_head[i] else "mlp",
            n_prompts=baseline.n_prompts,
            mean_ld_clean=clean,
            mean_ld_ablated=float(ablated[i]),
            effect=float(effect[i]),
            ci_low_effect=or_none(effects[0, i]),
            ci_high_effect=or_none(effects[1, i]),
            influence_raw=float(raw[i]),
            retained_pct=known(retained[i]),
            delta_p_pct=known(-100 * effect[i] / abs(clean)) if clean else None,
            drop_pct=known(drops[i]),
            ci_low_drop_pct=known(resampled[0, i]),
            ci_high_drop_pct=known(resampled[1, i]),
            influence_max=known(influences["max"][i]),
            influence_l1=known(influences["l1"][i]),
            influence_l2=known(influences["l2"][i]),
            reason=reason,
        )
        for i, name in enumerate(sweep.components)
    ]


def _intervals_over_prompts(
    sweep: Sweep,
) -> tuple[Float[NDArray[np.float64], "2 components"], Float[NDArray[np.float64], "2 components"]]:
    """95 % of each component's effect and of its drop; NaN of one prompt."""
    if len(sweep.ld_clean) < 2:
        nothing = np.full((2, len(sweep.components)), np.nan)
        return nothing, nothing
    pairs = [
        (clean[:, None] - ablated, drop_pct(retained_pct(clean, ablated)))
        for clean, ablated in resampled_means(sweep)
    ]
    effects, drops = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return percentiles(effects), percentiles(drops)


def resampled_means(sweep: Sweep) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Mean logit differences, clean and ablated, of 10,000 draws of the prompts, in chunks."""
    n, effects = len(sweep.ld_clean), sweep.effects
    for counts in bootstrap_counts(n):
        clean = counts @ sweep.ld_clean / n
        yield clean, clean[:, None] - counts @ effects.T / n


def percentiles(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """2.5 and 97.5 over the first axis, the undefined left out; NaN where nothing is defined."""
    if np.isnan(drawn).all():
        return np.full((2, *drawn.shape[1:]), np.nan)
    return np.nanpercentile(drawn, [2.5, 97.5], axis=0)


def or_none(value: float) -> float | None:
    """The number, or None for NaN."""
    return None if np.isnan(value) else float(value)
