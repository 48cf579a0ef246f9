"""What a trace is made of: models' rollouts on one set of problems, and each one's scores of them.

Nothing runs here and nothing is kept: a `Kept` says what there is, and what is missing comes as a
job. Labels and attribution are read from complete rollouts and scores alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from measure import attribution, rollouts, run, sentence_scores, transfer
from measure.backends import TRANSFORMERS, Backend
from measure.problems import ProblemSet
from measure.provenance import Role
from measure.records import Record, Rollout, SentenceScore
from measure.request import Measurement
from measure.rollouts import Sampling
from measure.sentence_scores import Texts

# A measurement that runs no model, and what makes its records.
AtOnce = tuple[Measurement, Callable[[], list[Record]]]


class Kept(Protocol):
    """Where records are: a lake, or a file of lines."""

    def is_complete(self, measurement: Measurement) -> bool:
        """Whether all units of a measurement are there."""
        ...

    def rollouts(self, measurement_id: str) -> list[Rollout]:
        """The rollouts of a complete measurement, by problem and sample."""
        ...

    def scores(self, measurement_id: str) -> list[SentenceScore]:
        """The scores of a complete measurement, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class Scored:
    """Models' complete rollouts and scores: labels and attribution are read from them alone."""

    kept: Kept
    prompts: tuple[str, str]  # name and hash of the problems
    rollouts: Mapping[str, str]  # model_id of the writer -> measurement_id
    scores: Mapping[tuple[str, str], str]  # model_ids of reader and writer -> measurement_id

    def conclusions(
        self,
        teachers: Sequence[str],
        student: str,
        distilled: str,
        control: str | None,
        options: transfer.Options,
    ) -> list[AtOnce]:
        """All that is read from them: labels against each teacher, then the ranking of all."""
        candidates = [*teachers, *([] if control is None else [control])]
        others = [m for m in dict.fromkeys(candidates) if m not in (student, distilled)]
        return [
            *(self.labels(one, student, distilled, control, options) for one in teachers),
            self.attribution(student, distilled, others),
        ]

    def labels(
        self,
        teacher: str,
        student: str,
        distilled: str,
        control: str | None,
        options: transfer.Options,
    ) -> AtOnce:
        """The labels of the distilled model's and the student's sentences against a teacher."""
        used = {"teacher": teacher, "student": student, "distilled": distilled}
        if control is not None:
            used["control"] = control
        inputs = {
            f"{role}_on_{whose}": self.scores[reader, used[whose]]
            for role, reader in used.items()
            for whose in ("distilled", "student")
            if (role, whose) != ("control", "student")
        }
        inputs |= {
            f"rollouts_{whose}": self.rollouts[used[whose]] for whose in ("distilled", "student")
        }

        def of(whose: str, first: str) -> transfer.Scored:
            readers: dict[Role, str] = {
                "teacher": first,
                "student": "student",
                "distilled": "distilled",
            }
            return transfer.Scored(
                self.kept.rollouts(self.rollouts[used[whose]]),
                {
                    role: self.kept.scores(inputs[f"{by}_on_{whose}"])
                    for role, by in readers.items()
                },
            )

        def make() -> list[Record]:
            return transfer.measure(
                of("distilled", "teacher"),
                of("student", "teacher"),
                of("distilled", "control") if "control" in used else None,
                options,
            )

        return transfer.plan(used, inputs, self.prompts, options), make

    def attribution(self, student: str, distilled: str, candidates: Sequence[str]) -> AtOnce:
        """The ranking of candidates for the distilled model's teacher."""
        roles = attribution.candidate_roles(len(candidates))
        writers = {"distilled": distilled, **dict(zip(roles, candidates, strict=True))}
        used = {"student": student, **writers}
        inputs = {
            f"{by}_on_{whose}": self.scores[reader, writers[whose]]
            for by, reader in used.items()
            for whose in writers
        }
        options = attribution.Options()

        def of(whose: str) -> attribution.Scored:
            return attribution.Scored(
                self.kept.rollouts(self.rollouts[writers[whose]]),
                {by: self.kept.scores(inputs[f"{by}_on_{whose}"]) for by in used},
            )

        def make() -> list[Record]:
            return attribution.measure({whose: of(whose) for whose in writers}, options)

        return attribution.plan(used, inputs, self.prompts, options), make


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked of every model, and how."""

    asked: ProblemSet
    sampling: Sampling
    imported: Mapping[str, Sequence[Rollout]] = field(default_factory=dict[str, Sequence[Rollout]])
    dtype: str = "float32"
    device_kind: str = "cpu"
    batch_size: int = 64
    backend: Backend = TRANSFORMERS


class Readings:
    """Models by id: `imported` has the rollouts of those that were sampled elsewhere."""

    def __init__(self, kept: Kept, settings: Settings) -> None:
        self.kept = kept
        self.settings = settings
        self._texts: dict[str, Texts] = {}

    def rollout_job(self, model_id: str) -> run.RolloutJob:
        """The job that samples a model's rollouts."""
        asked, sampling = self.settings.asked, self.settings.sampling
        plan = rollouts.plan(model_id, asked, sampling, **self._machine())
        return run.RolloutJob(plan, asked, sampling)

    def rollout_plan(self, model_id: str) -> Measurement:
        """The measurement of a model's rollouts, sampled or imported."""
        if (imported := self.settings.imported.get(model_id)) is not None:
            return rollouts.plan_import(model_id, self.settings.asked, imported)
        return self.rollout_job(model_id).measurement

    def texts(self, model_id: str) -> Texts:
        """A model's rollouts, once all are there; they do not change then."""
        if model_id not in self._texts:
            found = self.kept.rollouts(self.rollout_plan(model_id).measurement_id)
            asked, plain = self.settings.asked, self.settings.sampling.plain_prompt
            self._texts[model_id] = Texts(asked.name, asked.sha256, tuple(found), plain)
        return self._texts[model_id]

    def score_job(self, reader: str, writer: str) -> run.ScoreJob:
        """The job that scores the writer's rollouts, which are there, under the reader."""
        texts = self.texts(writer)
        return run.ScoreJob(sentence_scores.plan(reader, texts, **self._machine()), texts)

    def scored(self, writers: Sequence[str], readers: Sequence[str]) -> Scored:
        """The rollouts of these writers and their scores by these readers, once all are there."""
        return Scored(
            self.kept,
            (self.settings.asked.name, self.settings.asked.sha256),
            {writer: self.rollout_plan(writer).measurement_id for writer in writers},
            {
                (reader, writer): self.score_job(reader, writer).measurement.measurement_id
                for reader in readers
                for writer in writers
            },
        )

    def are_complete(self, writers: Sequence[str], readers: Sequence[str]) -> bool:
        """Whether no model has to run any more."""
        if not all(self.kept.is_complete(self.rollout_plan(writer)) for writer in writers):
            return False
        jobs = (self.score_job(reader, writer) for reader in readers for writer in writers)
        return all(self.kept.is_complete(job.measurement) for job in jobs)

    def _machine(self) -> dict[str, Any]:
        return {
            "dtype": self.settings.dtype,
            "device_kind": self.settings.device_kind,
            "batch_size": self.settings.batch_size,
            "backend": self.settings.backend,
        }
