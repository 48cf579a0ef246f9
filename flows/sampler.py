"""Models that sample and score on one set of problems: what of it the lake lacks, and making it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from flows import ledger
from flows.choice import validated
from flows.runner import Runner
from measure import backends, models, problems, rollouts
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
    backend: backends.Name = "transformers"
    tensor_parallel_size: int = 1
    quantization: str | None = None
    chat_template: str | None = None  # a file

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
    chosen = validated(kind, options)
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


class Sampler(Runner):
    """The state of one run."""

    def __init__(self, lake: Lake, chosen: Sampled, device: str) -> None:
        backend = backends.parse(chosen.model_dump(include=set(backends.KEYS)))
        super().__init__(lake, device, chosen.dtype, backend=backend, batch_size=chosen.batch_size)
        self.asked = problems.load(chosen.problems)
        self.skipped: list[str] = [f"{chosen.problems}: {why}" for why in self.asked.skipped]
        self._chosen = chosen
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
            backend=backend,
        )
        self.readings = Readings(LakeKept(lake), settings)

    def go_on_in(self, lake: Lake) -> None:
        """Use a lake that was opened again; what is known of models stays."""
        self.lake = lake
        self.readings.kept = LakeKept(lake)

    def sample(self, ref: str) -> None:
        """Sample, or import, what is missing of a model's rollouts."""
        imported = self.readings.settings.imported.get(self.model_id(ref))
        if imported is None:
            self.run(ref, [self.readings.rollout_job(self.model_id(ref))])
            return
        plan = self.readings.rollout_plan(self.model_id(ref))
        if not self.is_done(plan):
            self.text_model(ref)  # known to the lake before anything is measured of it
        ledger.measure_at_once(self.lake, plan, lambda: list(imported), ref=ref)

    def score(self, ref: str) -> None:
        """Score what is missing of every model's rollouts under one of them."""
        writers = self.at_hand(self._chosen.writers())
        self.run(
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
