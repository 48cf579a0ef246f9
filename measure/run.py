"""What is measured on one model, in order, and the records of each unit as it is done."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Generic, Literal, Self, TypeVar, cast

from measure import fisher, functional, rollouts, sentence_scores, structural
from measure.backends import TRANSFORMERS, Backend, hooks_needed, with_hooks
from measure.errors import BadInput, OutOfMemory
from measure.problems import ProblemSet
from measure.prompts import Progress, PromptSet
from measure.records import PppFit, Record, TauKind, rows_by_table
from measure.request import Measurement
from measure.rollouts import Sampling
from measure.sentence_scores import Texts
from measure.text_model import TextModel

# Whether a job reads texts alone, or states too: what it can be measured on.
M = TypeVar("M", bound=TextModel)


@dataclass(frozen=True, slots=True)
class Job(ABC, Generic[M]):
    """A planned measurement that runs a model, and what it needs for that."""

    measurement: Measurement

    @property
    @abstractmethod
    def n_passes(self) -> int:
        """Texts that go through the model, reruns included: what the progress bar counts."""

    @abstractmethod
    def records(self, model: M, unit: str, progress: Progress) -> list[Record]:
        """Measure one unit.

        Raises:
            OutOfMemory: the batch does not fit.
        """

    def halved(self, error: OutOfMemory) -> Self:
        """The same in half of the batch that did not fit."""
        return self.with_batch_size(max(1, min(error.batch_size, self.measurement.batch_size) // 2))

    def with_batch_size(self, batch_size: int) -> Self:
        """The same measurement in other batches; its id stays."""
        return replace(self, measurement=replace(self.measurement, batch_size=batch_size))


@dataclass(frozen=True, slots=True)
class PromptJob(Job[TextModel]):
    """One on a set of prompts, and on given texts if there are any."""

    prompts: PromptSet
    texts: Mapping[str, str] | None = None

    @property
    def n_passes(self) -> int:
        """Prompts that go through the model, reruns included."""
        n_prompts, n_units = len(self.prompts.prompts), len(self.measurement.units)
        match self.measurement.method:
            case structural.METHOD:
                return 2 * n_units * min(structural.prompts_per_seed(_tau(self)), n_prompts)
            case fisher.METHOD:
                return n_units * min(structural.PROMPTS_PER_SEED, n_prompts)
            case _:
                return n_prompts

    def records(self, model: TextModel, unit: str, progress: Progress) -> list[Record]:
        """Measure one unit."""
        method = self.measurement.method
        given = (self.prompts, unit, self.measurement.batch_size, progress)
        if method == structural.METHOD:
            return list(structural.measure_unit(with_hooks(model, method), *given, _tau(self)))
        if method == fisher.METHOD:
            curvatures = list(fisher.measure_unit(with_hooks(model, method), *given))
            return [*curvatures, fisher.summarize(curvatures)]
        return list(functional.measure_unit(model, *given, self.texts, _fit(self)))


@dataclass(frozen=True, slots=True)
class RolloutJob(Job[TextModel]):
    """One that samples completions on problems."""

    asked: ProblemSet
    sampling: Sampling

    @property
    def n_passes(self) -> int:
        """Completions to sample."""
        return len(self.asked.problems) * self.sampling.n_samples

    def records(self, model: TextModel, unit: str, progress: Progress) -> list[Record]:
        """Sample one unit."""
        batch_size = self.measurement.batch_size
        return list(
            rollouts.measure_unit(model, self.asked, unit, self.sampling, batch_size, progress)
        )


@dataclass(frozen=True, slots=True)
class ScoreJob(Job[TextModel]):
    """One that scores the sentences of given rollouts."""

    texts: Texts

    @property
    def n_passes(self) -> int:
        """Rollouts to score."""
        return len(self.texts.rollouts)

    def records(self, model: TextModel, unit: str, progress: Progress) -> list[Record]:
        """Score one unit."""
        batch_size = self.measurement.batch_size
        return list(sentence_scores.measure_unit(model, self.texts, unit, batch_size, progress))


@dataclass(frozen=True, slots=True)
class UnitResult:
    """The records of one unit, to be committed together."""

    unit: str
    records: Sequence[Record]
    duration_s: float

    def tables(self) -> dict[str, list[dict[str, object]]]:
        """The records as dicts, column by column, by the table that keeps them."""
        return rows_by_table(self.records)


Method = Literal["structural", "template", "fisher"]
METHODS: tuple[Method, ...] = ("structural", "template", "fisher")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user can choose for the measurements of a model."""

    bank: PromptSet
    canonical: PromptSet
    seeds: tuple[int, ...] = structural.DEFAULT_SEEDS
    tau: TauKind = structural.DEFAULT_TAU
    ppp_fit: PppFit = functional.DEFAULT_FIT
    dtype: str = "float32"
    device_kind: str = "cpu"
    batch_size: int = 20
    methods: tuple[Method, ...] = METHODS
    backend: Backend = TRANSFORMERS

    def __post_init__(self) -> None:
        beyond = [method for method in self.methods if method != functional.METHOD]
        if self.backend.name != "transformers" and beyond:
            raise BadInput(hooks_needed(beyond[0]))


def own_jobs(model_id: str, settings: Settings) -> list[PromptJob]:
    """What a model is run for by itself: tau, templates of its own greedy text, and curvature."""
    tau = structural.plan(
        model_id,
        settings.bank,
        seeds=settings.seeds,
        tau=settings.tau,
        dtype=settings.dtype,
        device_kind=settings.device_kind,
        batch_size=settings.batch_size,
    )
    curvature = fisher.plan(
        model_id,
        settings.bank,
        dtype=settings.dtype,
        device_kind=settings.device_kind,
        batch_size=settings.batch_size,
    )
    jobs = [
        PromptJob(tau, settings.bank),
        template_job(model_id, settings),
        PromptJob(curvature, settings.bank),
    ]
    return [job for job in jobs if job.measurement.method in settings.methods]


def template_job(
    model_id: str, settings: Settings, texts: Mapping[str, str] | None = None
) -> PromptJob:
    """Templates of a model on its own greedy text, or forced on its base's."""
    template = functional.plan(
        model_id,
        settings.canonical,
        texts=texts,
        dtype=settings.dtype,
        device_kind=settings.device_kind,
        batch_size=settings.batch_size,
        backend=settings.backend,
        fit=settings.ppp_fit,
    )
    return PromptJob(template, settings.canonical, texts)


def measure_units(
    model: M, job: Job[M], done: AbstractSet[str], progress: Progress
) -> Iterator[UnitResult]:
    """Yield each unit of a job that is not done yet.

    Raises:
        OutOfMemory: the batch does not fit; discard the job's units and restart at half of it.
    """
    for unit in job.measurement.units:
        if unit in done:
            continue
        began = time.perf_counter()
        records = job.records(model, unit, progress)
        yield UnitResult(unit, records, time.perf_counter() - began)


def at_once(make: Callable[[], Sequence[Record]]) -> UnitResult:
    """The one unit of a measurement that runs no model."""
    began = time.perf_counter()
    records = make()
    return UnitResult("all", records, time.perf_counter() - began)


def _tau(job: PromptJob) -> TauKind:
    """Which tau a structural job measures: part of what names it."""
    return cast("TauKind", job.measurement.options["tau"])


def _fit(job: PromptJob) -> PppFit:
    """By which fit a template job takes its residuals: part of what names it."""
    return cast("PppFit", job.measurement.options["ppp_fit"])
