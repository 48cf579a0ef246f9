"""Which of several students, right as often, kept most of its teacher's components.

Alignment is compared at equal accuracy alone (Haskins & Adams 2026, arXiv 2505.10822, recommend it
so): a student counts as equal if its accuracy less the best one's is not apart from 0 over prompts.
One is ahead of another if its alignment is larger on 95 % of the draws; those of which none is
ahead share a rank. Both rules, and that alignments whose MLPs are compared by different methods are
not ranked together, are OUR DEFINITION.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from measure.circuit_records import RankedStudent
from measure.influence import percentiles
from measure.intervals import bootstrap_interval, wilson_interval

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Bool, Float

    Draws = Float[NDArray[np.float64], " resamples"]


VERSION = 1  # raise it when a number changes: it is part of the measurement's id


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Student:
    """What is known of a student, on the same prompts and the same draws of them as the others."""

    name: str
    is_right: Bool[NDArray[np.bool_], " prompts"]
    alignment: float | None  # null with the reason
    draws: Draws | None
    mlp_method: str | None
    reason: str | None = None


def rank_students(students: Sequence[Student]) -> list[RankedStudent]:
    """The ranked first, by rank and then alignment; none of none."""
    if not students:
        return []
    best = max(students, key=lambda one: one.is_right.mean() if len(one.is_right) else -1)
    gaps = [_accuracy_gap(best, one) for one in students]
    reasons = [_why_unranked(one, best, gap) for one, gap in zip(students, gaps, strict=True)]
    rivals = [
        one.draws
        for one, reason in zip(students, reasons, strict=True)
        if reason is None and one.draws is not None
    ]
    rows = [
        _row(one, gap, None if reason else _rank(one.draws, rivals), reason)
        for one, gap, reason in zip(students, gaps, reasons, strict=True)
    ]
    return sorted(rows, key=lambda row: (row.rank or len(rows) + 1, -(row.alignment or 0)))


_Gap = tuple[float | None, float | None, float | None]


def _accuracy_gap(best: Student, one: Student) -> _Gap:
    gap = best.is_right.astype(np.float64) - one.is_right
    if len(gap) < 2:
        return (float(gap.mean()) if len(gap) else None), None, None
    low, high = bootstrap_interval(gap[:, None], lambda means: means[:, 0])
    return float(gap.mean()), low, high


def _why_unranked(one: Student, best: Student, gap: _Gap) -> str | None:
    if one.alignment is None or one.draws is None:
        return one.reason or "alignment unknown"
    value, low, high = gap
    if value is None or low is None or high is None:
        return f"{len(one.is_right)} prompts, at least 2 are needed"
    if low > 0:
        return f"less often right than {best.name}, by {value:.3f} [{low:.3f}, {high:.3f}]"
    if best.mlp_method is not None and one.mlp_method != best.mlp_method:
        return f"MLPs compared by {one.mlp_method}, those of {best.name} by {best.mlp_method}"
    return None


def _rank(draws: Draws | None, rivals: Sequence[Draws]) -> int | None:
    if draws is None:
        return None
    return 1 + sum(float(np.nanpercentile(rival - draws, 2.5)) > 0 for rival in rivals)


def _row(one: Student, gap: _Gap, rank: int | None, reason: str | None) -> RankedStudent:
    n = len(one.is_right)
    accuracy = wilson_interval(int(one.is_right.sum()), n)
    low, high = (None, None) if one.draws is None else map(float, percentiles(one.draws))
    return RankedStudent(
        student=one.name,
        n_prompts=n,
        accuracy=float(one.is_right.mean()) if n else None,
        ci_low_accuracy=accuracy and accuracy[0],
        ci_high_accuracy=accuracy and accuracy[1],
        accuracy_gap=gap[0],
        ci_low_accuracy_gap=gap[1],
        ci_high_accuracy_gap=gap[2],
        alignment=one.alignment,
        ci_low_alignment=low,
        ci_high_alignment=high,
        rank=rank,
        reason=reason,
    )
