"""One stability run: rollouts, limits and steps of a teacher and its students."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from flows import ledger
from flows.runner import Runner
from measure import coupling, retune, rollouts, run, step_burdens, variants
from measure.burden import Limits, Region
from measure.errors import BadInput
from measure.problems import PLAIN_PROMPT, ProblemSet
from measure.request import Measurement
from measure.rollouts import Sampling
from measure.sentence_scores import Texts
from measure.stability_jobs import BurdenJob, LimitsJob, RetuneJob
from measure.stability_records import StabilityLimit, StabilityRegion, TrajectoryStability
from measure.stability_verdicts import Thresholds
from measure.students import PLAIN_TEACHER, TEACHER, student_roles
from warehouse.lake import Lake

Side = Literal["calibration", "test"]


class Assessment(BaseModel):
    """Whose stability proxies a run measures, and a user's choices for it, as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: str
    students: tuple[str, ...] = Field(min_length=1)
    plain_teacher: str | None = None
    plain_students: tuple[str, ...] = ()
    from_internals: tuple[str, ...] = ()  # students that learnt from more than outputs
    problems: str = variants.DEFAULT_SET
    retune: str | None = None  # texts of a fine-tune, whose effect stands beside the proxies
    n_samples: int = 4
    temperature: float = 0.6
    top_p: float = 0.95
    max_new_tokens: int = 512
    seed: int = 0
    plain_prompt: str = PLAIN_PROMPT
    epsilon_k: float = Field(default=0.05, gt=0, lt=1)
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

    def roles(self) -> dict[str, str]:
        """Role -> reference, each teacher before its students."""
        found = {TEACHER: self.teacher}
        found |= zip(student_roles(len(self.students)), self.students, strict=True)
        if self.plain_teacher is not None:
            found[PLAIN_TEACHER] = self.plain_teacher
            names = student_roles(len(self.plain_students), is_plain=True)
            found |= zip(names, self.plain_students, strict=True)
        return found

    def teacher_of(self, role: str) -> str:
        """The reference of the teacher whose limits a role is held against."""
        plain = self.plain_teacher
        return plain if plain is not None and role.startswith("plain-") else self.teacher


class Assessor(Runner):
    """The state of one run."""

    def __init__(self, lake: Lake, chosen: Assessment, device: str) -> None:
        super().__init__(lake, device, chosen.dtype)
        self.chosen = chosen
        self.asked = variants.load(chosen.problems)
        self.roles = chosen.roles()
        self.skipped = [f"{chosen.problems}: {why}" for why in self.asked.skipped]
        self.texts = None if chosen.retune is None else retune.load_texts(chosen.retune)
        if self.texts is not None:
            self.skipped += [f"{chosen.retune}: {why}" for why in self.texts.skipped]
        self._texts: dict[tuple[str, Side], Texts] = {}
        for ref in self.roles.values():  # a wrong name is told at once
            self.model_id(ref)
        self._check()

    def _check(self) -> None:
        chosen = self.chosen
        if chosen.plain_students and chosen.plain_teacher is None:
            raise BadInput("--plain-students without --plain-teacher: give the teacher they are of")
        families = [(chosen.teacher, *chosen.students)]
        if chosen.plain_teacher is not None:
            families.append((chosen.plain_teacher, *chosen.plain_students))
        for family in families:
            ids = [self.model_id(ref) for ref in family]
            twice = next((ref for i, ref in enumerate(family) if ids[i] in ids[:i]), None)
            if twice is not None:
                raise BadInput(
                    f"{twice!r} stands twice among a teacher and its students: give it once"
                )
        for ref in chosen.from_internals:
            if ref not in (*chosen.students, *chosen.plain_students):
                raise BadInput(
                    f"--from-internals {ref!r} is no student here: give one of them as it is given"
                )

    def assess(self, role: str) -> None:
        """Sample, calibrate and read one model against its teacher, as far as that is missing."""
        ref = self.roles[role]
        self.run(ref, [self._rollout_job(ref, side) for side in ("calibration", "test")], "samples")
        self.run(ref, [self._limits_job(ref)], "calibrates")
        plan = self._burden_plan(role)
        if not self.is_done(plan):
            job = BurdenJob(
                plan,
                self._texts_of(ref, "test"),
                self.asked.tested,
                self._region(ref),
                self._limits(self.chosen.teacher_of(role)),
            )
            self.run(ref, [job], "reads")
        retune_plan = self._retune_plan(role)
        if self.texts is not None and retune_plan is not None and not self.is_done(retune_plan):
            job = RetuneJob(
                retune_plan,
                self.texts,
                self.asked,
                self.chosen.sampling(),
                self._region(ref),
                self._limits(self.chosen.teacher_of(role)),
            )
            self.run(ref, [job], "retuned")

    def conclude(self) -> bool:
        """Profiles, points and hypotheses of what did not fail; False if in the lake already."""
        used = {role: ref for role, ref in self.roles.items() if role not in self.failed_roles()}
        inputs = {role: self._burden_plan(role).measurement_id for role in used}
        plans = {role: self._retune_plan(role) for role in used}
        retuned = {role: one.measurement_id for role, one in plans.items() if one is not None}
        internals = {r for r, ref in used.items() if ref in self.chosen.from_internals}
        thresholds = Thresholds(epsilon_k=self.chosen.epsilon_k)
        asked = self.asked.test
        plan = coupling.plan(
            {role: self.model_id(ref) for role, ref in used.items()},
            inputs | {f"{role} retuned": found for role, found in retuned.items()},
            (asked.name, asked.sha256),
            internals,
            thresholds,
        )
        return ledger.measure_at_once(
            self.lake,
            plan,
            lambda: coupling.measure(
                {role: self._trajectories(found) for role, found in inputs.items()},
                internals,
                thresholds,
                {role: self._trajectories(found) for role, found in retuned.items()},
            ),
            ref=self.chosen.teacher,
        )

    def failed_roles(self) -> set[str]:
        """Roles of models that failed, or whose teacher did: of them nothing can be said."""
        return {
            role
            for role, ref in self.roles.items()
            if {ref, self.chosen.teacher_of(role)} & self.failures.keys()
        }

    def complete(self) -> None:
        """All of it in this process, the first failure raised."""
        for role in self.roles:
            self.assess(role)
        self.conclude()

    def is_complete(self) -> bool:
        """Whether no model has to run any more."""
        sides: tuple[Side, ...] = ("calibration", "test")
        sampled = (
            self.is_done(self._rollout_job(ref, side).measurement)
            for ref in self.roles.values()
            for side in sides
        )
        return all(sampled) and all(
            self.is_done(plan)
            for role in self.roles
            for plan in (self._burden_plan(role), self._retune_plan(role))
            if plan is not None
        )

    def _side(self, side: Side) -> ProblemSet:
        return self.asked.calibration if side == "calibration" else self.asked.test

    def _rollout_job(self, ref: str, side: Side) -> run.RolloutJob:
        sampling, asked = self.chosen.sampling(), self._side(side)
        plan = rollouts.plan(self.model_id(ref), asked, sampling, **self._machine())
        return run.RolloutJob(plan, asked, sampling)

    def _texts_of(self, ref: str, side: Side) -> Texts:
        """A model's rollouts, once they are all in the lake; they do not change then."""
        if (ref, side) not in self._texts:
            asked = self._side(side)
            measurement_id = self._rollout_job(ref, side).measurement.measurement_id
            given = self.rollouts(measurement_id)
            texts = Texts(asked.name, asked.sha256, given, self.chosen.plain_prompt)
            self._texts[ref, side] = texts
        return self._texts[ref, side]

    def _limits_job(self, ref: str) -> LimitsJob:
        texts = self._texts_of(ref, "calibration")
        return LimitsJob(
            step_burdens.plan_limits(self.model_id(ref), texts, **self._machine()), texts
        )

    def _pair(self, role: str) -> tuple[dict[str, str], dict[str, str]]:
        """Models of a role and its teacher, and the measurements of its region and its limits."""
        ref, teacher = self.roles[role], self.chosen.teacher_of(role)
        return {"model": self.model_id(ref), "teacher": self.model_id(teacher)}, {
            "region": self._limits_job(ref).measurement.measurement_id,
            "limits": self._limits_job(teacher).measurement.measurement_id,
        }

    def _retune_plan(self, role: str) -> Measurement | None:
        """None where no fine-tune is asked for."""
        if self.texts is None:
            return None
        models, inputs = self._pair(role)
        sampling = self.chosen.sampling()
        return retune.plan(models, self.texts, self.asked, sampling, inputs, **self._machine())

    def _burden_plan(self, role: str) -> Measurement:
        ref = self.roles[role]
        models, inputs = self._pair(role)
        inputs["rollouts"] = self._rollout_job(ref, "test").measurement.measurement_id
        return step_burdens.plan(
            models,
            self._texts_of(ref, "test"),
            inputs,
            self.asked,
            **self._machine(),
        )

    def _region(self, ref: str) -> Region | None:
        (row,) = self._calibrated("stability_region", ref)
        return step_burdens.region_of(StabilityRegion(**row))

    def _limits(self, teacher: str) -> Limits:
        rows = self._calibrated("stability_limit", teacher)
        return step_burdens.limits_of([StabilityLimit(**row) for row in rows], teacher)

    def _calibrated(self, table: str, ref: str) -> list[dict[str, Any]]:
        measurement_id = self._limits_job(ref).measurement.measurement_id
        found = self.lake.query(
            f"select * exclude (measurement_id) from {table} where measurement_id = ?",
            [measurement_id],
        )
        return found.to_dicts()

    def _trajectories(self, measurement_id: str) -> list[TrajectoryStability]:
        found = self.lake.query(
            "select * exclude (measurement_id) from trajectory_stability where measurement_id = ? "
            "order by problem_id, sample",
            [measurement_id],
        )
        return [TrajectoryStability(**row) for row in found.iter_rows(named=True)]

    def _machine(self) -> Mapping[str, Any]:
        return {
            "dtype": self.chosen.dtype,
            "device_kind": self.device.split(":")[0],
            "batch_size": self.chosen.batch_size,
        }
