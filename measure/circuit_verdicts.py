"""Verdicts on distilled circuits: what may be said of a student and its teacher, and why.

As in `measure/verdicts.py`, functions of summary numbers and thresholds, so that published tables
go through the same code as measured rows. Rules: Haskins & Adams 2026, arXiv 2505.10822, where it
states one; the size-matched control is OUR DEFINITION.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

from measure.verdicts import Verdict, shown

if TYPE_CHECKING:  # types for the reader; a verdict needs no matrices
    from measure.circuit_records import Matching, Normalisation

BASELINE: tuple[Normalisation, Matching] = ("max", "greedy")  # the one that the paper states


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Rank correlation, -1 to 1, ties at their mean rank; None where either is constant."""
    x, y = _ranks(a), _ranks(b)
    dx, dy = ([value - fmean(of) for value in of] for of in (x, y))
    size = math.sqrt(sum(v * v for v in dx) * sum(v * v for v in dy))
    return sum(v * w for v, w in zip(dx, dy, strict=True)) / size if size else None


def _ranks(values: Sequence[float]) -> list[float]:
    if not values:
        return [0.0]
    ordered = sorted(values)
    first = {value: i for i, value in reversed(list(enumerate(ordered)))}
    last = {value: i for i, value in enumerate(ordered)}
    return [(first[value] + last[value]) / 2 for value in values]


# --- brittleness --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A number with its 95 %; None: not known."""

    value: float | None = None
    low: float | None
    high: float | None


def more_brittle(
    teacher: Interval, student: Interval, difference: Interval, control: Interval | None = None
) -> Verdict:
    """'more brittle', 'more brittle, by its size', 'not more brittle' or 'unknown'.

    Mean drops in %; the student's less the teacher's, in any unit; `control`: the student's less
    that of another model of its own size. All over components.
    """
    apart = _above(student.low, teacher.high)
    larger = _above(difference.low, 0)
    found = False if False in (apart, larger) else None if None in (apart, larger) else True
    reasons = [
        f"mean drop {_interval(student)}, teacher {_interval(teacher)}: "
        f"{ {True: 'apart', False: 'they overlap', None: 'unknown'}[apart] }",
        f"difference {_interval(difference)}: "
        f"{ {True: 'above 0', False: 'not above 0', None: 'unknown'}[larger] }",
    ]
    if not found:
        return _verdict("unknown" if found is None else "not more brittle", *reasons)
    beyond = None if control is None else _above(control.low, 0)
    if control is None or beyond is None:
        reasons.append("no control of its size: with fewer components each carries more anyway")
        return _verdict("more brittle", *reasons)
    reasons.append(f"less a control of its size {_interval(control)}")
    return _verdict("more brittle" if beyond else "more brittle, by its size", *reasons)


# --- alignment ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantScore:
    """One row per pair of models and variant of alignment."""

    pair: str
    normalisation: Normalisation
    matching: Matching
    alignment: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSensitivity:
    """One row per variant: how far it departs from the baseline over the same pairs."""

    normalisation: Normalisation
    matching: Matching
    n_pairs: int
    spearman: float | None
    mean_abs_shift: float
    max_abs_shift: float
    max_pair: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityVerdict(Verdict):
    """'order holds', 'order changes' or 'unknown', and each variant, the most departing first."""

    variants: tuple[VariantSensitivity, ...]


def variant_sensitivity(
    scores: Sequence[VariantScore], baseline: tuple[Normalisation, Matching] = BASELINE
) -> SensitivityVerdict:
    """Whether the choice of variant changes which pair is aligned better."""
    table: dict[tuple[Normalisation, Matching], dict[str, float]] = {}
    for one in scores:
        table.setdefault((one.normalisation, one.matching), {})[one.pair] = one.alignment
    base = table.pop(baseline, {})
    rows = [_shift(variant, of, base) for variant, of in table.items() if of.keys() == base.keys()]
    rows = sorted(rows, key=lambda row: -row.max_abs_shift)
    if not rows or len(base) < 2:
        reason = f"{len(base)} pairs and {len(rows)} variants beside the baseline {baseline}"
        return SensitivityVerdict(label="unknown", reasons=(reason,), variants=tuple(rows))
    changed = [row for row in rows if row.spearman is None or row.spearman < 1 - 1e-9]
    shifts = [row.mean_abs_shift for row in rows]
    worst = rows[0]
    chance = 1 / math.factorial(len(base))
    return SensitivityVerdict(
        label="order changes" if changed else "order holds",
        reasons=(
            f"{len(base)} pairs in the same order in {len(rows) - len(changed)} of {len(rows)} "
            f"variants; a random order is the same with probability {chance:.2g}",
            f"mean shift {min(shifts):.3f} to {max(shifts):.3f}, largest {worst.max_abs_shift:.3f} "
            f"({worst.normalisation}, {worst.matching}, {worst.max_pair})",
        ),
        variants=tuple(rows),
    )


def _shift(
    variant: tuple[Normalisation, Matching], of: dict[str, float], base: dict[str, float]
) -> VariantSensitivity:
    shifts = {pair: abs(of[pair] - base[pair]) for pair in base}
    farthest = max(shifts, key=lambda pair: shifts[pair])
    return VariantSensitivity(
        normalisation=variant[0],
        matching=variant[1],
        n_pairs=len(base),
        spearman=spearman([of[pair] for pair in base], list(base.values())),
        mean_abs_shift=fmean(shifts.values()),
        max_abs_shift=shifts[farthest],
        max_pair=farthest,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOnTask:
    """One row per pair of models and task; logit differences are means over prompts."""

    pair: str
    ld_teacher: float
    ld_student: float
    alignment: float
    ci_low_alignment: float | None = None
    ci_high_alignment: float | None = None

    @property
    def delta_ld(self) -> float:
        """How far the two are from doing the task equally well, logits."""
        return abs(self.ld_teacher - self.ld_student)

    @property
    def mean_ld(self) -> float:
        """How well the two do it, logits."""
        return (self.ld_teacher + self.ld_student) / 2


def output_gap_as_proxy(pairs: Sequence[PairOnTask]) -> Verdict:
    """'not a proxy', 'proxy not excluded' or 'unknown': does a small output gap mean alignment?

    One pair that is nearer in its outputs and yet aligned less, by intervals that are apart where
    they are known, is enough against it.
    """
    if len(pairs) < 2:
        return _verdict("unknown", f"{len(pairs)} pairs, at least 2 are needed")
    against = [
        f"{near.pair} is nearer in logit difference than {far.pair} ({near.delta_ld:.2f} against "
        f"{far.delta_ld:.2f}) and aligned less ({near.alignment:.3f} against {far.alignment:.3f})"
        for one, other in combinations(pairs, 2)
        for near, far in [sorted((one, other), key=lambda pair: pair.delta_ld)]
        if near.delta_ld < far.delta_ld and _aligned_less(near, far)
    ]
    if against:
        return _verdict("not a proxy", *against)
    return _verdict(
        "proxy not excluded", f"in {len(pairs)} pairs the nearer in logit difference aligns no less"
    )


def _aligned_less(one: PairOnTask, other: PairOnTask) -> bool:
    upper = one.alignment if one.ci_high_alignment is None else one.ci_high_alignment
    lower = other.alignment if other.ci_low_alignment is None else other.ci_low_alignment
    return upper < lower


def _above(number: float | None, limit: float | None) -> bool | None:
    return None if number is None or limit is None else number > limit


def _interval(of: Interval) -> str:
    value = "" if of.value is None else f"{shown(of.value)} "
    return f"{value}[{shown(of.low)}, {shown(of.high)}]"


def _verdict(label: str, *reasons: str) -> Verdict:
    return Verdict(label=label, reasons=reasons)
