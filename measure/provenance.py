"""Where each sentence of a distilled model comes from: its teacher, its base, both, or neither.

With p = exp(sum of the tokens' log probabilities / n), n the student's tokens in the sentence, for
teacher T, student S (the base before distillation) and distilled model D, and d_XY = p_X - p_Y:

    Shared   if |d_SD| <= alpha and |d_TD| <= alpha and |d_TS| <= alpha
    Teacher  else if  d_TS > beta
    Student  else if -d_TS > beta
    Boosted  else:  up if p_D exceeds both, suppressed if it is below both, between otherwise

Source: arXiv 2512.20908. One n for all models, the parts of Boosted and the choice of beta are
OUR DEFINITION: with each model's own n, two tokenizations of one text would differ, not two models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from measure.records import Boosted, Label, LengthRule, Rollout, SentenceScore
from measure.sentences import LONG_TOKENS

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Bool, Float, Int

    Probabilities = Float[NDArray[np.float64], " sentences"]
    Three = tuple[Probabilities, Probabilities, Probabilities]  # in the order of `ROLES`
    Codes = Int[NDArray[np.int8], " sentences"]

LABELS: tuple[Label, ...] = get_args(Label)
SHARED, TEACHER, STUDENT, BOOSTED = range(len(LABELS))
BOOSTED_KINDS: tuple[Boosted, ...] = get_args(Boosted)
Role = Literal["teacher", "student", "distilled"]
ROLES: tuple[Role, ...] = get_args(Role)
ALPHA = 0.1  # where people begin to see a difference (arXiv 2512.20908)
FALLBACK_BETA = 0.1
BETAS = np.arange(2, 41) / 100  # 0.02 to 0.40
N_BINS = 40  # equal, on [-1, 1]
OVERLAP_SLACK = 0.005
MIN_SENTENCES, MIN_SENTENCE_FRAC = 30, 0.01
MIRROR_MAX = 0.10
MIRROR_RANGE = (0.05, 0.20)
ALPHA_GRID = (0.05, 0.1, 0.15)
BETA_GRID = (0.05, 0.1, 0.15, 0.2)


@dataclass(frozen=True, slots=True)
class Sentences:
    """Sentences of one set of rollouts under three models, in order; arrays run over sentences."""

    keys: list[tuple[str, int, int]]  # problem, sample, sentence
    chars: Int[NDArray[np.int64], "sentences 2"]  # start and end in the completion
    question: Int[NDArray[np.int64], " sentences"]  # index into `questions`
    questions: tuple[str, ...]  # problem ids, sorted
    correct: Float[NDArray[np.float64], " sentences"]  # of the rollout: 1, 0, or NaN for unknown
    j: Int[NDArray[np.int64], " sentences"]  # among those that are no mark; -1 for a mark
    rel_pos: Float[NDArray[np.float64], " sentences"]  # (j + 1/2) / their number; NaN for a mark
    is_special: Bool[NDArray[np.bool_], " sentences"]
    is_repeat: Bool[NDArray[np.bool_], " sentences"]  # the same as the one before
    n_tokens: Mapping[Role, Int[NDArray[np.int64], " sentences"]]
    sums: Mapping[Role, Probabilities]  # log probabilities in nats; NaN where there is none
    reasons: list[str | None]  # why a sentence has no label

    @property
    def is_used(self) -> Bool[NDArray[np.bool_], " sentences"]:
        """Sentences that count in every statistic."""
        return np.array([reason is None for reason in self.reasons], dtype=bool)

    @property
    def is_long(self) -> Bool[NDArray[np.bool_], " sentences"]:
        """Sentences of more tokens of the student than one sentence should have."""
        return self.n_tokens["student"] > LONG_TOKENS

    def p(self, rule: LengthRule) -> Three:
        """Probabilities under teacher, student and distilled, 0 to 1, NaN where unknown."""
        return self._p("teacher", rule), self._p("student", rule), self._p("distilled", rule)

    def _p(self, role: Role, rule: LengthRule) -> Probabilities:
        n = self.n_tokens["student" if rule == "student" else role]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.exp(np.where(n > 0, self.sums[role] / n, np.nan))


def align(rollouts: Sequence[Rollout], scores: Mapping[Role, Sequence[SentenceScore]]) -> Sentences:
    """The sentences of rollouts with the three models' scores of them.

    Raises:
        ValueError: the models' scores are not of the same sentences.
    """
    by_key = {
        role: {(s.problem_id, s.sample, s.sentence): s for s in scores[role]} for role in ROLES
    }
    keys = sorted(by_key["student"])
    if any(by_key[role].keys() != by_key["student"].keys() for role in ROLES):
        raise ValueError("scores of different sentences: score all models on the same rollouts")
    texts = {(r.problem_id, r.sample): r for r in rollouts}
    questions = tuple(sorted({key[0] for key in keys}))
    index = {problem_id: i for i, problem_id in enumerate(questions)}
    j, rel_pos = _positions([by_key["student"][key] for key in keys])
    is_repeat = np.zeros(len(keys), dtype=bool)
    reasons: list[str | None] = []
    before: tuple[str, int] | None = None
    said = ""
    for i, key in enumerate(keys):
        score = by_key["student"][key]
        if key[:2] != before:
            before, said = key[:2], ""
        if not score.is_special:
            text = texts[key[:2]].text[score.char_start : score.char_end].strip()
            is_repeat[i], said = text == said, text
        reasons.append(_why_unused({r: by_key[r][key] for r in ROLES}, bool(is_repeat[i])))
    correct = [texts[key[:2]].is_correct for key in keys]
    first = [by_key["student"][key] for key in keys]
    return Sentences(
        keys=keys,
        chars=np.array([(s.char_start, s.char_end) for s in first], dtype=np.int64).reshape(-1, 2),
        question=np.array([index[key[0]] for key in keys], dtype=np.int64),
        questions=questions,
        correct=np.array([np.nan if c is None else float(c) for c in correct]),
        j=j,
        rel_pos=rel_pos,
        is_special=np.array([s.is_special for s in first], dtype=bool),
        is_repeat=is_repeat,
        n_tokens={r: np.array([by_key[r][k].n_tokens for k in keys], np.int64) for r in ROLES},
        sums={r: np.array([_or_nan(by_key[r][k].sum_logprob) for k in keys]) for r in ROLES},
        reasons=reasons,
    )


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _positions(scores: Sequence[SentenceScore]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Index of each sentence among its rollout's that are no mark, and the middle of its share."""
    j = np.full(len(scores), -1, dtype=np.int64)
    counts: dict[tuple[str, int], int] = {}
    for i, score in enumerate(scores):
        if not score.is_special:
            j[i] = counts.get((score.problem_id, score.sample), 0)
            counts[score.problem_id, score.sample] = int(j[i]) + 1
    total = np.array([counts.get((s.problem_id, s.sample), 0) for s in scores], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return j, np.where(j >= 0, (j + 0.5) / total, np.nan)


def _why_unused(scores: Mapping[Role, SentenceScore], is_repeat: bool) -> str | None:
    if scores["student"].is_special:
        return "a mark of reasoning"
    for role, score in scores.items():
        if score.reason is not None:
            return f"{role}: {score.reason}"
    return "repeats the sentence before it" if is_repeat else None


# --- labels -------------------------------------------------------------------------------------


def label4(
    p_t: Probabilities, p_s: Probabilities, p_d: Probabilities, alpha: float, beta: float
) -> Codes:
    """Index into `LABELS` of each sentence; the tests are made in their published order."""
    apart = np.max(np.abs([p_s - p_d, p_t - p_d, p_t - p_s]), axis=0)
    found = np.select(
        [apart <= alpha, p_t - p_s > beta, p_s - p_t > beta], [SHARED, TEACHER, STUDENT], BOOSTED
    )
    return found.astype(np.int8)


def label3(p_t: Probabilities, p_s: Probabilities, beta: float) -> Codes:
    """Without a distilled model: Shared (called Common there), Teacher or Student."""
    found = np.select([p_t - p_s > beta, p_s - p_t > beta], [TEACHER, STUDENT], SHARED)
    return found.astype(np.int8)


def boosted_kind(p_t: Probabilities, p_s: Probabilities, p_d: Probabilities) -> Codes:
    """Index into `BOOSTED_KINDS`, for sentences that are Boosted."""
    above, below = p_d > np.maximum(p_t, p_s), p_d < np.minimum(p_t, p_s)
    names = [BOOSTED_KINDS.index("boosted_up"), BOOSTED_KINDS.index("suppressed")]
    return np.select([above, below], names, BOOSTED_KINDS.index("between")).astype(np.int8)


def adaptive_beta(
    p_t: Probabilities, p_s: Probabilities, p_d: Probabilities, alpha: float = ALPHA
) -> float | None:
    """The smallest beta whose Teacher and Boosted sentences overlap least in d_TD.

    Overlap: of their histograms of p_T - p_D. None if at no beta both have enough sentences.
    """
    needed = max(MIN_SENTENCES, MIN_SENTENCE_FRAC * len(p_t))
    overlaps: dict[float, float] = {}
    for beta in BETAS:
        labels = label4(p_t, p_s, p_d, alpha, beta)
        parts = [(p_t - p_d)[labels == code] for code in (TEACHER, BOOSTED)]
        if min(len(part) for part in parts) >= needed:
            one, other = (np.histogram(x, N_BINS, (-1, 1))[0] / len(x) for x in parts)
            overlaps[float(beta)] = float(np.minimum(one, other).sum())
    if not overlaps:
        return None
    return min(b for b, o in overlaps.items() if o <= min(overlaps.values()) + OVERLAP_SLACK)


def pretraining_beta(p_t: Probabilities, p_s: Probabilities) -> float | None:
    """Beta from a teacher's own text, before there is a distilled model.

    The smallest at which a tenth as many sentences at most are the student's as the teacher's,
    kept within 0.05 to 0.20; None where none is.
    """
    difference = p_t - p_s
    for beta in BETAS:
        n_teacher = int((difference > beta).sum())
        n_student = int((difference < -beta).sum())
        if n_teacher >= MIN_SENTENCES and n_student <= MIRROR_MAX * n_teacher:
            return float(np.clip(beta, *MIRROR_RANGE))
    return None


def cohen_kappa(one: Codes, other: Codes) -> float | None:
    """Agreement beyond chance, -1 to 1; None without sentences, 1 where both know one label."""
    if not len(one):
        return None
    observed = float((one == other).mean())
    shares = [np.bincount(codes, minlength=len(LABELS)) / len(codes) for codes in (one, other)]
    chance = float(shares[0] @ shares[1])
    return 1.0 if chance == 1.0 else (observed - chance) / (1 - chance)


def least_kappa(
    p_t: Probabilities, p_s: Probabilities, p_d: Probabilities, alpha: float, beta: float
) -> float | None:
    """Least agreement of the labels with those at any thresholds of the grid."""
    used = label4(p_t, p_s, p_d, alpha, beta)
    found = [cohen_kappa(used, label4(p_t, p_s, p_d, a, b)) for a in ALPHA_GRID for b in BETA_GRID]
    return min((kappa for kappa in found if kappa is not None), default=None)
