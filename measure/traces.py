"""A trace on a machine with torch alone: all rollouts and scores, and a line that says whose.

Labels and attribution run no model: `cicatrix take` computes them.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measure import backends, models, problems, rollouts, run, sources
from measure.backends import Backend
from measure.errors import BadInput
from measure.journal import Journal
from measure.readings import Readings, Settings
from measure.records import Rollout
from measure.rollouts import Sampling
from measure.text_model import TextModel
from measure.transfer import Options

# What a request may say beside its models, and what each is when it does not.
_DEFAULTS: Mapping[str, str | int | float] = {
    "problems": problems.ZOO_SET, "samples": 16, "temperature": 0.6, "top_p": 0.95,
    "max_new_tokens": 512, "seed": 0, "plain_prompt": problems.PLAIN_PROMPT, "alpha": 0.1,
    "length_rule": "student", "dtype": "float32", "batch_size": 64,
}  # fmt: skip
KEYS = {
    *_DEFAULTS, *backends.KEYS, "teachers", "student", "distilled", "control", "rollouts", "beta",
    "device",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a request asks for; models as they were given."""

    teachers: tuple[str, ...]
    student: str
    distilled: str
    control: str | None
    asked: problems.ProblemSet
    imported: Sequence[Rollout] | None  # the distilled model's, made elsewhere
    skipped: tuple[str, ...]  # lines of either file that were left out, and why
    sampling: Sampling
    options: Options
    dtype: str
    device: str
    batch_size: int
    backend: Backend

    def models(self) -> list[str]:
        """Every model once: each writes, and reads what all have written."""
        control = [self.control] if self.control else []
        return list(dict.fromkeys([self.student, self.distilled, *self.teachers, *control]))


def is_trace(request: object) -> bool:
    """Whether a request asks for a trace."""
    return isinstance(request, dict) and "distilled" in request


def parse(request: Mapping[str, Any]) -> Trace:
    """A request's choices; BadInput for the first that cannot be."""
    given = {name: value for name, value in request.items() if value is not None}
    chosen = {name: _like(name, given.get(name, default)) for name, default in _DEFAULTS.items()}
    teachers = given.get("teachers")
    if not isinstance(teachers, list) or not teachers:
        raise BadInput(f'teachers {teachers!r} is no list of models: give such as ["org/teacher"]')
    beta = _like("alpha", given["beta"], called="beta") if "beta" in given else None
    device = str(given.get("device", models.pick_device()))
    models.check_device(device)
    models.check_dtype(chosen["dtype"])
    if chosen["batch_size"] < 1:
        raise BadInput(f"batch_size {chosen['batch_size']} is under 1: give at least 1")
    asked = problems.load(chosen["problems"])
    imported, skipped = None, list(asked.skipped)
    if "rollouts" in given:
        imported, left_out = rollouts.read(Path(str(given["rollouts"])), asked)
        skipped += left_out
    trace = Trace(
        teachers=tuple(str(teacher) for teacher in teachers),
        student=str(given.get("student", "")),
        distilled=str(given.get("distilled", "")),
        control=str(given["control"]) if "control" in given else None,
        asked=asked,
        imported=imported,
        skipped=tuple(skipped),
        sampling=Sampling(
            n_samples=chosen["samples"],
            temperature=chosen["temperature"],
            top_p=chosen["top_p"],
            max_new_tokens=chosen["max_new_tokens"],
            seed=chosen["seed"],
            plain_prompt=chosen["plain_prompt"],
        ),
        options=Options(chosen["alpha"], beta, chosen["length_rule"]),
        dtype=chosen["dtype"],
        device=device,
        batch_size=chosen["batch_size"],
        backend=backends.parse(given),
    )
    ids = {ref: sources.model_id_of(ref) for ref in trace.models()}  # a wrong name is told at once
    if ids[trace.student] == ids[trace.distilled]:
        raise BadInput(
            f"{trace.distilled!r} is its own student: give the base it was distilled into"
        )
    return trace


def _like(name: str, value: Any, *, called: str | None = None) -> Any:
    """The value, if it is of the kind of that option's default."""
    default = _DEFAULTS[name]
    kinds = (int, float) if isinstance(default, float) else (type(default),)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise BadInput(f"{called or name} {value!r} cannot be: give such as {default!r}")
    return value


def measure(trace: Trace, journal: Journal) -> dict[str, str]:
    """Write what is missing; reasons of the models that failed, by reference.

    Without a teacher or the control the others go on, without student or distilled model none.
    """
    for line in trace.skipped:
        sys.stderr.write(f"left out: {line}\n")
    work = _Work(trace, journal)
    for step in (work.sample, work.score):
        for ref in work.at_hand():
            work.attempt(step, ref)
        if work.failures.keys() & {trace.student, trace.distilled}:
            return work.failures
    work.write_trace()
    return work.failures


class _Work:
    """The state of one run."""

    def __init__(self, trace: Trace, journal: Journal) -> None:
        self.trace = trace
        self.journal = journal
        self.failures: dict[str, str] = {}
        self.ids = {ref: sources.model_id_of(ref) for ref in trace.models()}
        imported = {}
        if trace.imported is not None:
            imported = {self.ids[trace.distilled]: trace.imported}
        settings = Settings(
            trace.asked,
            trace.sampling,
            imported,
            dtype=trace.dtype,
            device_kind=trace.device.split(":")[0],
            batch_size=trace.batch_size,
            backend=trace.backend,
        )
        self.readings = Readings(journal, settings)

    def at_hand(self) -> list[str]:
        return [ref for ref in self.trace.models() if ref not in self.failures]

    def attempt(self, step: Callable[[str], None], ref: str) -> None:
        try:
            step(ref)
        except Exception as error:  # noqa: BLE001  whatever it is, the others go on
            self.failures[ref] = self.journal.fail(ref, error)

    def sample(self, ref: str) -> None:
        plan = self.readings.rollout_plan(self.ids[ref])
        if (imported := self.readings.settings.imported.get(self.ids[ref])) is None:
            self._run(ref, [self.readings.rollout_job(self.ids[ref])])
        elif not self.journal.is_complete(plan):
            self._load(ref)  # known before anything is measured of it
            self.journal.measure_at_once(plan, lambda: list(imported))

    def score(self, ref: str) -> None:
        writers = [self.ids[writer] for writer in self.at_hand()]
        self._run(ref, [self.readings.score_job(self.ids[ref], writer) for writer in writers])

    def _run(self, ref: str, jobs: Sequence[run.Job]) -> None:
        pending = [job for job in jobs if not self.journal.is_complete(job.measurement)]
        if pending:
            model = self._load(ref)
            for job in pending:
                self.journal.measure(model, job)

    def _load(self, ref: str) -> TextModel:
        source = sources.find(ref)
        model = self.trace.backend.load(
            source,
            device=self.trace.device,
            dtype=self.trace.dtype,
            batch_size=self.trace.batch_size,
        )
        self.journal.write({"line": "model", **asdict(model.card)})
        return model

    def write_trace(self) -> None:
        """Say what the rollouts and scores are of, for who reads labels from them."""
        ids = {ref: self.ids[ref] for ref in self.at_hand()}
        scored = self.readings.scored(list(ids.values()), list(ids.values()))
        self.journal.write(
            {
                "line": "trace",
                "teachers": [ids[ref] for ref in self.trace.teachers if ref in ids],
                "student": ids[self.trace.student],
                "distilled": ids[self.trace.distilled],
                "control": ids.get(self.trace.control or ""),
                "prompts": list(scored.prompts),
                "rollouts": dict(scored.rollouts),
                "scores": [[*pair, found] for pair, found in scored.scores.items()],
                "options": asdict(self.trace.options),
            }
        )
