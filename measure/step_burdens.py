"""Burden, load and region of trajectories: calibrated on some problems, measured on others.

`stability_limits` fits, on a model's right answers to the clean calibration problems, its feasible
region and what is usual by decile; `step_burden` holds each step of its rollouts on the other
problems against its own region and the teacher's limits. See `measure.burden` for the formulas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from measure import block_states, burden, rollouts, sentences
from measure.block_states import Trajectory
from measure.burden import Limits, Region
from measure.errors import BadInput
from measure.models import CausalLM
from measure.prompts import Progress
from measure.records import single
from measure.request import Measurement
from measure.sentence_scores import Texts
from measure.stability_records import (
    StabilityLimit,
    StabilityRegion,
    StepBurden,
    TrajectoryStability,
)
from measure.variants import Variant, VariantSet

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

LIMITS_METHOD = "stability_limits"
METHOD = "step_burden"
VERSION = 1  # of both; raise it when a number changes: it is part of the measurement's id
# States the region is fitted to, at most: 64 MiB at width 1,024.
MAX_STATES = 8_192


def plan_limits(
    model_id: str,
    texts: Texts,
    *,
    dtype: str = "float32",
    device_kind: str = "cpu",
    batch_size: int = 64,
) -> Measurement:
    """A model's region and limits, from its rollouts on the calibration problems."""
    return Measurement(
        method=LIMITS_METHOD,
        method_version=VERSION,
        models={"model": model_id},
        prompt_set=texts.prompt_set,
        prompt_set_sha256=texts.prompt_set_sha256,
        dtype=dtype,
        device_kind=device_kind,
        options={"plain_prompt": texts.plain_prompt},
        text_sha256=rollouts.texts_sha256(texts.rollouts),
        units=("all",),
        batch_size=batch_size,
    )


def plan(
    model_ids: Mapping[str, str],
    texts: Texts,
    inputs: Mapping[str, str],
    asked: VariantSet,
    *,
    dtype: str = "float32",
    device_kind: str = "cpu",
    batch_size: int = 64,
) -> Measurement:
    """Of a model against a teacher (by role); inputs: `region`, `limits` and `rollouts` by id."""
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models=model_ids,
        prompt_set=texts.prompt_set,
        prompt_set_sha256=texts.prompt_set_sha256,
        dtype=dtype,
        device_kind=device_kind,
        options={
            "plain_prompt": texts.plain_prompt,
            "inputs": dict(inputs),
            "links_sha256": asked.links_sha256,
        },
        text_sha256=rollouts.texts_sha256(texts.rollouts),
        units=texts.units,
        batch_size=batch_size,
    )


# --- calibration --------------------------------------------------------------------------------


def calibrate(
    model: CausalLM, texts: Texts, batch_size: int, progress: Progress
) -> list[StabilityRegion | StabilityLimit]:
    """The region of a model's right trajectories, and what is usual at each decile of them."""
    kept: list[Float[NDArray[np.float64], "states d_model"]] = []
    paths: list[Float[NDArray[np.float64], " steps"]] = []
    right = block_states.right_rollouts(texts)
    progress(len(texts.rollouts) - len(right))
    n_sentences = sum(len(sentences.segment(one.text)) for one in right)
    stride = max(1, -(-n_sentences // MAX_STATES))
    seen = 0
    for one in block_states.trajectories(model, right, texts.plain_prompt, batch_size, progress):
        if one.states is None:
            continue
        b = burden.burdens(one.states)
        if not np.isfinite(b).all():
            continue
        paths.append(b)
        kept.append(one.states[-seen % stride :: stride])
        seen += len(one.states)
    region = burden.fit_region(np.concatenate(kept)) if kept else None
    limits = burden.fit_limits(paths)
    return [
        _region_record(region, block_states.layer_of(model), len(paths), sum(map(len, kept))),
        *(_limit_records(limits) if limits else ()),
    ]


def _region_record(
    region: Region | None, layer: int, n_trajectories: int, n_states: int
) -> StabilityRegion:
    reason = None
    if region is None:
        reason = f"{n_states} states of right answers, {burden.MIN_STATES} that differ are needed"
    return StabilityRegion(
        n_trajectories=n_trajectories,
        n_states=n_states,
        layer=layer,
        n_axes=None if region is None else len(region.axes),
        radius=None if region is None else region.radius,
        center=None if region is None else _singles(region.center),
        axes=None if region is None else _singles(region.axes),
        variances=None if region is None else _singles(region.variances),
        reason=reason,
    )


def _singles(values: NDArray[np.float64]) -> tuple[float, ...]:
    """As exact as the fp32 states behind them."""
    return tuple(values.astype(np.float32).astype(np.float64).ravel().tolist())


def _limit_records(limits: Limits) -> Iterator[StabilityLimit]:
    for decile in range(burden.N_DECILES):
        yield StabilityLimit(
            decile=decile,
            n_steps=int(limits.n_steps[decile]),
            reach=int(limits.reach[decile]),
            b_limit=float(limits.burden[decile]),
            load_mean=float(limits.load_mean[decile]),
            load_sd=float(limits.load_sd[decile]),
        )


def region_of(record: StabilityRegion) -> Region | None:
    """The region as it was stored; None where there is none."""
    if record.center is None or record.axes is None or record.variances is None:
        return None
    assert record.radius is not None
    center = np.array(record.center)
    return Region(
        center=center,
        axes=np.array(record.axes).reshape(-1, len(center)),
        variances=np.array(record.variances),
        radius=record.radius,
        n_states=record.n_states,
    )


def limits_of(records: Sequence[StabilityLimit], teacher: str) -> Limits:
    """The limits as they were stored.

    Raises:
        BadInput: the teacher had too few right answers to find any.
    """
    if len(records) != burden.N_DECILES:
        raise BadInput(
            f"teacher {teacher!r} has fewer than {burden.MIN_PER_DECILE} steps in right answers to "
            "the calibration problems: give problems that it solves, or more `--samples`"
        )
    rows = sorted(records, key=lambda one: one.decile)
    return Limits(
        burden=np.array([one.b_limit for one in rows]),
        load_mean=np.array([one.load_mean for one in rows]),
        load_sd=np.array([one.load_sd for one in rows]),
        n_steps=np.array([one.n_steps for one in rows]),
        reach=np.array([one.reach for one in rows]),
    )


# --- measuring ----------------------------------------------------------------------------------


def measure_unit(
    model: CausalLM,
    texts: Texts,
    unit: str,
    asked: Mapping[str, Variant],
    region: Region | None,
    limits: Limits,
    batch_size: int,
    progress: Progress,
) -> Iterator[StepBurden | TrajectoryStability]:
    """The steps of one chunk of rollouts, and what they add up to; `asked`: by problem id."""
    first, last = (int(part) for part in unit.removeprefix("rollouts-").split("-"))
    given = texts.rollouts[first : last + 1]
    for one in block_states.trajectories(model, given, texts.plain_prompt, batch_size, progress):
        steps = list(_steps(one, region, limits))
        yield from steps
        yield _trajectory(one, steps, asked[one.rollout.problem_id])


def _steps(one: Trajectory, region: Region | None, limits: Limits) -> Iterator[StepBurden]:
    if one.states is None or one.entropy is None:
        return
    b, b_rel = burden.burdens(one.states), burden.relative_jumps(one.states)
    where = burden.deciles(len(one.states))
    load = burden.loads(b)
    rise = np.maximum(0, np.diff(one.entropy))
    distance = radius = np.full(len(b), np.nan)
    if region is not None:
        distance = region.distance(one.states[1:])
        radius = burden.radii(region.radius, load, where, limits)
    for t, u in enumerate(where.tolist()):
        arrived = one.sentences[t + 1]
        limit = float(limits.burden[u])
        yield StepBurden(
            problem_id=one.rollout.problem_id,
            sample=one.rollout.sample,
            t=t,
            n_states=len(one.states),
            decile=u,
            char_start=arrived.start,
            char_end=arrived.end,
            b=_or_none(b[t]),
            b_rel=_or_none(b_rel[t]),
            d_entropy_nats=float(rise[t]),
            attn_conc=None if one.attention is None else single(float(one.attention[t + 1])),
            b_limit=limit,
            is_violation=None if np.isnan(b[t]) else bool(b[t] > limit),
            path_load=_or_none(load[t]),
            distance=_or_none(distance[t]),
            radius=_or_none(radius[t]),
            is_outside=None if np.isnan(distance[t] + radius[t]) else bool(distance[t] > radius[t]),
            reason=_why_missing(one, region, load[t]),
        )


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _why_missing(one: Trajectory, region: Region | None, load: float) -> str | None:
    if np.isnan(load):
        return "a state of length 0 before it"
    if region is None:
        return "the model has no feasible region: too few right answers to the calibration problems"
    return None if one.attention is not None else "the attention of one block cannot be held"


def _trajectory(
    one: Trajectory, steps: Sequence[StepBurden], variant: Variant
) -> TrajectoryStability:
    violations = [step.is_violation for step in steps]
    outside = [step.is_outside for step in steps]
    has_burden = bool(steps) and None not in violations
    has_region = has_burden and None not in outside
    n_violations = sum(map(bool, violations)) if has_burden else None
    n_outside = sum(map(bool, outside)) if has_region else None
    n_both = sum(bool(s.is_violation and s.is_outside) for s in steps) if has_region else None
    load = steps[-1].path_load if has_burden else None
    reason = one.reason
    if reason is None and not has_region:
        reason = next(step.reason for step in steps if step.is_outside is None)
    return TrajectoryStability(
        problem_id=one.rollout.problem_id,
        sample=one.rollout.sample,
        story=variant.story,
        horizon=variant.horizon,
        condition=variant.condition,
        is_correct=one.rollout.is_correct,
        answer=one.rollout.answer,
        n_states=len(one.sentences),
        mean_b=None if load is None else load / len(steps),
        path_load=load,
        n_violations=n_violations,
        n_outside=n_outside,
        n_both=n_both,
        v_rate=None if n_violations is None else n_violations / len(steps),
        f_rate=None if n_outside is None else n_outside / len(steps),
        reason=reason,
    )
