"""Steering: write while a latent's direction is added, and see what becomes of the reasoning.

    h_t <- h_t + a r d      after the block that the crosscoder reads, at every generated token

d is the latent's decoder row in the distilled model, at length 1; r the mean norm of the stream on
clean text; a the amplitude, 0 and -+0.05 to 0.4. Prompts are not steered. A random direction of the
same length is swept beside it: what any push of that size does is the floor.

Of a completion are told its length (tokens up to `</think>`, all of them where it does not come),
triggers of the latent's category per 100 tokens, whether the answer is right, and repetition: the
share of its 8-grams of tokens that stood there before.

    degenerate     mean repetition above 0.3
    over-thinking  the interval of the ratio of mean lengths above 1.2, and not more right answers
    incisive       that interval below 0.8, and at most 0.02 fewer right answers

against the same problems and seeds at amplitude 0; intervals are of the bootstrap over problems,
samples of a problem averaged first. Source: methods 3.5. That a setting is degenerate as a whole,
and that accuracy is compared by its means, is OUR DEFINITION.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from measure import categories, residual, rollouts
from measure.categories import Category, Label
from measure.crosscoder import Crosscoder
from measure.errors import BadInput
from measure.estimates import mean_of, ratio_of
from measure.feature_records import SteeredRollout, SteeringLabel, SteeringVerdict
from measure.models import CausalLM
from measure.problems import ProblemSet
from measure.prompts import Progress
from measure.records import Rollout
from measure.rollouts import Sampling
from measure.stability_verdicts import Estimate
from measure.zoo.problems import THINK_CLOSE, item_rng

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    PerProblem = Float[NDArray[np.float64], " problems"]

METHOD = "steering"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
AMPLITUDES = (-0.4, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.4)
STEERED: tuple[Category, ...] = ("self-reflection", "deductive")
N_GRAM = 8
MAX_REPETITION = 0.3
OVER, UNDER = 1.2, 0.8
MAX_DROP = 0.02
MIN_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Direction:
    """What is added, at length 1; `latent` is None of a random one."""

    name: str
    latent: int | None
    category: Category  # whose triggers are counted
    vector: Float[Tensor, " d_model"]


def direction_of(crosscoder: Crosscoder, latent: int, category: Category) -> Direction:
    """A latent's decoder row in the distilled model; BadInput if it has none there."""
    row = crosscoder.W_dec.detach()[latent, 1].float().cpu()
    if float(row.norm()) == 0:
        raise BadInput(f"latent {latent} has no direction in the distilled model: give another")
    return Direction(f"latent {latent}", latent, category, row / row.norm())


def random_direction(d_model: int, category: Category, seed: int) -> Direction:
    """Uniform on the sphere."""
    row = item_rng(seed, "random direction", 0).normal(size=d_model)
    vector = torch.from_numpy(row / np.linalg.norm(row)).float()
    return Direction(f"random {seed}", None, category, vector)


def latent_to_steer(
    nrn: Float[NDArray[np.float64], " latents"],
    max_activation: Float[NDArray[np.float64], " latents"],
    labels: Sequence[Label | None],
    category: Category,
) -> int | None:
    """Of a category's latents with NRN > 0.5 the one that fires highest; None if it has none.

    Where the category has only latents of the base, the one of largest NRN.
    """
    own = [i for i, label in enumerate(labels) if label == category and not np.isnan(nrn[i])]
    if not own:
        return None
    of_distilled = [i for i in own if nrn[i] > 0.5]
    if of_distilled:
        return max(of_distilled, key=lambda i: (max_activation[i], -i))
    return max(own, key=lambda i: (nrn[i], -i))


# --- completions --------------------------------------------------------------------------------


def steered(
    model: CausalLM,
    layer: int,
    direction: Direction,
    amplitude: float,
    mean_norm: float,
    asked: ProblemSet,
    sampling: Sampling,
    batch_size: int,
    progress: Progress,
) -> Iterator[SteeredRollout]:
    """Completions of all problems with a r d added; the same random numbers at any amplitude."""
    shift = (amplitude * mean_norm * direction.vector).to(model.device)

    def push(stream: Tensor) -> Tensor:
        # The sampler reads a prompt at once, and then its own tokens one after another.
        return stream + shift.to(stream.dtype) if stream.shape[1] == 1 else stream

    for problem in asked.problems:
        if len(rollouts.prompt_ids(model, problem.text, sampling.plain_prompt)) < 2:
            raise BadInput(f"problem {problem.problem_id!r} is one token: give a longer one")
    with residual.edited(model, layer, push):
        for unit in rollouts.units(asked, sampling.n_samples):
            for found in rollouts.measure_unit(model, asked, unit, sampling, batch_size, progress):
                yield _record(model, found, direction, amplitude)


def _record(
    model: CausalLM, found: Rollout, direction: Direction, amplitude: float
) -> SteeredRollout:
    ids, starts = model.encode_with_starts(found.text, specials=False)
    close = found.text.find(THINK_CLOSE)
    n_think = len(ids) if close < 0 else sum(start < close for start in starts)
    n_triggers = sum(t.category == direction.category for t in categories.triggers(found.text))
    return SteeredRollout(
        direction=direction.name,
        latent=direction.latent,
        category=direction.category,
        amplitude=amplitude,
        problem_id=found.problem_id,
        sample=found.sample,
        problem=found.problem,
        text=found.text,
        finish=found.finish,
        n_tokens=len(ids),
        n_think_tokens=n_think,
        is_closed=close >= 0,
        n_triggers=n_triggers,
        answer=found.answer,
        is_correct=found.is_correct,
        repetition=repetition(ids),
    )


def repetition(ids: Sequence[int]) -> float | None:
    """Share of the 8-grams that stood before, 0 to 1; None of fewer than 8 tokens."""
    grams = [tuple(ids[i : i + N_GRAM]) for i in range(len(ids) - N_GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else None


# --- verdicts -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Of one setting by problem, in order; NaN where not known."""

    length: PerProblem  # tokens of reasoning
    triggers: PerProblem
    tokens: PerProblem
    correct: PerProblem
    repetition: PerProblem

    @classmethod
    def of(cls, found: Sequence[SteeredRollout]) -> Outcomes:
        """Means over the samples of each problem."""
        by_problem: dict[str, list[SteeredRollout]] = {}
        for one in found:
            by_problem.setdefault(one.problem_id, []).append(one)
        rows = [by_problem[problem_id] for problem_id in sorted(by_problem)]
        return cls(
            length=np.array([_mean([o.n_think_tokens for o in own]) for own in rows]),
            triggers=np.array([_mean([o.n_triggers for o in own]) for own in rows]),
            tokens=np.array([_mean([o.n_tokens for o in own]) for own in rows]),
            correct=np.array([_mean([o.is_correct for o in own]) for own in rows]),
            repetition=np.array([_mean([o.repetition for o in own]) for own in rows]),
        )


def _mean(values: Sequence[float | bool | None]) -> float:
    known = [float(value) for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _known(values: PerProblem) -> Estimate:
    return mean_of(values[~np.isnan(values)])


def label(
    length_ratio: Estimate, d_accuracy: Estimate, repetition: Estimate, n_problems: int
) -> tuple[SteeringLabel, list[str]]:
    """The label, and the comparisons that decided it."""
    if n_problems < MIN_PROBLEMS:
        return "NOT ENOUGH", [f"{n_problems} problems, {MIN_PROBLEMS} are needed"]
    if length_ratio.value is None or length_ratio.low is None or length_ratio.high is None:
        return "NOT ENOUGH", ["no token at amplitude 0"]
    reasons = [repetition.text("repetition"), length_ratio.text("length ratio")]
    reasons.append(d_accuracy.text("change of accuracy"))
    if repetition.value is not None and repetition.value > MAX_REPETITION:
        return "degenerate", reasons
    if d_accuracy.value is None:
        return "NOT ENOUGH", reasons
    # Rounded: shares of problems differ by exactly 0.02 at times.
    change = round(d_accuracy.value, 9)
    if length_ratio.low > OVER and change <= 0:
        return "over-thinking", reasons
    if length_ratio.high < UNDER and change >= -MAX_DROP:
        return "incisive", reasons
    return "neither", reasons


def verdicts(found: Sequence[SteeredRollout]) -> Iterator[SteeringVerdict]:
    """One an amplitude of a direction, against its amplitude 0, which is among them."""
    by_amplitude: dict[float, list[SteeredRollout]] = {}
    for one in found:
        by_amplitude.setdefault(one.amplitude, []).append(one)
    clean = Outcomes.of(by_amplitude[0.0])
    for amplitude in sorted(by_amplitude):
        yield _verdict(by_amplitude[amplitude], clean)


def _verdict(found: Sequence[SteeredRollout], clean: Outcomes) -> SteeringVerdict:
    own = Outcomes.of(found)
    length_ratio = ratio_of(own.length, clean.length)
    per_100 = ratio_of(100 * own.triggers, own.tokens)
    accuracy, d_accuracy = _known(own.correct), _known(own.correct - clean.correct)
    repeated = _known(own.repetition)
    decided, reasons = label(length_ratio, d_accuracy, repeated, len(own.length))
    return SteeringVerdict(
        direction=found[0].direction,
        latent=found[0].latent,
        category=found[0].category,
        amplitude=found[0].amplitude,
        n_problems=len(own.length),
        n_rollouts=len(found),
        n_closed=sum(one.is_closed for one in found),
        length=float(own.length.mean()),
        length_ratio=length_ratio.value,
        ci_low_length_ratio=length_ratio.low,
        ci_high_length_ratio=length_ratio.high,
        triggers_per_100=per_100.value,
        ci_low_triggers_per_100=per_100.low,
        ci_high_triggers_per_100=per_100.high,
        accuracy=accuracy.value,
        ci_low_accuracy=accuracy.low,
        ci_high_accuracy=accuracy.high,
        d_accuracy=d_accuracy.value,
        ci_low_d_accuracy=d_accuracy.low,
        ci_high_d_accuracy=d_accuracy.high,
        repetition=repeated.value,
        ci_low_repetition=repeated.low,
        ci_high_repetition=repeated.high,
        label=decided,
        reasons="; ".join(reasons),
    )


def sweep(
    model: CausalLM,
    layer: int,
    direction: Direction,
    mean_norm: float,
    asked: ProblemSet,
    sampling: Sampling,
    batch_size: int,
    progress: Progress,
    amplitudes: Sequence[float] = AMPLITUDES,
) -> Iterator[SteeredRollout | SteeringVerdict]:
    """A direction at all amplitudes, 0 among them, and what each does."""
    given = (mean_norm, asked, sampling, batch_size, progress)
    found = [
        one
        for amplitude in amplitudes
        for one in steered(model, layer, direction, amplitude, *given)
    ]
    yield from found
    yield from verdicts(found)
