"""One provenance run: rollouts and scores of all its models, labels, and the teachers' ranking."""

from pydantic import Field

from flows import ledger
from flows.sampler import Sampled, Sampler
from measure.errors import BadInput
from measure.readings import AtOnce
from measure.records import LengthRule
from measure.transfer import Options
from warehouse.lake import Lake


class Trace(Sampled):
    """What a run traces, and a user's choices for it, as JSON."""

    teachers: tuple[str, ...] = Field(min_length=1)
    student: str
    distilled: str
    control: str | None = None  # an unrelated model, put in the teacher's place
    alpha: float = Field(default=0.1, gt=0, lt=1)
    beta: float | None = Field(default=None, gt=0, lt=1)
    length_rule: LengthRule = "student"

    def options(self) -> Options:
        """Thresholds of the labels."""
        return Options(alpha=self.alpha, beta=self.beta, length_rule=self.length_rule)

    def models(self) -> list[str]:
        """Every model once: each writes, and reads what all have written."""
        control = [self.control] if self.control else []
        return list(dict.fromkeys([self.student, self.distilled, *self.teachers, *control]))

    def writers(self) -> list[str]:
        """All models."""
        return self.models()

    def readers(self) -> list[str]:
        """All models."""
        return self.models()

    def written_elsewhere(self) -> str:
        """The distilled model."""
        return self.distilled


class Tracer(Sampler):
    """The state of one run."""

    def __init__(self, lake: Lake, trace: Trace, device: str) -> None:
        super().__init__(lake, trace, device)
        self.trace = trace
        if self.model_id(trace.student) == self.model_id(trace.distilled):
            raise BadInput(
                f"{trace.distilled!r} is its own student: give the base it was distilled into"
            )

    def teachers_at_hand(self) -> list[str]:
        """The teachers of which something can be said: none where student or distilled failed."""
        if self.failures.keys() & {self.trace.student, self.trace.distilled}:
            return []
        return self.at_hand(list(dict.fromkeys(self.trace.teachers)))

    def complete(self) -> None:
        """All of it in this process, the first failure raised."""
        for ref in self.trace.models():
            self.sample(ref)
        for ref in self.trace.models():
            self.score(ref)
        self.conclude()

    def conclude(self) -> None:
        """Keep what is read from scores alone, as far as the lake lacks it."""
        for plan, make in self.conclusions():
            ledger.measure_at_once(self.lake, plan, make, ref=self.trace.distilled)

    def conclusions(self) -> list[AtOnce]:
        """Labels against each teacher at hand, then the ranking of all candidates."""
        trace = self.trace
        ids = {ref: self.model_id(ref) for ref in self.at_hand(trace.models())}
        scored = self.readings.scored(list(ids.values()), list(ids.values()))
        return scored.conclusions(
            [ids[teacher] for teacher in self.teachers_at_hand()],
            ids[trace.student],
            ids[trace.distilled],
            ids.get(trace.control or ""),
            trace.options(),
        )
