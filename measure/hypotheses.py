"""The theory's hypotheses as tests that can fail, each a paired bootstrap over stories.

Where the teacher is constraint-coupled, a plain teacher matched in accuracy, with students of its
own, is what H1, H3 and H4 compare with; without one they are not run.

    H1  slope of delta R on delta K over students, less that of the plain family's       > 0
    H2  (short - long) and (clean - perturbed) accuracy of output-only students less the
        teacher's own; with a plain family, less the same there; both                    > 0
    H3  mean accuracy of students less that of the plain family's, at matched teachers   < 0,
        and mean R of students not higher
    H4  mean delta R of students with delta K <= epsilon, less the plain family's        < 0

Source: arXiv 2603.25022, which publishes no numbers: how each is tested is OUR DEFINITION.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from measure import stability, stability_verdicts
from measure.stability import CAPABILITY, COMPONENTS, CONDITIONS, HORIZONS, R
from measure.stability_records import Hypothesis, HypothesisName, HypothesisOutcome
from measure.stability_verdicts import Estimate, Thresholds
from measure.students import Family, Student, estimate

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from measure.stability import Drawn
    from measure.students import Draws

MIN_FOR_SLOPE = 3


def hypotheses(own: Family, plain: Family | None, thresholds: Thresholds) -> Iterator[Hypothesis]:
    """The coupling of a teacher's students, then H1 to H4."""
    outcome, correlation, reasons = stability_verdicts.coupling(
        *own.points(), own.n_problems, thresholds
    )
    yield _row("coupling", outcome, correlation, reasons, own, None)
    few = stability_verdicts.few_problems(own.n_problems, thresholds)
    for name, test in _TESTS.items():
        decided = _Decided("not run", reasons=[few]) if few else test(own, plain, thresholds)
        yield _row(name, decided.outcome, decided.estimate, decided.reasons, own, plain)


def _row(
    name: HypothesisName,
    outcome: HypothesisOutcome,
    found: Estimate,
    reasons: Sequence[str],
    own: Family,
    plain: Family | None,
) -> Hypothesis:
    return Hypothesis(
        hypothesis=name,
        outcome=outcome,
        estimate=found.value,
        ci_low_estimate=found.low,
        ci_high_estimate=found.high,
        n_problems=own.n_problems,
        n_students=len(own.students),
        n_plain_students=len(plain.students) if plain else 0,
        reasons="; ".join(reasons),
    )


@dataclass(frozen=True, slots=True)
class _Decided:
    outcome: HypothesisOutcome
    reasons: Sequence[str]
    estimate: Estimate = Estimate(None, None, None)


_NO_PLAIN = "no plain teacher with students of its own was given to compare with"


def _h1(own: Family, plain: Family | None, _: Thresholds) -> _Decided:
    if plain is None:
        return _Decided("not run", [_NO_PLAIN])
    slopes = [_slope(family.students) for family in (own, plain)]
    if slopes[0] is None or slopes[1] is None:
        counts = f"{len(own.students)} and {len(plain.students)} students"
        return _Decided("not run", [f"{counts}, {MIN_FOR_SLOPE} with delta K and delta R needed"])
    found = estimate(slopes[0] - slopes[1])
    if found.value is None:
        return _Decided("not run", ["students of one teacher do not differ in delta K"])
    reasons = [found.text("slope of delta R on delta K less the plain family's")]
    return _Decided("supported" if found.is_above_0 else "not supported", reasons, found)


def _slope(students: Sequence[Student]) -> Draws | None:
    """Least squares over students, in each draw."""
    known = [s for s in students if s.has_point]
    if len(known) < MIN_FOR_SLOPE:
        return None
    x, y = (np.stack([getattr(s, name) for s in known], axis=1) for name in ("delta_k", "delta_r"))
    x = x - x.mean(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (x * y).sum(1) / (x**2).sum(1)
    return np.where(np.isfinite(found), found, np.nan)


def _h2(own: Family, plain: Family | None, _: Thresholds) -> _Decided:
    families = [own] if plain is None else [own, plain]
    chosen = [[s for s in family.students if s.is_output_only] for family in families]
    if not all(chosen):
        return _Decided("not run", ["no student that learnt from outputs alone"])
    found: dict[str, Estimate] = {}
    for what, gap in (("short - long", _horizon_gap), ("clean - perturbed", _condition_gap)):
        more = [
            np.mean([gap(s.components) for s in students], axis=0) - gap(family.teacher)
            for family, students in zip(families, chosen, strict=True)
        ]
        found[what] = estimate(more[0] if plain is None else more[0] - more[1])
    against = "the teacher's" if plain is None else "the teacher's, less the plain family's same"
    reasons = [one.text(f"{what} accuracy less {against}") for what, one in found.items()]
    if any(one.value is None for one in found.values()):
        return _Decided("not run", reasons)
    least = min(found.values(), key=lambda one: one.low if one.low is not None else -np.inf)
    is_supported = all(one.is_above_0 for one in found.values())
    return _Decided("supported" if is_supported else "not supported", reasons, least)


def _accuracy(components: Drawn, kept: Sequence[str]) -> Draws:
    return stability.nanmean(components[:, [COMPONENTS.index(name) for name in kept]])


def _horizon_gap(components: Drawn) -> Draws:
    short, long = (
        _accuracy(components, [f"{horizon} {c}" for c in CONDITIONS]) for horizon in HORIZONS
    )
    return short - long


def _condition_gap(components: Drawn) -> Draws:
    clean, perturbed = (
        _accuracy(components, [f"{h} {condition}" for h in HORIZONS]) for condition in CONDITIONS
    )
    return clean - perturbed


def _h3(own: Family, plain: Family | None, thresholds: Thresholds) -> _Decided:
    if plain is None:
        return _Decided("not run", [_NO_PLAIN])
    if not own.students or not plain.students:
        return _Decided("not run", ["a teacher has no students"])
    teachers = [float(_accuracy(family.teacher, CAPABILITY)[0]) for family in (own, plain)]
    apart = abs(teachers[0] - teachers[1])
    matched = f"teachers' accuracies {teachers[0]:.3f} and {teachers[1]:.3f}"
    if not apart <= thresholds.epsilon_k:
        return _Decided("not run", [f"{matched}: not matched within {thresholds.epsilon_k}"])
    accuracy, proxies = (
        estimate(
            np.mean([of(s.components) for s in own.students], axis=0)
            - np.mean([of(s.components) for s in plain.students], axis=0)
        )
        for of in (lambda c: _accuracy(c, CAPABILITY), lambda c: stability.nanmean(c[:, R]))
    )
    reasons = [
        matched,
        accuracy.text("students' accuracy less the plain family's"),
        proxies.text("their mean R less the plain family's"),
        "equal budgets are taken as given",
    ]
    if accuracy.value is None or proxies.value is None:
        return _Decided("not run", reasons)
    is_supported = accuracy.is_below_0 and not proxies.is_above_0
    return _Decided("supported" if is_supported else "not supported", reasons, accuracy)


def _h4(own: Family, plain: Family | None, thresholds: Thresholds) -> _Decided:
    if plain is None:
        return _Decided("not run", [_NO_PLAIN])
    near = [
        [s for s in family.students if s.delta_k[0] <= thresholds.epsilon_k]
        for family in (own, plain)
    ]
    if not all(near):
        counts = f"{len(near[0])} and {len(near[1])} students"
        return _Decided("not run", [f"{counts} with delta K <= {thresholds.epsilon_k}"])
    found = estimate(
        np.mean([s.delta_r for s in near[0]], axis=0)
        - np.mean([s.delta_r for s in near[1]], axis=0)
    )
    counts = f"{len(near[0])} students against {len(near[1])}"
    reasons = [found.text(f"delta R of {counts} of the plain teacher, less theirs")]
    if found.value is None:
        return _Decided("not run", reasons)
    return _Decided("supported" if found.is_below_0 else "not supported", reasons, found)


_TESTS: Mapping[HypothesisName, Callable[[Family, Family | None, Thresholds], _Decided]] = {
    "H1": _h1,
    "H2": _h2,
    "H3": _h3,
    "H4": _h4,
}
