"""Which of a teacher's responses to a question a student should learn from, and whether it helps.

A sentence is the teacher's if p_T - p_S > beta (three labels of `provenance`, both probabilities
over the student's tokens). Of a question's candidates one is taken:

    max-count           the most Teacher sentences (arXiv 2512.20908)
    random              any: the vanilla selection
    longest             the most tokens of the student
    highest-proportion  the largest share of Teacher sentences
    min-count           the fewest Teacher sentences
    grape               the likeliest to the student, in log probability a token (arXiv 2502.04194)

Ties go to the shorter response, then to the lowest sample.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from measure import provenance
from measure.intervals import bootstrap_interval, student_t_interval
from measure.provenance import FALLBACK_BETA, TEACHER
from measure.records import Rollout, SentenceScore

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    Probabilities = Float[NDArray[np.float64], " sentences"]

Criterion = Literal["max-count", "random", "longest", "highest-proportion", "min-count", "grape"]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
GUIDED, VANILLA, LONGEST = "max-count", "random", "longest"
REPORTED_BETAS = (0.05, 0.10, 0.15)
BetaSource = Literal["given", "mirror", "fallback"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A teacher's response with its sentences under teacher and student.

    Marks of reasoning and repeated sentences are not among the sentences, but among the tokens.
    """

    rollout: Rollout
    p_teacher: Probabilities
    p_student: Probabilities
    n_tokens: int  # of the student
    mean_logprob: float  # nats a token under the student

    def n_teacher(self, beta: float) -> int:
        """Sentences that are the teacher's."""
        return int((provenance.label3(self.p_teacher, self.p_student, beta) == TEACHER).sum())


def candidates(
    responses: Sequence[Rollout],
    teacher: Sequence[SentenceScore],
    student: Sequence[SentenceScore],
    *,
    only_right: bool = True,
) -> tuple[list[Candidate], Counter[str]]:
    """Candidates in the responses' order, and how many responses are none, by reason.

    Raises:
        ValueError: the two models' scores are not of the same sentences.
    """
    scored = [_by_response(scores) for scores in (teacher, student)]
    found: list[Candidate] = []
    left_out: Counter[str] = Counter()
    for response in responses:
        if only_right and not response.is_correct:
            is_wrong = response.is_correct is False
            left_out["not answered right" if is_wrong else "without an answer to check"] += 1
            continue
        key = response.problem_id, response.sample
        made = _candidate(response, *(scores.get(key, []) for scores in scored))
        if isinstance(made, str):
            left_out[made] += 1
        else:
            found.append(made)
    return found, left_out


def _by_response(scores: Sequence[SentenceScore]) -> dict[tuple[str, int], list[SentenceScore]]:
    found: dict[tuple[str, int], list[SentenceScore]] = {}
    for score in sorted(scores, key=lambda s: (s.problem_id, s.sample, s.sentence)):
        found.setdefault((score.problem_id, score.sample), []).append(score)
    return found


def _candidate(
    response: Rollout, teacher: Sequence[SentenceScore], student: Sequence[SentenceScore]
) -> Candidate | str:
    """The candidate, or why it is none."""
    if [s.sentence for s in teacher] != [s.sentence for s in student]:
        raise ValueError("scores of different sentences: score both models on the same responses")
    sums: list[tuple[float, float]] = []
    counts: list[int] = []
    said = ""
    for of_teacher, of_student in zip(teacher, student, strict=True):
        # A sentence in which no token begins is scored with its neighbours' tokens.
        if of_teacher.n_tokens and of_teacher.sum_logprob is None:
            return f"teacher: {of_teacher.reason}"
        if of_student.n_tokens and of_student.sum_logprob is None:
            return f"student: {of_student.reason}"
        if of_student.is_special:
            continue
        text = response.text[of_student.char_start : of_student.char_end].strip()
        is_repeat, said = text == said, text
        both = of_teacher.sum_logprob, of_student.sum_logprob
        if not is_repeat and both[0] is not None and both[1] is not None:
            sums.append((both[0], both[1]))
            counts.append(of_student.n_tokens)
    if not counts:
        return "no sentence that both models have tokens in"
    p_teacher, p_student = np.exp(np.array(sums) / np.array(counts)[:, None]).T
    n_tokens = sum(s.n_tokens for s in student)
    whole = sum(s.sum_logprob for s in student if s.sum_logprob is not None)
    return Candidate(response, p_teacher, p_student, n_tokens, whole / n_tokens)


def find_beta(among: Sequence[Candidate]) -> tuple[float, BetaSource]:
    """Beta of all candidates' sentences, before there is a distilled model."""
    if not among:
        return FALLBACK_BETA, "fallback"
    p_teacher, p_student = (
        np.concatenate([getattr(one, name) for one in among]) for name in ("p_teacher", "p_student")
    )
    found = provenance.pretraining_beta(p_teacher, p_student)
    return (FALLBACK_BETA, "fallback") if found is None else (found, "mirror")


# --- selection ----------------------------------------------------------------------------------

# What a criterion wants most of; random has no wish.
_WANTED: dict[Criterion, Callable[[Candidate, float], float]] = {
    "max-count": lambda one, beta: one.n_teacher(beta),
    "longest": lambda one, _: one.n_tokens,
    "highest-proportion": lambda one, beta: one.n_teacher(beta) / len(one.p_teacher),
    "min-count": lambda one, beta: -one.n_teacher(beta),
    "grape": lambda one, _: one.mean_logprob,
}


def select(
    among: Sequence[Candidate], criterion: Criterion, beta: float, seed: int = 0
) -> list[Candidate]:
    """One candidate of each question, in the questions' order; `seed` is that of random."""
    return [
        _drawn(those, seed) if criterion == "random" else _best(those, _WANTED[criterion], beta)
        for those in _by_question(among)
    ]


def _by_question(among: Sequence[Candidate]) -> Iterable[list[Candidate]]:
    found: dict[str, list[Candidate]] = {}
    for one in among:
        found.setdefault(one.rollout.problem_id, []).append(one)
    return found.values()


def _best(
    those: Sequence[Candidate], wanted: Callable[[Candidate, float], float], beta: float
) -> Candidate:
    return max(those, key=lambda one: (wanted(one, beta), -one.n_tokens, -one.rollout.sample))


def _drawn(those: Sequence[Candidate], seed: int) -> Candidate:
    """A question's draw is its own: other questions do not change it."""
    question = those[0].rollout.problem_id
    key = int.from_bytes(hashlib.sha256(question.encode()).digest()[:8], "big")
    return those[int(np.random.default_rng([seed, key]).integers(len(those)))]


@dataclass(frozen=True, slots=True, kw_only=True)
class AtBeta:
    """One row per beta: what is the teacher's, and whether the choice would be another."""

    beta: float
    n_sentences: int  # of all candidates
    n_questions: int  # the interval's unit
    teacher_share: float
    ci_low_teacher_share: float | None  # null with one question
    ci_high_teacher_share: float | None
    mean_selected: float  # Teacher sentences of a selected response
    same_choice_frac: float  # of the questions, against the selection at the beta in use


def at_betas(
    among: Sequence[Candidate], criterion: Criterion, beta: float, seed: int = 0
) -> list[AtBeta]:
    """The selection at the beta in use and at 0.05, 0.10 and 0.15; nothing without candidates."""
    if not among:
        return []
    used = select(among, criterion, beta, seed)
    return [
        _at_beta(among, at, select(among, criterion, at, seed), used)
        for at in sorted({beta, *REPORTED_BETAS})
    ]


def _at_beta(
    among: Sequence[Candidate], beta: float, chosen: Sequence[Candidate], used: Sequence[Candidate]
) -> AtBeta:
    counts = np.array(
        [
            (sum(one.n_teacher(beta) for one in those), sum(len(one.p_teacher) for one in those))
            for those in _by_question(among)
        ],
        dtype=np.float64,
    )
    low = high = None
    if len(counts) > 1:
        low, high = bootstrap_interval(counts, lambda means: means[:, 0] / means[:, 1])
    same = [one is other for one, other in zip(chosen, used, strict=True)]
    return AtBeta(
        beta=beta,
        n_sentences=int(counts[:, 1].sum()),
        n_questions=len(counts),
        teacher_share=float(counts[:, 0].sum() / counts[:, 1].sum()),
        ci_low_teacher_share=low,
        ci_high_teacher_share=high,
        mean_selected=float(np.mean([one.n_teacher(beta) for one in chosen])),
        same_choice_frac=float(np.mean(same)),
    )


# --- the ranking of criteria by what their students can do --------------------------------------

Helps = Literal["improves", "not established"]
# Points by criterion and benchmark, one a seed; seeds stand in one order everywhere.
Points = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """How much better one criterion's students are than another's, paired by seed; in points."""

    criterion: str
    over: str
    points: float
    ci_low_points: float | None  # null with one seed
    ci_high_points: float | None
    n_seeds: int

    @property
    def label(self) -> Helps:
        """'improves' only where the interval is known and above 0."""
        is_above = self.ci_low_points is not None and self.ci_low_points > 0
        return "improves" if is_above else "not established"

    def text(self) -> str:
        """One sentence."""
        what = f"{self.criterion} {self.points:+.1f} points over {self.over}"
        if self.ci_low_points is None:
            return f"{what}, {self.n_seeds} seed: no variance is known"
        return f"{what} [{self.ci_low_points:+.1f}, {self.ci_high_points:+.1f}], n={self.n_seeds}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One row per criterion: its students' points, and their gain over the vanilla selection."""

    criterion: str
    by_benchmark: Mapping[str, float]  # means over seeds
    average: float  # over benchmarks
    ci_low_average: float | None  # null with one seed
    ci_high_average: float | None
    gain: Gain | None  # null for the vanilla selection itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Criteria, the best first, and what may be said of guided selection."""

    rows: tuple[Ranked, ...]
    over_vanilla: Gain
    over_longest: Gain  # what length does not explain
    label: Helps
    reasons: tuple[str, ...]


def rank_criteria(points: Points) -> Ranking:
    """Rank criteria by average points; guided selection improves if its students beat vanilla's.

    The interval is Student's t over seeds: what varies with the seed (questions, order, problems
    that are asked) is in it, and nothing else.

    Raises:
        ValueError: max-count, random or longest is missing, or benchmarks or seeds differ.
    """
    _check(points)
    by_seed = {name: _by_seed(found) for name, found in points.items()}
    rows: list[Ranked] = []
    for name, found in points.items():
        low, high = _interval(by_seed[name])
        row = Ranked(
            criterion=name,
            by_benchmark={bench: float(np.mean(values)) for bench, values in found.items()},
            average=float(by_seed[name].mean()),
            ci_low_average=low,
            ci_high_average=high,
            gain=None if name == VANILLA else gain_over(points, name, VANILLA),
        )
        rows.append(row)
    over_vanilla, over_longest = (gain_over(points, GUIDED, other) for other in (VANILLA, LONGEST))
    beyond_length = f"{over_longest.text()}: the effect that length does not explain"
    return Ranking(
        rows=tuple(sorted(rows, key=lambda row: (-row.average, row.criterion))),
        over_vanilla=over_vanilla,
        over_longest=over_longest,
        label=over_vanilla.label,
        reasons=(over_vanilla.text(), f"{beyond_length} ({over_longest.label})"),
    )


def _check(points: Points) -> None:
    if missing := {GUIDED, VANILLA, LONGEST} - points.keys():
        raise ValueError(f"no points of {', '.join(sorted(missing))}: the ranking is against them")
    shapes = {
        name: {bench: len(values) for bench, values in found.items()}
        for name, found in points.items()
    }
    wanted = shapes[GUIDED]
    if not wanted or len(set(wanted.values())) != 1 or not all(wanted.values()):
        raise ValueError(
            f"{GUIDED} has {wanted} seeds by benchmark: give each the same, at least 1"
        )
    for name, shape in shapes.items():
        if shape != wanted:
            raise ValueError(f"{name} has seeds {shape} by benchmark, {GUIDED} has {wanted}")


def gain_over(points: Points, criterion: str, other: str) -> Gain:
    """One criterion against another, paired by seed, over the mean of the benchmarks."""
    differences = _by_seed(points[criterion]) - _by_seed(points[other])
    low, high = _interval(differences)
    return Gain(
        criterion=criterion,
        over=other,
        points=float(differences.mean()),
        ci_low_points=low,
        ci_high_points=high,
        n_seeds=len(differences),
    )


def _by_seed(found: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
    return np.array(list(found.values()), dtype=np.float64).mean(0)


def _interval(by_seed: NDArray[np.float64]) -> tuple[float | None, float | None]:
    return student_t_interval(by_seed) if len(by_seed) > 1 else (None, None)
