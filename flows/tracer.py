"""One provenance run: which rollouts, scores and labels are at hand, and how to make the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from flows import ledger
from flows.targets import organism
from measure import (
    attribution,
    models,
    problems,
    rollouts,
    run,
    sentence_scores,
    sources,
    transfer,
)
from measure.errors import BadInput
from measure.models import CausalLM
from measure.problems import PLAIN_PROMPT, ZOO_SET
from measure.provenance import Role
from measure.records import LengthRule, Rollout, SentenceScore
from measure.request import Measurement
from measure.rollouts import Sampling
from measure.sentence_scores import Texts
from measure.transfer import Options
from warehouse.lake import Lake


class Trace(BaseModel):
    """What a run traces, and a user's choices for it, as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    teachers: tuple[str, ...] = Field(min_length=1)
    student: str
    distilled: str
    control: str | None = None  # an unrelated model, put in the teacher's place
    problems: str = ZOO_SET
    rollouts: str | None = None  # a file of the distilled model's, made elsewhere
    n_samples: int = 16
    temperature: float = 0.6
    top_p: float = 0.95
    max_new_tokens: int = 512
    seed: int = 0
    plain_prompt: str = PLAIN_PROMPT
    alpha: float = Field(default=0.1, gt=0, lt=1)
    beta: float | None = Field(default=None, gt=0, lt=1)
    length_rule: LengthRule = "student"
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

    def options(self) -> Options:
        """Thresholds of the labels."""
        return Options(alpha=self.alpha, beta=self.beta, length_rule=self.length_rule)

    def models(self) -> list[str]:
        """Every model once."""
        control = [self.control] if self.control else []
        return list(dict.fromkeys([self.student, self.distilled, *self.teachers, *control]))


@dataclass(frozen=True, slots=True)
class _Written:
    """The rollouts of one model and the measurement they are of."""

    measurement_id: str
    texts: Texts


class Tracer:
    """The state of one run. Not a dataclass: Prefect walks through those given to a task."""

    def __init__(self, lake: Lake, trace: Trace, device: str) -> None:
        self.lake = lake
        self.trace = trace
        self.device = device
        self.asked = problems.load(trace.problems)
        self.failures: dict[str, str] = {}  # reference -> why nothing can be said of it
        self.skipped: list[str] = [f"{trace.problems}: {why}" for why in self.asked.skipped]
        self.n_new_units = 0
        self._ids: dict[str, str] = {}
        self._texts: dict[str, _Written] = {}
        self._loaded: tuple[str, CausalLM] | None = None
        self._imported: list[Rollout] | None = None
        if trace.rollouts is not None:
            self._imported, skipped = rollouts.read(Path(trace.rollouts), self.asked)
            self.skipped += [f"{trace.rollouts}: {why}" for why in skipped]
        for ref in trace.models():  # a wrong name is told at once
            self.model_id(ref)
        if self.model_id(trace.student) == self.model_id(trace.distilled):
            raise BadInput(
                f"{trace.distilled!r} is its own student: give the base it was distilled into"
            )

    def model_id(self, ref: str) -> str:
        """The id of a model, resolved once; a hub model is not downloaded for it."""
        if ref not in self._ids:
            self._ids[ref] = sources.model_id_of(ref)
        return self._ids[ref]

    def sample(self, ref: str) -> None:
        """Sample what is missing of a model's rollouts."""
        if ref == self.trace.distilled and self._imported is not None:
            self._take_imported(self._imported)
        else:
            self._run(ref, [self._rollout_job(ref)])

    def score(self, ref: str) -> None:
        """Score what is missing of every model's rollouts under one of them."""
        self._run(ref, [self._score_job(ref, text) for text in self._at_hand()])

    def label(self, teacher: str) -> bool:
        """Label the sentences against a teacher; False if that is in the lake already."""
        trace = self.trace
        used: dict[str, str] = {
            "teacher": teacher,
            "student": trace.student,
            "distilled": trace.distilled,
        }
        if trace.control is not None and trace.control not in self.failures:
            used["control"] = trace.control
        inputs = {
            f"{role}_on_{whose}": self._score_id(ref, used[whose])
            for role, ref in used.items()
            for whose in ("distilled", "student")
            if (role, whose) != ("control", "student")
        }
        inputs |= {
            f"rollouts_{whose}": self._texts_of(used[whose]).measurement_id
            for whose in ("distilled", "student")
        }
        plan = transfer.plan(self._named(used), inputs, self._problems(), trace.options())

        def scored(whose: str, first: str) -> transfer.Scored:
            readers: dict[Role, str] = {
                "teacher": first,
                "student": "student",
                "distilled": "distilled",
            }
            return transfer.Scored(
                self._texts_of(used[whose]).texts.rollouts,
                {role: self._scores(inputs[f"{by}_on_{whose}"]) for role, by in readers.items()},
            )

        return ledger.measure_at_once(
            self.lake,
            plan,
            lambda: transfer.measure(
                scored("distilled", "teacher"),
                scored("student", "teacher"),
                scored("distilled", "control") if "control" in used else None,
                trace.options(),
            ),
            ref=trace.distilled,
        )

    def attribute(self) -> bool:
        """Rank the candidates, teachers and control; False if that is in the lake already."""
        trace = self.trace
        candidates = [ref for ref in self._at_hand() if ref not in (trace.student, trace.distilled)]
        roles = dict(zip(attribution.candidate_roles(len(candidates)), candidates, strict=True))
        writers = {"distilled": trace.distilled, **roles}
        used = {"student": trace.student, **writers}
        inputs = {
            f"{by}_on_{whose}": self._score_id(ref, writers[whose])
            for by, ref in used.items()
            for whose in writers
        }
        options = attribution.Options()
        plan = attribution.plan(self._named(used), inputs, self._problems(), options)

        def scored(whose: str) -> attribution.Scored:
            return attribution.Scored(
                self._texts_of(writers[whose]).texts.rollouts,
                {by: self._scores(inputs[f"{by}_on_{whose}"]) for by in used},
            )

        return ledger.measure_at_once(
            self.lake,
            plan,
            lambda: attribution.measure({whose: scored(whose) for whose in writers}, options),
            ref=trace.distilled,
        )

    def complete(self) -> None:
        """All of it in this process, the first failure raised."""
        for ref in self.trace.models():
            self.sample(ref)
        for ref in self.trace.models():
            self.score(ref)
        self.conclude()

    def conclude(self) -> None:
        """What is read from scores alone."""
        for teacher in self.trace.teachers:
            if teacher not in self.failures:
                self.label(teacher)
        self.attribute()

    def is_complete(self) -> bool:
        """Whether no model has to run any more."""
        asked = self.trace.models()
        if not all(self._is_done(self._rollout_plan(ref)) for ref in asked):
            return False
        jobs = (self._score_job(reader, text) for reader in asked for text in asked)
        return all(self._is_done(job.measurement) for job in jobs)

    def note(self, ref: str, error: BaseException | None) -> None:
        """Keep why a model could not be measured."""
        if error is not None:
            self.failures.setdefault(ref, ledger.outcome_of(error)[1])

    def _at_hand(self) -> list[str]:
        """The models of which nothing failed."""
        return [ref for ref in self.trace.models() if ref not in self.failures]

    def _named(self, used: Mapping[str, str]) -> dict[str, str]:
        """Role -> model_id."""
        return {role: self.model_id(ref) for role, ref in used.items()}

    def _problems(self) -> tuple[str, str]:
        return self.asked.name, self.asked.sha256

    def _rollout_job(self, ref: str) -> run.RolloutJob:
        sampling = self.trace.sampling()
        plan = rollouts.plan(self.model_id(ref), self.asked, sampling, **self._machine())
        return run.RolloutJob(plan, self.asked, sampling)

    def _rollout_plan(self, ref: str) -> Measurement:
        if ref == self.trace.distilled and self._imported is not None:
            return rollouts.plan_import(self.model_id(ref), self.asked, self._imported)
        return self._rollout_job(ref).measurement

    def _score_job(self, reader: str, ref: str) -> run.ScoreJob:
        texts = self._texts_of(ref).texts
        plan = sentence_scores.plan(self.model_id(reader), texts, **self._machine())
        return run.ScoreJob(plan, texts)

    def _score_id(self, reader: str, ref: str) -> str:
        return self._score_job(reader, ref).measurement.measurement_id

    def _machine(self) -> dict[str, Any]:
        return {
            "dtype": self.trace.dtype,
            "device_kind": self.device.split(":")[0],
            "batch_size": self.trace.batch_size,
        }

    def _texts_of(self, ref: str) -> _Written:
        """A model's rollouts, once they are all in the lake; they do not change then."""
        if ref not in self._texts:
            measurement_id = self._rollout_plan(ref).measurement_id
            found = self.lake.query(
                "select * exclude (measurement_id) from rollout where measurement_id = ? "
                "order by problem_id, sample",
                [measurement_id],
            )
            given = tuple(Rollout(**row) for row in found.iter_rows(named=True))
            texts = Texts(self.asked.name, self.asked.sha256, given, self.trace.plain_prompt)
            self._texts[ref] = _Written(measurement_id, texts)
        return self._texts[ref]

    def _scores(self, measurement_id: str) -> list[SentenceScore]:
        found = self.lake.query(
            "select * exclude (measurement_id) from sentence_score where measurement_id = ?",
            [measurement_id],
        )
        return [SentenceScore(**row) for row in found.iter_rows(named=True)]

    def _take_imported(self, given: Sequence[Rollout]) -> None:
        ref = self.trace.distilled
        plan = self._rollout_plan(ref)
        if not self._is_done(plan):
            self._model(ref)  # known to the lake before anything is measured of it
        ledger.measure_at_once(self.lake, plan, lambda: list(given), ref=ref)

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
            model = models.load(source, device=self.device, dtype=self.trace.dtype)
            self._loaded = (ref, model)
            self.lake.add_models([asdict(model.card)])
            if source.kind == "zoo":
                self.lake.add_organisms([organism(ref, self.model_id)])
        return self._loaded[1]

    def _is_done(self, measurement: Measurement) -> bool:
        return self.lake.is_complete(measurement.measurement_id)
