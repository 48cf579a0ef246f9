"""Which of several candidate teachers a model was distilled from, or none of them.

With S the base, D the derivative and T a candidate, and what model M explains of the rollouts of X
beyond the base, in bits per byte,

    gain(X, M) = sum over spans (log2 p_M - log2 p_S) / bytes

the share of what parts D and T from the base that they have in common is

    share(D, T) = (gain(D, T) + gain(T, D)) / (gain(D, D) + gain(T, T))

1 for two models that say the same, 0 or less where each explains the other's rollouts no better
than the base does. For texts sampled as they are scored it is 1 less the divergence of D and T over
their divergence from S, both taken both ways. It asks both whether T explains D's rollouts and
whether D learnt T's: a fluent stranger fails the second, a model that read the same sums the first.

Two models with the same data explain each other as well as teacher and student do: text alone
cannot part those. Spans of about four words, aligned by character. The share, its null and the
decisions are OUR DEFINITION.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from measure import sentences
from measure.intervals import bootstrap_interval
from measure.records import (
    Attribution,
    AttributionCandidate,
    AttributionLabel,
    Record,
    Rollout,
    SentenceScore,
)
from measure.request import Measurement

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Bool, Float, Int

    Nats = Float[NDArray[np.float64], " spans"]

METHOD = "attribution"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
STUDENT, DISTILLED = "student", "distilled"
NULL_SHARE = 0.25
MARGIN = 0.1
MIN_QUESTIONS = 10


@dataclass(frozen=True, slots=True)
class Options:
    """Thresholds of the verdict, from one half of the zoo's lineages."""

    null_share: float = NULL_SHARE  # wrong candidates and models not distilled stay below it
    margin: float = MARGIN  # of share, by which one candidate must lead another


@dataclass(frozen=True, slots=True)
class Scored:
    """A model's rollouts and what each role's model makes of their sentences."""

    rollouts: Sequence[Rollout]
    scores: Mapping[str, Sequence[SentenceScore]]


def plan(
    models: Mapping[str, str],
    inputs: Mapping[str, str],
    prompts: tuple[str, str],
    options: Options,
) -> Measurement:
    """Models by role: student, distilled, and candidates as `candidate_roles` names them.

    `inputs`: ids of the scores by whose rollouts and which reader, such as 'distilled by teacher';
    `prompts`: the problems' name and hash.
    """
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models=models,
        prompt_set=prompts[0],
        prompt_set_sha256=prompts[1],
        dtype="float64",
        backend="numpy",
        options={
            "inputs": dict(inputs),
            "null_share": options.null_share,
            "margin": options.margin,
        },
        units=("all",),
    )


def candidate_roles(count: int) -> tuple[str, ...]:
    """Roles of so many candidates: 'teacher', 'teacher-2', ..."""
    return tuple("teacher" if i == 1 else f"teacher-{i}" for i in range(1, count + 1))


def measure(texts: Mapping[str, Scored], options: Options) -> list[Record]:
    """All records, from the rollouts of the distilled model and of each candidate, by role.

    Each text is scored by every role and by the student. The candidates come first, by rank.

    Raises:
        ValueError: a text or a reader is missing.
    """
    return attribute(
        {role: read(text.rollouts, text.scores) for role, text in texts.items()}, options
    )


# --- spans --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Layout:
    """How rollouts are cut; arrays run over spans."""

    questions: tuple[str, ...]  # problem ids
    question: Int[NDArray[np.int64], " spans"]  # index into `questions`
    rollout: Int[NDArray[np.int64], " spans"]
    n_bytes: Int[NDArray[np.int64], " spans"]
    keys: tuple[tuple[str, int, int], ...]  # problem, sample, sentence
    sentence: Int[NDArray[np.int64], " spans"]  # index into `keys`
    is_counted: Bool[NDArray[np.bool_], " spans"]  # no mark of reasoning, no repeated sentence


@dataclass(frozen=True, slots=True)
class Spans:
    """Rollouts of one model as several models read them."""

    layout: Layout
    logprobs: Mapping[str, Nats]  # by role; NaN where that model could not read the sentence

    @property
    def is_used(self) -> Bool[NDArray[np.bool_], " spans"]:
        """Spans that count, read by all."""
        return self.layout.is_counted & ~np.isnan(np.stack(list(self.logprobs.values()))).any(0)

    @property
    def n_unscored(self) -> int:
        """Sentences that count and that one of the models could not read."""
        left_out = self.layout.is_counted & ~self.is_used
        return len(np.unique(self.layout.sentence[left_out]))

    @property
    def n_rollouts(self) -> int:
        """Rollouts with a span that is used."""
        return len(np.unique(self.layout.rollout[self.is_used]))


def lay_out(rollouts: Sequence[Rollout]) -> Layout:
    """Cut rollouts into sentences and spans, in order."""
    questions = tuple(sorted({rollout.problem_id for rollout in rollouts}))
    index = {problem_id: i for i, problem_id in enumerate(questions)}
    keys: list[tuple[str, int, int]] = []
    rows: list[tuple[int, int, int, int, bool]] = []
    for number, rollout in enumerate(rollouts):
        said = ""
        for place, sentence in enumerate(sentences.segment(rollout.text)):
            text = rollout.text[sentence.start : sentence.end].strip()
            is_counted = not sentence.is_special and text != said
            said = said if sentence.is_special else text
            for start, end in sentences.spans(rollout.text, sentence):
                n_bytes = len(rollout.text[start:end].encode())
                rows.append((index[rollout.problem_id], number, n_bytes, len(keys), is_counted))
            keys.append((rollout.problem_id, rollout.sample, place))
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    question, rollout_of, n_bytes, sentence_of, is_counted = table.T
    return Layout(
        questions, question, rollout_of, n_bytes, tuple(keys), sentence_of, is_counted.astype(bool)
    )


def span_logprobs(layout: Layout, scores: Sequence[SentenceScore]) -> Nats:
    """A model's log probabilities in nats by span, NaN where it could not read the sentence.

    Raises:
        ValueError: the scores are of other sentences.
    """
    by_key = {(s.problem_id, s.sample, s.sentence): s for s in scores}
    counts = np.bincount(layout.sentence, minlength=len(layout.keys)).tolist()
    found: list[float] = []
    for key, n_spans in zip(layout.keys, counts, strict=True):
        score = by_key.get(key)
        if score is None or len(score.span_tokens) != n_spans:
            raise ValueError(f"no scores of sentence {key}: score all models on the same rollouts")
        found += [np.nan] * n_spans if score.span_logprobs is None else score.span_logprobs
    return np.array(found, dtype=np.float64)


def read(rollouts: Sequence[Rollout], scores: Mapping[str, Sequence[SentenceScore]]) -> Spans:
    """Rollouts with the scores of several models by role."""
    layout = lay_out(rollouts)
    return Spans(layout, {role: span_logprobs(layout, found) for role, found in scores.items()})


# --- statistics ---------------------------------------------------------------------------------


def gains(means: Float[NDArray[np.float64], "*batch texts columns"]) -> NDArray[np.float64]:
    """Bits per byte that each model explains of each text beyond the base; NaN without bytes.

    Columns: bytes, nats of the base, nats of each model.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return (means[..., 2:] - means[..., 1:2]) / means[..., :1] / np.log(2)


def shares(gained: Float[NDArray[np.float64], "*batch n n"]) -> NDArray[np.float64]:
    """Share of each pair of models, from the gains of each (column) on each one's text (row).

    NaN where neither of the two parts from the base.
    """
    own = np.diagonal(gained, axis1=-2, axis2=-1)
    explainable = own[..., :, None] + own[..., None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (gained + np.swapaxes(gained, -1, -2)) / explainable
    return np.where(explainable > 0, found, np.nan)


def alignment(moments: Float[NDArray[np.float64], "*batch 6"]) -> NDArray[np.float64]:
    """Correlation over spans of two models' shifts x and y from the base; NaN where one is fixed.

    Moments: sums of 1, x, y, x x, y y, x y.
    """
    n, x, y, xx, yy, xy = np.moveaxis(moments, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (n * xx - x * x) * (n * yy - y * y)
        return np.where(spread > 0, (n * xy - x * y) / np.sqrt(np.maximum(spread, 0)), np.nan)


@dataclass(frozen=True, slots=True)
class _Estimate:
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums by question: bytes, nats of the base and of each role, of each role's rollouts."""

    roles: tuple[str, ...]  # the distilled model first
    texts: tuple[Spans, ...]
    questions: tuple[str, ...]
    values: Float[NDArray[np.float64], "questions texts columns"]

    @classmethod
    def of(cls, texts: Mapping[str, Spans]) -> _Sums:
        roles = (DISTILLED, *(role for role in texts if role != DISTILLED))
        readers = (STUDENT, *roles)
        if DISTILLED not in texts or any(set(readers) - set(t.logprobs) for t in texts.values()):
            raise ValueError(
                "every role's rollouts are needed, scored by the student and each role"
            )
        questions = tuple(sorted({q for text in texts.values() for q in text.layout.questions}))
        values = np.zeros((len(questions), len(roles), len(readers) + 1))
        for i, role in enumerate(roles):
            text = texts[role]
            where = _questions(text, questions)
            columns = [text.layout.n_bytes, *(text.logprobs[reader] for reader in readers)]
            for column, per_span in enumerate(columns):
                used = per_span[text.is_used].astype(np.float64)
                values[:, i, column] = np.bincount(where, used, minlength=len(questions))
        return cls(roles, tuple(texts[role] for role in roles), questions, values)

    def pick(self, *which: int) -> Float[NDArray[np.float64], "questions texts columns"]:
        """Sums of some roles' texts under those roles alone."""
        return self.values[:, list(which)][:, :, [0, 1, *(2 + i for i in which)]]

    def n_questions(self, *which: int) -> int:
        """Questions with a byte in any of these roles' texts."""
        return int((self.values[:, list(which), 0] > 0).any(1).sum())

    def share(self, one: int, other: int) -> _Estimate:
        return _estimate(self.pick(one, other), lambda means: shares(gains(means))[:, 0, 1])

    def behind(self, first: int, other: int) -> _Estimate:
        """Share of `first` with the distilled model less that of the other."""

        def difference(means: NDArray[np.float64]) -> NDArray[np.float64]:
            found = shares(gains(means))
            return found[:, 0, 1] - found[:, 0, 2]

        return _estimate(self.pick(0, first, other), difference)

    def gain(self, text: int, reader: int) -> _Estimate:
        picked = self.values[:, [text]][:, :, [0, 1, 2 + reader]]
        return _estimate(picked, lambda means: gains(means)[:, 0, 0])

    def alignment(self, text: int, one: int, other: int) -> _Estimate:
        """Of two roles' shifts, on the rollouts of a third or of one of them."""
        spans = self.texts[text]
        used = spans.is_used
        base, x, y = (
            spans.logprobs[role][used] for role in (STUDENT, self.roles[one], self.roles[other])
        )
        x, y = x - base, y - base
        where = _questions(spans, self.questions)
        moments = [np.ones_like(x), x, y, x * x, y * y, x * y]
        sums = [np.bincount(where, m, minlength=len(self.questions)) for m in moments]
        return _estimate(np.stack(sums, 1).astype(np.float64), alignment)


def _questions(spans: Spans, questions: Sequence[str]) -> NDArray[np.int64]:
    """The question of each span that is used, as an index into `questions`."""
    index = {question: i for i, question in enumerate(questions)}
    at = np.array([index[q] for q in spans.layout.questions], dtype=np.int64)
    return at[spans.layout.question[spans.is_used]]


def _estimate(
    values: NDArray[np.float64], statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> _Estimate:
    """A statistic of the means over questions, with its interval where two or more have a span."""
    shape = values.shape[1:]
    values = values[values.reshape(len(values), -1).any(1)]
    if not len(values):
        return _Estimate(None, None, None)
    observed = float(statistic(values.mean(0)[None])[0])
    if np.isnan(observed):
        return _Estimate(None, None, None)
    if len(values) < 2:
        return _Estimate(observed, None, None)
    flat = values.reshape(len(values), -1)
    low, high = bootstrap_interval(flat, lambda means: statistic(means.reshape(-1, *shape)))
    return _Estimate(observed, low, high)


# --- the verdict --------------------------------------------------------------------------------


def attribute(texts: Mapping[str, Spans], options: Options) -> list[Record]:
    """As `measure`, from spans."""
    sums = _Sums.of(texts)
    found = {i: sums.share(0, i) for i in range(1, len(sums.roles))}
    values = {i: estimate.value for i, estimate in found.items() if estimate.value is not None}
    known = sorted(values, key=lambda i: -values[i])
    order = [*known, *(i for i in found if i not in known)]
    first = known[0] if known else None
    rows = [
        _candidate(sums, i, rank, first, found[i], options) for rank, i in enumerate(order, start=1)
    ]
    n_questions = sums.n_questions(0)
    label, attributed, reasons = verdict(rows, n_questions, options)
    own = sums.gain(0, 0)
    summary = Attribution(
        attribution=label,
        role=attributed[0] if label == "ATTRIBUTED" else None,
        attribution_reasons="; ".join(reasons),
        n_candidates=len(rows),
        n_questions=n_questions,
        own_gain=own.value,
        ci_low_own_gain=own.low,
        ci_high_own_gain=own.high,
    )
    return [*(replace(row, is_attributed=row.role in attributed) for row in rows), summary]


def _candidate(
    sums: _Sums, i: int, rank: int, first: int | None, share: _Estimate, options: Options
) -> AttributionCandidate:
    behind, kinship = _Estimate(None, None, None), None
    if first is not None and i != first:
        behind, kinship = sums.behind(first, i), sums.share(first, i).value
    gain_distilled, gain_own = sums.gain(0, i), sums.gain(i, 0)
    aligned = sums.alignment(i, 0, i)
    reason = None
    if share.value is None:
        counts = (sums.texts[0].n_rollouts, sums.texts[i].n_rollouts)
        reason = (
            "neither it nor the distilled model explains its own rollouts better than the base does"
            if all(counts)
            else "no sentence of the distilled model's rollouts or of its own was read by all"
        )
    return AttributionCandidate(
        role=sums.roles[i],
        rank=rank if share.value is not None else None,
        n_questions=sums.n_questions(0, i),
        n_rollouts_distilled=sums.texts[0].n_rollouts,
        n_rollouts_own=sums.texts[i].n_rollouts,
        n_unscored=sums.texts[0].n_unscored + sums.texts[i].n_unscored,
        share=share.value,
        ci_low_share=share.low,
        ci_high_share=share.high,
        null_share=options.null_share,
        behind_first=behind.value,
        ci_low_behind_first=behind.low,
        ci_high_behind_first=behind.high,
        share_with_first=kinship,
        is_sibling=None if kinship is None else kinship > options.null_share,
        is_attributed=False,
        gain_distilled=gain_distilled.value,
        ci_low_gain_distilled=gain_distilled.low,
        ci_high_gain_distilled=gain_distilled.high,
        gain_own=gain_own.value,
        ci_low_gain_own=gain_own.low,
        ci_high_gain_own=gain_own.high,
        alignment=aligned.value,
        ci_low_alignment=aligned.low,
        ci_high_alignment=aligned.high,
        reason=reason,
    )


def verdict(
    ranked: Sequence[AttributionCandidate], n_questions: int, options: Options
) -> tuple[AttributionLabel, list[str], list[str]]:
    """Label, the roles it names, and the comparisons that decided; `ranked`: best first."""
    if n_questions < MIN_QUESTIONS:
        return "NOT ENOUGH", [], [f"{n_questions} questions, {MIN_QUESTIONS} are needed"]
    unknown = [
        f"{row.role}: {row.reason or 'no interval'}" for row in ranked if row.ci_low_share is None
    ]
    known = [row for row in ranked if row.ci_low_share is not None]
    if not known:
        return "NOT ENOUGH", [], unknown or ["no candidate was given"]
    first = known[0]
    assert first.share is not None and first.ci_low_share is not None
    interval = f"[{first.ci_low_share:.3f}, {first.ci_high_share:.3f}]"
    said = f"{first.role} shares {first.share:.3f} {interval}"
    null = f"{options.null_share:g} that wrong candidates reach"
    if first.ci_low_share <= options.null_share:
        # One that could not be measured may be the teacher.
        if unknown or any((row.ci_high_share or 0) > options.null_share for row in known):
            return "NOT ENOUGH", [], [f"{said}, not clear of the {null}", *unknown]
        return "NONE OF THESE", [], [f"the highest, {said}, is not above the {null}"]
    reasons = [f"{said}, above the {null}", *unknown]
    rivals = [row for row in known[1:] if (row.ci_low_behind_first or 0) <= options.margin]
    strangers = [row.role for row in rivals if not row.is_sibling]
    if strangers:
        names = ", ".join(strangers)
        return "NOT ENOUGH", [], [*reasons, f"{names} cannot be told from it and is no sibling"]
    if rivals:
        names = ", ".join(row.role for row in rivals)
        reasons.append(f"its siblings {names} are not behind by more than {options.margin:g}")
        return "ATTRIBUTED TO A FAMILY", [first.role, *(row.role for row in rivals)], reasons
    return "ATTRIBUTED", [first.role], reasons
