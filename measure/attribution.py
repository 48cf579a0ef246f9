"""Which of several candidate teachers a model was distilled from, or none of them.

With S the base, D the derivative and T a candidate, and what model M explains of the rollouts of X
beyond the base, in bits per byte,

    gain(X, M) = sum over spans (log2 p_M - log2 p_S) / bytes

the share of what parts D and T from the base that they have in common is

    share(D, T) = (gain(D, T) + gain(T, D)) / (gain(D, D) + gain(T, T))

1 for two models that say the same, 0 or less where each explains the other's rollouts no better
than the base does. For texts sampled as they are scored it is 1 less the divergence of D and T over
their divergence from S, both taken both ways. It asks both whether T explains D's rollouts and
whether D learnt T's: a fluent stranger fails the second, a model of fewer words the first. It does
not depend on which other candidates there are. Correlations of shifts find weaker distillation than
it does, and contrasts of them name the best of wrong candidates (tests/benchmarks/attribution.py);
so what D learnt of T's, gain(T, D) / gain(T, T), can only keep the verdict from "none of these".

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

from measure import spans
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
from measure.spans import Spans

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

METHOD = "attribution"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
STUDENT, DISTILLED = "student", "distilled"
NULL_SHARE = 0.25  # 0.20 is the most of any wrong candidate in the half of the zoo it is from
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
        {role: spans.read(text.rollouts, text.scores) for role, text in texts.items()}, options
    )


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

    def learned(self, i: int) -> _Estimate:
        """Of what a role's model explains of its own rollouts, what the distilled one does."""

        def ratio(means: NDArray[np.float64]) -> NDArray[np.float64]:
            own, its = np.moveaxis(gains(means)[:, 0], -1, 0)
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(its > 0, own / its, np.nan)

        return _estimate(self.values[:, [i]][:, :, [0, 1, 2, 2 + i]], ratio)

    def alignment(self, i: int) -> _Estimate:
        """Of the distilled model's shifts with a role's, on that role's rollouts."""
        text = self.texts[i]
        used = text.is_used
        base, x, y = (text.logprobs[role][used] for role in (STUDENT, DISTILLED, self.roles[i]))
        x, y = x - base, y - base
        where = _questions(text, self.questions)
        moments = [np.ones_like(x), x, y, x * x, y * y, x * y]
        sums = [np.bincount(where, m, minlength=len(self.questions)) for m in moments]
        return _estimate(np.stack(sums, 1).astype(np.float64), alignment)


def _questions(text: Spans, questions: Sequence[str]) -> NDArray[np.int64]:
    """The question of each span that is used, as an index into `questions`."""
    index = {question: i for i, question in enumerate(questions)}
    at = np.array([index[q] for q in text.layout.questions], dtype=np.int64)
    return at[text.layout.question[text.is_used]]


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
    gain, learned, aligned = sums.gain(0, i), sums.learned(i), sums.alignment(i)
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
        gain_distilled=gain.value,
        ci_low_gain_distilled=gain.low,
        ci_high_gain_distilled=gain.high,
        learned=learned.value,
        ci_low_learned=learned.low,
        ci_high_learned=learned.high,
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
    null = f"{options.null_share:g} that wrong candidates stay below"
    if first.ci_low_share <= options.null_share:
        if any((row.ci_high_share or 0) > options.null_share for row in known):
            return "NOT ENOUGH", [], [f"{said}, not clear of the {null}", *unknown]
        reasons = [f"the highest, {said}, is not above the {null}"]
        # What was learnt and is not yet said, or could not be measured, may be the teacher's.
        hints = unknown + [
            f"it has learnt {row.learned:.3f} of what {row.role} says beyond the base"
            for row in known
            if (row.ci_low_learned or 0) > options.null_share
        ]
        return ("NOT ENOUGH" if hints else "NONE OF THESE"), [], reasons + hints
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
