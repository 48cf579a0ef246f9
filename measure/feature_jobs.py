"""What latents do in use, as jobs: ablation, steering, and the geometry that goes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from measure import feature_ablation, feature_verdicts, parallelogram, residual, steering
from measure.crosscoder import Crosscoder
from measure.crosscoder_records import Label, Latent
from measure.errors import BadInput
from measure.feature_ablation import FILTER_ORDERS, TOP_PERCENTS, AblationSet, Context
from measure.feature_records import Side
from measure.models import CausalLM
from measure.parallelogram import N_AXES, Relation
from measure.problems import ProblemSet
from measure.prompts import Progress
from measure.records import Record
from measure.request import NO_PROMPTS, Measurement, sha256_of
from measure.rollouts import Sampling
from measure.run import Job
from measure.steering import AMPLITUDES, STEERED, Direction
from measure.text_sources import TextSource

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float
    from numpy.typing import NDArray

    PerLatent = Float[NDArray[np.float64], " latents"]
    Vectors = Float[NDArray[np.float64], "words d_model"]

N_TEXTS = 2_000  # the first ones, which the crosscoder is not trained on
N_NORM_TEXTS = 100


@dataclass(frozen=True)
class Trained:
    """A trained crosscoder, the measurement that made it, and its latents in order."""

    measurement_id: str
    crosscoder: Crosscoder
    layer: int
    latents: tuple[Latent, ...]

    @property
    def nrn(self) -> PerLatent:
        """0 to 1; NaN of dead latents."""
        return np.array([np.nan if one.nrn is None else one.nrn for one in self.latents])

    @property
    def fire_freq(self) -> PerLatent:
        """Share of tokens, 0 to 1."""
        return np.array([one.fire_freq for one in self.latents])


def first_texts(source: TextSource, n_texts: int = N_TEXTS) -> dict[str, str]:
    """Texts by their number, which sorts as it counts."""
    return {f"{i:06d}": text for i, text in enumerate(islice(source.texts(0), n_texts))}


# --- ablation -----------------------------------------------------------------------------------


def plan_ablation(
    models: Mapping[str, str],
    crosscoder_id: str,
    source: TextSource,
    *,
    dtype: str = "float32",
    device_kind: str = "cpu",
    batch_size: int = 32,
) -> Measurement:
    """Of `models` base and distilled; a unit is a filter order and a share of latents."""
    return Measurement(
        method=feature_ablation.METHOD,
        method_version=feature_ablation.VERSION,
        models=models,
        prompt_set=source.name,
        prompt_set_sha256=source.sha256,
        seeds=(0,),
        dtype=dtype,
        device_kind=device_kind,
        options={"inputs": {"crosscoder": crosscoder_id}},
        units=tuple(f"{order}-{percent}" for order in FILTER_ORDERS for percent in TOP_PERCENTS),
        batch_size=batch_size,
    )


@dataclass(frozen=True, slots=True)
class AblationJob(Job):
    """One that takes latents out of base and distilled model; it is run on the distilled."""

    base: CausalLM
    trained: Trained
    contexts: tuple[Context, ...]
    sets: tuple[AblationSet, ...]

    @classmethod
    def of(
        cls, measurement: Measurement, base: CausalLM, trained: Trained, source: TextSource
    ) -> AblationJob:
        """Draws contexts and sets; BadInput where no text has a word of a category."""
        contexts = feature_ablation.contexts(base, first_texts(source))
        if not contexts:
            raise BadInput(
                f"text {source.name!r} has none of the words that categories are told by, such as "
                "'wait' or 'therefore': give text that reasons"
            )
        sets = feature_ablation.ablation_sets(trained.nrn, trained.fire_freq)
        return cls(measurement, base, trained, tuple(contexts), tuple(sets))

    @property
    def n_passes(self) -> int:
        """Contexts, once a unit."""
        return len(self.contexts) * len(self.measurement.units)

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """Effects of one share of latents with its controls, and what they come to."""
        sets = [one for one in self.sets if f"{one.filter_order}-{one.top_percent}" == unit]
        found = list(
            feature_ablation.effects(
                (self.base, model),
                self.trained.crosscoder,
                self.trained.layer,
                self.contexts,
                sets,
                self.measurement.batch_size,
                progress,
            )
        )
        return [*found, *feature_verdicts.verdicts(found, sets, self.trained.fire_freq)]


# --- steering -----------------------------------------------------------------------------------


def directions(trained: Trained) -> dict[str, Direction]:
    """Units of a sweep: a latent a category that has one, and a random direction beside it."""
    largest = np.array([one.max_activation or 0.0 for one in trained.latents])
    labels: list[Label | None] = [one.category for one in trained.latents]
    found: dict[str, Direction] = {}
    for seed, category in enumerate(STEERED):
        latent = steering.latent_to_steer(trained.nrn, largest, labels, category)
        if latent is None:
            continue
        d_model = trained.crosscoder.d_model
        for one in (
            steering.direction_of(trained.crosscoder, latent, category),
            steering.random_direction(d_model, category, seed),
        ):
            found[f"{category}: {one.name}"] = one
    return found


def plan_steering(
    models: Mapping[str, str],
    crosscoder_id: str,
    units: Sequence[str],
    asked: ProblemSet,
    sampling: Sampling,
    source: TextSource,
    *,
    dtype: str = "float32",
    device_kind: str = "cpu",
    batch_size: int = 32,
) -> Measurement:
    """Of `models` base and distilled, which is steered; a unit is a direction."""
    return Measurement(
        method=steering.METHOD,
        method_version=steering.VERSION,
        models=models,
        prompt_set=asked.name,
        prompt_set_sha256=asked.sha256,
        seeds=(sampling.seed,),
        dtype=dtype,
        device_kind=device_kind,
        options={
            "inputs": {"crosscoder": crosscoder_id},
            "amplitudes": list(AMPLITUDES),
            "clean_text_sha256": source.sha256,
            **sampling.options(),
        },
        units=tuple(units),
        batch_size=batch_size,
    )


@dataclass(frozen=True, slots=True)
class SteeringJob(Job):
    """One that sweeps directions through the distilled model."""

    layer: int
    directions: Mapping[str, Direction]
    asked: ProblemSet
    sampling: Sampling
    source: TextSource

    @property
    def n_passes(self) -> int:
        """Completions to sample."""
        n_settings = len(self.measurement.units) * len(AMPLITUDES)
        return n_settings * len(self.asked.problems) * self.sampling.n_samples

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """One direction at all amplitudes."""
        texts = first_texts(self.source, N_NORM_TEXTS).values()
        rows = [feature_ablation.cut(model, model.encode(text)) for text in texts]
        batch_size = self.measurement.batch_size
        mean_norm = residual.mean_norm(model, self.layer, rows, batch_size)
        given = (mean_norm, self.asked, self.sampling, batch_size, progress)
        return list(steering.sweep(model, self.layer, self.directions[unit], *given))


# --- geometry -----------------------------------------------------------------------------------


def plan_parallelogram(
    models: Mapping[str, str],
    name: str,
    relations: Sequence[Relation],
    layer: int,
    *,
    dtype: str = "float32",
    device_kind: str = "cpu",
    batch_size: int = 64,
) -> Measurement:
    """Of `models` base and distilled; a unit is a relation, `name` is of all of them."""
    return Measurement(
        method=parallelogram.METHOD,
        method_version=parallelogram.VERSION,
        models=models,
        prompt_set=name or NO_PROMPTS,
        prompt_set_sha256=sha256_of([[one.name, one.pairs] for one in relations]),
        dtype=dtype,
        device_kind=device_kind,
        options={"layer": layer, "n_axes": list(N_AXES)},
        units=tuple(one.name for one in relations),
        batch_size=batch_size,
    )


@dataclass(frozen=True, slots=True)
class ParallelogramJob(Job):
    """One that reads words in base and distilled model; it is run on the distilled."""

    base: CausalLM
    layer: int
    relations: tuple[Relation, ...]

    @property
    def n_passes(self) -> int:
        """Words, in both models."""
        return 2 * sum(len(one.words) for one in self.relations)

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """One relation on 20 and on 2 axes."""
        relation = next(one for one in self.relations if one.name == unit)
        sides: dict[Side, CausalLM] = {"base": self.base, "distilled": model}
        given = (self.layer, self.measurement.batch_size, progress)
        states: dict[Side, Vectors] = {
            side: parallelogram.word_states(one, relation.words, *given)
            for side, one in sides.items()
        }
        return [
            record
            for n_axes in N_AXES
            for record in parallelogram.measure(relation, states, n_axes)
        ]
