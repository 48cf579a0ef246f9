"""One selection: a teacher's responses, its own and its student's scores, and the candidates."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from flows.sampler import Sampled, Sampler
from measure import models, selection, sources, text_model
from measure.errors import BadInput
from measure.problems import THINK_OPEN, ProblemSet
from measure.selection import Candidate, Criterion
from warehouse.lake import Lake


class Choice(Sampled):
    """A user's choices for a selection, as JSON."""

    teacher: str
    student: str
    problems: str = "zoo-train100"
    n_samples: int = 8
    temperature: float = 1.0
    criterion: Criterion = "max-count"
    beta: float | None = Field(default=None, gt=0, lt=1)  # None: found from the sentences
    only_right: bool = True

    def writers(self) -> list[str]:
        """The teacher."""
        return [self.teacher]

    def readers(self) -> list[str]:
        """Both models."""
        return [self.teacher, self.student]

    def written_elsewhere(self) -> str:
        """The teacher."""
        return self.teacher


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The candidates of a set of problems, and what a line says of the two models."""

    asked: ProblemSet
    rollouts_id: str  # the measurement that holds the responses
    candidates: list[Candidate]
    left_out: Counter[str]
    model_ids: Mapping[str, str]  # by role
    openings: Mapping[str, str]  # what the teacher's prompt wrote of its reply, by problem
    is_chat: bool  # of the student


class Selector(Sampler):
    """The state of one run."""

    def __init__(self, lake: Lake, choice: Choice, device: str) -> None:
        super().__init__(lake, choice, device)
        self.choice = choice
        if self.model_id(choice.teacher) == self.model_id(choice.student):
            raise BadInput(f"{choice.teacher!r} is teacher and student: give two different models")

    def complete(self) -> None:
        """All of it in this process, the first failure raised."""
        for ref in self.choice.writers():
            self.sample(ref)
        for ref in self.choice.readers():
            self.score(ref)

    def pool(self) -> Pool:
        """The candidates, in the order of the problems, once all is in the lake."""
        teacher, student = (self.model_id(ref) for ref in self.choice.readers())
        place = {p.problem_id: i for i, p in enumerate(self.asked.problems)}
        responses = sorted(
            self.readings.texts(teacher).rollouts, key=lambda r: (place[r.problem_id], r.sample)
        )
        scored = self.readings.scored([teacher], [teacher, student])
        by_teacher, by_student = map(scored.kept.scores, scored.scores.values())
        found, left_out = selection.candidates(
            responses, by_teacher, by_student, only_right=self.choice.only_right
        )
        source = sources.find(self.choice.student)
        return Pool(
            asked=self.asked,
            rollouts_id=scored.rollouts[teacher],
            candidates=found,
            left_out=left_out,
            model_ids={"teacher": teacher, "student": student},
            openings=self._openings(),
            is_chat=models.load_tokenizer(source).chat_template is not None,
        )

    def _openings(self) -> dict[str, str]:
        """The mark of reasoning that the teacher's prompt writes before its reply, or nothing."""
        source = sources.find(self.choice.teacher)
        tokenizer = models.load_tokenizer(source)
        found: dict[str, str] = {}
        for problem in self.asked.problems:
            chat = text_model.chat_prompt(tokenizer, problem.text, source.label)
            prompt = self.choice.plain_prompt if chat is None else chat
            is_open = prompt.rstrip().endswith(THINK_OPEN)
            found[problem.problem_id] = prompt[prompt.rindex(THINK_OPEN) :] if is_open else ""
        return found
