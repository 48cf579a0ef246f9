"""Does capability travel without what kept it stable? A teacher, its students, and the theory.

Of each student its distance from the teacher in capability K and in the stability proxies R, by one
bootstrap over stories for all models; then asymmetry (Eq. 2), Proposition 1, the coupling (Eq. 9)
and hypotheses H1 to H4, see `measure.hypotheses`. Source: arXiv 2603.25022, which publishes no
numbers: R and all decisions are OUR DEFINITION.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from measure import stability, stability_verdicts
from measure.hypotheses import hypotheses
from measure.request import Measurement
from measure.stability import CAPABILITY, COMPONENTS
from measure.stability_records import (
    Conclusion,
    CouplingPoint,
    ProfileKind,
    StabilityProfile,
    TeacherRole,
    TrajectoryStability,
)
from measure.stability_verdicts import Estimate, Thresholds
from measure.students import PLAIN_TEACHER, TEACHER, Components, Student, estimate, family

METHOD = "stability"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
_TEACHERS: tuple[TeacherRole, ...] = (TEACHER, PLAIN_TEACHER)
RETUNE = "retune"  # change of the violation rate by a fixed fine-tune, see measure.retune
_WHY_MISSING = {
    **dict.fromkeys(CAPABILITY, "no rollout with an answer to compare with"),
    "satisfaction": "no trajectory of 3 sentences or more",
    "feasibility": "no trajectory of 3 sentences or more, or no region to hold it against",
    "dependence": "its trajectories are all right, all wrong, or have no rates",
    "perturbation": "no problem is told clean and perturbed",
    "horizon": "no right answer on a short problem",
    stability.LOAD: "no trajectory of 3 sentences or more",
}


def plan(
    models: Mapping[str, str],
    inputs: Mapping[str, str],
    prompts: tuple[str, str],
    from_internals: AbstractSet[str],
    thresholds: Thresholds,
) -> Measurement:
    """Models and inputs (`step_burden` measurements) by role; `prompts`: tested problems, hash."""
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models=models,
        prompt_set=prompts[0],
        prompt_set_sha256=prompts[1],
        dtype="float64",
        backend="numpy",
        options={
            "inputs": dict(inputs),
            "from_internals": sorted(from_internals),
            "epsilon_k": thresholds.epsilon_k,
        },
        units=("all",),
    )


def measure(
    trajectories: Mapping[str, Sequence[TrajectoryStability]],
    from_internals: AbstractSet[str] = frozenset(),
    thresholds: Thresholds | None = None,
    retuned: Mapping[str, Sequence[TrajectoryStability]] | None = None,
) -> list[Conclusion]:
    """All records of trajectories by role; `from_internals`: students of more than outputs.

    `retuned`: trajectories on the clean problems after a fine-tune, of the roles that have them.
    """
    thresholds = thresholds or Thresholds()
    stories = sorted({one.story for given in trajectories.values() for one in given})
    tables = {role: stability.table(given, stories) for role, given in trajectories.items()}
    found = Components.of(tables)
    rows = list[Conclusion]()
    for role in trajectories:
        rows += _profile(found, role, stability.dependence_null(trajectories[role]))
        rows.append(_retune(role, trajectories[role], (retuned or {}).get(role), stories))
    families = {
        teacher: family(found, teacher, from_internals)
        for teacher in _TEACHERS
        if teacher in trajectories
    }
    for one in families.values():
        rows += [
            _point(student, float(top), thresholds)
            for student, top in zip(one.students, one.envelope(), strict=True)
        ]
    return [*rows, *hypotheses(families[TEACHER], families.get(PLAIN_TEACHER), thresholds)]


# --- profiles and points ------------------------------------------------------------------------


def _profile(found: Components, role: str, null: float | None) -> Iterator[StabilityProfile]:
    table, both = found.tables[role], found.both(role)
    for i, name in enumerate(COMPONENTS):
        value = estimate(both[:, i])
        kind: ProfileKind = "beside"
        if name in CAPABILITY:
            kind = "capability"
        elif name in stability.STABILITY:
            kind = "stability"
        yield StabilityProfile(
            role=role,
            kind=kind,
            component=name,
            value=value.value,
            ci_low_value=value.low,
            ci_high_value=value.high,
            null_value=null if name == "dependence" and value.value is not None else None,
            n_problems=table.n_problems[name],
            n_values=table.n_values[name],
            reason=None if value.value is not None else _WHY_MISSING[name],
        )


def _retune(
    role: str,
    before: Sequence[TrajectoryStability],
    after: Sequence[TrajectoryStability] | None,
    stories: Sequence[str],
) -> StabilityProfile:
    """Violation rate on the clean problems after a fine-tune, less that before it."""
    clean = [one for one in before if one.condition == "clean"]
    pair = [stability.table(given, stories) for given in (clean, after or [])]
    change, reason = Estimate(None, None, None), "no fine-tune was asked for"
    if after is not None:
        found = Components.of(dict(zip(("before", "after"), pair, strict=True)))
        at = COMPONENTS.index("satisfaction")  # 1 - violation rate
        change = estimate(found.both("before")[:, at] - found.both("after")[:, at])
        reason = "before or after it no trajectory of 3 sentences or more"
    return StabilityProfile(
        role=role,
        kind="beside",
        component=RETUNE,
        value=change.value,
        ci_low_value=change.low,
        ci_high_value=change.high,
        null_value=None,
        n_problems=pair[1].n_problems["satisfaction"],
        n_values=pair[1].n_values["satisfaction"],
        reason=reason if change.value is None else None,
    )


def _point(student: Student, envelope: float, thresholds: Thresholds) -> CouplingPoint:
    delta_k, plus, delta_r, ratio = (
        estimate(x)
        for x in (student.delta_k, student.delta_k_plus, student.delta_r, student.load_ratio)
    )
    label, reasons = stability_verdicts.asymmetry(
        delta_k.value, delta_r.value, student.noise_r, student.n_problems, thresholds
    )
    paid = stability_verdicts.proposition(
        plus.value, delta_r.value, student.noise_r, ratio, student.n_problems, thresholds
    )
    missing = [
        what
        for what, known in (
            ("delta K", delta_k.value),
            ("delta R", delta_r.value),
            ("its noise", student.noise_r),
            ("load ratio", ratio.value),
        )
        if known is None
    ]
    compared = [n for n, kept in zip(stability.STABILITY, student.is_compared, strict=True) if kept]
    return CouplingPoint(
        role=student.role,
        teacher_role=student.teacher,
        is_output_only=student.is_output_only,
        n_problems=student.n_problems,
        components=", ".join(compared),
        delta_k=delta_k.value,
        ci_low_delta_k=delta_k.low,
        ci_high_delta_k=delta_k.high,
        delta_k_plus=plus.value,
        ci_low_delta_k_plus=plus.low,
        ci_high_delta_k_plus=plus.high,
        delta_r=delta_r.value,
        ci_low_delta_r=delta_r.low,
        ci_high_delta_r=delta_r.high,
        noise_r=student.noise_r,
        load_ratio=ratio.value,
        ci_low_load_ratio=ratio.low,
        ci_high_load_ratio=ratio.high,
        envelope_r=None if np.isnan(envelope) else envelope,
        asymmetry=label,
        asymmetry_reasons="; ".join(reasons),
        has_capability_gap=paid.has_capability_gap,
        has_stability_gap=paid.has_stability_gap,
        has_hidden_burden=paid.has_hidden_burden,
        proposition=paid.label,
        reason=f"not defined: {', '.join(missing)}" if missing else None,
    )
