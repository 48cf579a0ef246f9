"""Models that sample and score on one set of problems: what of it the lake lacks, and making it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tqdm import tqdm

from flows import ledger
from flows.targets import organism
from measure import models, problems, rollouts, run, sources
from measure.errors import BadInput
from measure.models import CausalLM
from measure.problems import PLAIN_PROMPT, ZOO_SET
from measure.readings import Readings, Settings
from measure.records import Rollout, SentenceScore
from measure.request import Measurement
from measure.rollouts import Sampling
from warehouse.lake import Lake


class Sampled(BaseModel, ABC):
    """A user's choices for what is sampled and scored, as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    problems: str = ZOO_SET
    rollouts: str | None = None  # a file of those of `written_elsewhere`, made elsewhere
    n_samples: int = 16
    temperature: float = 0.6
    top_p: float = 0.95
    max_new_tokens: int = 512
    seed: int = 0
    plain_prompt: str = PLAIN_PROMPT
    dtype: str = "float32"
    device: str | None = None  # None: the first GPU, else the CPU
    batch_size: int = Field(default=64, ge=1)

    def sampling(self) -> Sampling:
        """How completions are drawn."""
        return Sampling(
            n_samples=self.n_samples,
            temperature=self.temperature,
            top_p=self.top_p,
            max_new_tokens=self.max_new_tokens,
            seed=self.seed,
            plain_prompt=self.plain_prompt,
        )

    @abstractmethod
    def writers(self) -> list[str]:
        """Every model that samples, once."""

    @abstractmethod
    def readers(self) -> list[str]:
        """Every model that scores, once."""

    @abstractmethod
    def written_elsewhere(self) -> str:
        """The model whose rollouts a file may bring."""


S = TypeVar("S", bound=Sampled)


def chosen_of(kind: type[S], options: Mapping[str, Any]) -> S:
    """The choices of a command line; BadInput for the first that cannot be."""
    try:
        chosen = kind.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        name = "--" + "-".join(str(part) for part in first["loc"]).replace("_", "-")
        given, why = first["input"], first["msg"].lower()
        raise BadInput(f"{name} {given!r} cannot be: {why}") from error
    chosen.sampling()  # refuses what cannot be sampled
    models.check_dtype(chosen.dtype)
    return chosen


class LakeKept:
    """Records as a lake keeps them."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def is_complete(self, measurement: Measurement) -> bool:
        """Whether all its units are committed."""
        return self._lake.is_complete(measurement.measurement_id)

    def rollouts(self, measurement_id: str) -> list[Rollout]:
        """The rollouts of a complete measurement, by problem and sample."""
        found = self._lake.query(
            "select * exclude (measurement_id) from rollout where measurement_id = ? "
            "order by problem_id, sample",
            [measurement_id],
        )
        return [Rollout(**row) for row in found.iter_rows(named=True)]

    def scores(self, measurement_id: str) -> list[SentenceScore]:
        """The scores of a complete measurement."""
        found = self._lake.query(
            "select * exclude (measurement_id) from sentence_score where measurement_id = ?",
            [measurement_id],
        )
        return [SentenceScore(**row) for row in found.iter_rows(named=True)]


class Sampler:
    """The state of one run. Not a dataclass: Prefect walks through those given to a task."""

    def __init__(self, lake: Lake, chosen: Sampled, device: str) -> None:
        self.lake = lake
        self.device = device
        self.asked = problems.load(chosen.problems)
        self.failures: dict[str, str] = {}  # reference -> why nothing can be said of it
        self.skipped: list[str] = [f"{chosen.problems}: {why}" for why in self.asked.skipped]
        self.n_new_units = 0
        self._chosen = chosen
        self._ids: dict[str, str] = {}
        self._loaded: tuple[str, CausalLM] | None = None
        imported: dict[str, list[Rollout]] = {}
        if chosen.rollouts is not None:
            found, skipped = rollouts.read(Path(chosen.rollouts), self.asked)
            imported = {self.model_id(chosen.written_elsewhere()): found}
            self.skipped += [f"{chosen.rollouts}: {why}" for why in skipped]
        for ref in (*chosen.writers(), *chosen.readers()):  # a wrong name is told at once
            self.model_id(ref)
        settings = Settings(
            self.asked,
            chosen.sampling(),
            imported,
            dtype=chosen.dtype,
            device_kind=device.split(":")[0],
            batch_size=chosen.batch_size,
        )
        self.readings = Readings(LakeKept(lake), settings)

    def go_on_in(self, lake: Lake) -> None:
        """Use a lake that was opened again; what is known of models stays."""
        self.lake = lake
        self.readings.kept = LakeKept(lake)

    def model_id(self, ref: str) -> str:
        """The id of a model, resolved once; a hub model is not downloaded for it."""
        if ref not in self._ids:
            self._ids[ref] = sources.model_id_of(ref)
        return self._ids[ref]

    def sample(self, ref: str) -> None:
        """Sample, or import, what is missing of a model's rollouts."""
        imported = self.readings.settings.imported.get(self.model_id(ref))
        if imported is None:
            self._run(ref, [self.readings.rollout_job(self.model_id(ref))])
            return
        plan = self.readings.rollout_plan(self.model_id(ref))
        if not self._is_done(plan):
            self._model(ref)  # known to the lake before anything is measured of it
        ledger.measure_at_once(self.lake, plan, lambda: list(imported), ref=ref)

    def score(self, ref: str) -> None:
        """Score what is missing of every model's rollouts under one of them."""
        writers = self.at_hand(self._chosen.writers())
        self._run(
            ref, [self.readings.score_job(self.model_id(ref), self.model_id(w)) for w in writers]
        )

    def tell_problems(self, tell: Callable[[str], None]) -> None:
        """Say how many problems there are, and which lines were none."""
        line = f"{self.asked.name}: {len(self.asked.problems)} problems"
        if self.asked.n_without_answer:
            line += f", {self.asked.n_without_answer} without an answer to compare with"
        tell(line)
        if self.skipped:
            tell(f"left out: {len(self.skipped)} lines, such as {self.skipped[0]}")

    def is_complete(self) -> bool:
        """Whether no model has to run any more."""
        writers, readers = (
            [self.model_id(ref) for ref in refs]
            for refs in (self._chosen.writers(), self._chosen.readers())
        )
        return self.readings.are_complete(writers, readers)

    def note(self, ref: str, error: BaseException | None) -> None:
        """Keep why a model could not be measured."""
        if error is not None:
            self.failures.setdefault(ref, ledger.outcome_of(error)[1])

    def at_hand(self, refs: Sequence[str]) -> list[str]:
        """Those of which nothing failed."""
        return [ref for ref in refs if ref not in self.failures]

    def _run(self, ref: str, jobs: Sequence[run.Job]) -> None:
        pending = [job for job in jobs if not self._is_done(job.measurement)]
        if not pending:
            return
        model = self._model(ref)
        with tqdm(
            total=sum(job.n_passes for job in pending),
            desc=f"{model.card.label[:28]:28s}",
            unit="rollout",
            disable=None,
        ) as bar:
            for job in pending:
                done = len(self.lake.units_done(job.measurement.measurement_id))
                n_units = max(1, len(job.measurement.units))
                bar.update(job.n_passes * done // n_units)
                ledger.measure_job(
                    self.lake,
                    model,
                    job,
                    ref=ref,
                    device=self.device,
                    progress=lambda n: ledger.advance(bar, n),
                )
                self.n_new_units += len(job.measurement.units) - done

    def _model(self, ref: str) -> CausalLM:
        """A model in memory, known to the lake; one at a time."""
        if self._loaded is None or self._loaded[0] != ref:
            self._loaded = None  # let go of one model before taking the next
            source = sources.find(ref)
            model = models.load(source, device=self.device, dtype=self._chosen.dtype)
            self._loaded = (ref, model)
            self.lake.add_models([asdict(model.card)])
            if source.kind == "zoo":
                self.lake.add_organisms([organism(ref, self.model_id)])
        return self._loaded[1]

    def _is_done(self, measurement: Measurement) -> bool:
        return self.lake.is_complete(measurement.measurement_id)
