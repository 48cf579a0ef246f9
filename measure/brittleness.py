"""How brittle a model is: what removing a component costs, over all of its components.

    mean drop = mean of drop_pct over components
    beta      = (mean drop of the student - of the teacher) / C,  C = 1 - params_S / params_T

Two bootstraps: over components (the paper's: what of other components of such a model) and over
prompts (what of other prompts). Both models of a pair are asked the same prompts, so theirs are
drawn together. A smaller model has fewer components and so carries more in each by construction:
beside the mean stand the five largest drops and their Gini, and a control of the student's size
where there is one. Noise alone makes a drop where nothing was carried, since drops below 0 count as
0: the floor is what it makes of components whose mean effect is taken away.

Source: Haskins & Adams 2026, arXiv 2505.10822, and its public code; the prompt bootstrap, the floor
and the control are OUR DEFINITION.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from measure.circuit_records import Against, Brittleness, BrittlenessDifference
from measure.errors import BadInput
from measure.influence import (
    Sweep,
    drop_pct,
    or_none,
    percentiles,
    refusal,
    resampled_means,
    retained_pct,
    task_baseline,
)
from measure.intervals import N_RESAMPLES, SEED, bootstrap_counts

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    Values = Float[NDArray[np.float64], "*batch components"]
    Means = Float[NDArray[np.float64], "*batch"]
    Drops = Float[NDArray[np.float64], " components"]

TOP = 5
TAIL_FROM = 20.0


# --- of drops in percent ----------------------------------------------------------------------


def top_drop(drops: Values) -> Means:
    """Mean of the five largest, or of all if there are fewer, %."""
    return np.sort(drops, axis=-1)[..., -TOP:].mean(-1)


def gini(drops: Values) -> Means:
    """0 if all drop alike, near 1 if one does alone; NaN if none does.

    G = (n + 1 - 2 sum_i sum_{j <= i} x_j / sum_j x_j) / n over x sorted upwards.
    """
    n = drops.shape[-1]
    running = np.cumsum(np.sort(drops, axis=-1), axis=-1)
    total = running[..., -1]
    return (n + 1 - 2 * running.sum(-1) / np.where(total > 0, total, np.nan)) / n


def tail_score(drops: Values) -> Means:
    """Mean of what exceeds 20 %, as a share of the 80 % that could: 0 to 1."""
    return np.maximum(0, drops - TAIL_FROM).mean(-1) / (100 - TAIL_FROM)


# --- one row a model ----------------------------------------------------------------------------


_SUMMARIES: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "mean_drop_pct": lambda drops: drops.mean(-1),
    "top5_drop_pct": top_drop,
    "gini_drop": gini,
    "tail_score": tail_score,
    "share_over_10_pct": lambda drops: (drops > 10).mean(-1),
    "share_over_20_pct": lambda drops: (drops > 20).mean(-1),
}


def drop_summaries(drops: Values) -> dict[str, float | None]:
    """Every statistic of a model's drops, by its name; drops in the paper's order."""
    found = {name: or_none(float(summary(drops))) for name, summary in _SUMMARIES.items()}
    low, high = component_interval(drops)
    return {**found, "ci_low_mean_drop_pct": low, "ci_high_mean_drop_pct": high}


def brittleness(sweep: Sweep) -> Brittleness:
    """Drops over all components, with both bootstraps; null with the reason if it cannot do it."""
    baseline = task_baseline(sweep.ld_clean)
    reason = baseline.reason if sweep.components else "no component"
    numbers: dict[str, float | None] = dict.fromkeys(_NUMBERS)
    if reason is None:
        numbers |= {**drop_summaries(drops_of(sweep)), **_prompt_intervals(sweep)}
        numbers["floor_mean_drop_pct"] = noise_floor(sweep)
    return Brittleness(
        n_components=len(sweep.components),
        n_prompts=baseline.n_prompts,
        **numbers,
        reason=reason,
    )


_NUMBERS = tuple(
    name
    for name in Brittleness.__dataclass_fields__
    if name not in ("n_components", "n_prompts", "reason")
)


def drops_of(sweep: Sweep) -> Drops:
    """Drop of each component in %, heads first, then MLPs."""
    clean = sweep.ld_clean.mean()
    retained = retained_pct(clean, clean - sweep.effects.mean(1))
    return sweep.in_paper_order(drop_pct(retained))


def _prompt_intervals(sweep: Sweep) -> dict[str, float | None]:
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in _SUMMARIES}
    for drops in _resampled_drops(sweep):
        for name, summary in _SUMMARIES.items():
            drawn[name].append(summary(drops))
    found: dict[str, float | None] = {}
    for name, values in drawn.items():
        prefix = "prompt_ci" if name == "mean_drop_pct" else "ci"
        low, high = percentiles(np.concatenate(values))
        found |= {f"{prefix}_low_{name}": or_none(low), f"{prefix}_high_{name}": or_none(high)}
    return found


def _resampled_drops(sweep: Sweep) -> Iterator[NDArray[np.float64]]:
    for clean, ablated in resampled_means(sweep):
        yield drop_pct(retained_pct(clean, ablated))


def noise_floor(sweep: Sweep) -> float:
    """95 % of the mean drop in % that the prompts' noise makes of components without an effect."""
    n, mean = len(sweep.ld_clean), float(sweep.ld_clean.mean())
    noise = sweep.effects - sweep.effects.mean(1, keepdims=True)
    drawn = [
        drop_pct(100 - 100 * (counts @ noise.T / n) / mean).mean(1)
        for counts in bootstrap_counts(n)
    ]
    return float(np.quantile(np.concatenate(drawn), 0.95))


def component_interval(drops: Drops) -> tuple[float, float]:
    """95 % of the mean over components drawn with replacement, as published."""
    rng = np.random.default_rng(SEED)
    drawn = [rng.choice(drops, len(drops)).mean() for _ in range(N_RESAMPLES)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


# --- a student against its teacher, or against a model of its own size --------------------------


def compression(params_teacher: float, params_student: float) -> float | None:
    """C = 1 - params_S / params_T of counts in one unit; None if the student is no smaller."""
    share = 1 - params_student / params_teacher
    return share if share > 0 else None


def difference_of_drops(
    other: Drops,
    student: Drops,
    *,
    against: Against,
    compression: float | None,
    paper_mode: bool = False,
) -> BrittlenessDifference:
    """Of drops in %, in the paper's order; beta is null without a compression.

    Raises:
        BadInput: a control that has another number of components than the student.
    """
    _check_size(against, len(other), len(student))
    rng = np.random.default_rng(SEED)
    drawn = np.empty(N_RESAMPLES)
    for i in range(N_RESAMPLES):
        mean_other = rng.choice(other, len(other)).mean()
        drawn[i] = rng.choice(student, len(student)).mean() - mean_other
    found = float(drawn.mean() if paper_mode else student.mean() - other.mean())
    low, high = (float(end) for end in np.percentile(drawn, [2.5, 97.5]))

    def for_compression(points: float, unit: float) -> float | None:
        return None if compression is None else points / compression * unit

    return BrittlenessDifference(
        against=against,
        is_paper_mode=paper_mode,
        n_components_student=len(student),
        n_components_other=len(other),
        n_prompts=None,
        difference_pct=found,
        ci_low_difference_pct=low,
        ci_high_difference_pct=high,
        prompt_ci_low_difference_pct=None,
        prompt_ci_high_difference_pct=None,
        compression=compression,
        beta=for_compression(found, 1),
        ci_low_beta=for_compression(low, 1),
        ci_high_beta=for_compression(high, 1),
        per_tenth=for_compression(found, 0.1),
        ci_low_per_tenth=for_compression(low, 0.1),
        ci_high_per_tenth=for_compression(high, 0.1),
        reason=None,
    )


def brittleness_difference(
    other: Sweep,
    student: Sweep,
    *,
    against: Against,
    compression: float | None,
    paper_mode: bool = False,
) -> BrittlenessDifference:
    """A student against its teacher, or against another model of its own number of components.

    Null with the reason where either cannot do the task. Prompts are drawn together for both models
    where they were asked as many: they are then the same.

    Raises:
        BadInput: a control that has another number of components than the student.
    """
    _check_size(against, len(other.components), len(student.components))
    n_prompts = min(len(other.ld_clean), len(student.ld_clean))
    reason = refusal({against: other, "student": student})
    if reason is not None:
        return BrittlenessDifference(
            against=against,
            is_paper_mode=paper_mode,
            n_components_student=len(student.components),
            n_components_other=len(other.components),
            n_prompts=n_prompts,
            compression=compression,
            **dict.fromkeys(_OF_DROPS),
            reason=reason,
        )
    row = difference_of_drops(
        drops_of(other),
        drops_of(student),
        against=against,
        compression=compression,
        paper_mode=paper_mode,
    )
    means = [[drops.mean(-1) for drops in _resampled_drops(sweep)] for sweep in (student, other)]
    low, high = percentiles(np.concatenate(means[0]) - np.concatenate(means[1]))
    return replace(
        row,
        n_prompts=n_prompts,
        prompt_ci_low_difference_pct=or_none(low),
        prompt_ci_high_difference_pct=or_none(high),
    )


def _check_size(against: Against, n_other: int, n_student: int) -> None:
    if against == "size-matched control" and n_other != n_student:
        raise BadInput(
            f"a control of {n_other} components for a student of {n_student}: "
            "a size-matched control has as many"
        )


_OF_DROPS = (
    "difference_pct",
    "ci_low_difference_pct",
    "ci_high_difference_pct",
    "prompt_ci_low_difference_pct",
    "prompt_ci_high_difference_pct",
    "beta",
    "ci_low_beta",
    "ci_high_beta",
    "per_tenth",
    "ci_low_per_tenth",
    "ci_high_per_tenth",
)
