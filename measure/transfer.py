"""Whether a teacher's sentences passed to the distilled model, and go with right answers.

The resampling unit is the question: samples of one question are not independent. A Teacher label
needs only that the teacher finds a sentence likelier than the student does, so any better language
model earns some: the share is read beside its null, on the student's own rollouts, and beside a
control, an unrelated model in the teacher's place.

    area of a label = sum over positions j of P(label | j, right) - P(label | j, wrong)

over positions with at least 50 sentences of either outcome. Source: arXiv 2512.20908; the null, the
control and the decisions are OUR DEFINITION.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np
from numpy.typing import NDArray

from measure import provenance
from measure.errors import BadInput
from measure.intervals import bootstrap_interval
from measure.provenance import BOOSTED, BOOSTED_KINDS, LABELS, TEACHER, Role, Sentences
from measure.records import (
    AreaKind,
    CorrectnessLabel,
    LengthRule,
    ProvenanceArea,
    ProvenanceSentence,
    ProvenanceShare,
    ProvenanceSummary,
    Record,
    Rollout,
    RolloutsOf,
    SentenceScore,
    TransferLabel,
)
from measure.request import Measurement

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    Counts = Float[NDArray[np.float64], "questions columns"]

METHOD = "provenance"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
MIN_PER_POSITION = 50
MIN_QUESTIONS = 10
STABLE_KAPPA = 0.6


@dataclass(frozen=True, slots=True)
class Options:
    """Thresholds of the labels; beta None is found from the sentences."""

    alpha: float = provenance.ALPHA
    beta: float | None = None
    length_rule: LengthRule = "student"

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("beta", self.beta)):
            if value is not None and not 0 < value < 1:
                raise BadInput(f"{name} {value} cannot be: give one between 0 and 1")
        if self.length_rule not in get_args(LengthRule):
            raise BadInput(f"length_rule {self.length_rule!r} is none of {get_args(LengthRule)}")


@dataclass(frozen=True, slots=True)
class Scored:
    """Rollouts and what each model makes of their sentences."""

    rollouts: Sequence[Rollout]
    scores: Mapping[Role, Sequence[SentenceScore]]


def plan(
    models: Mapping[str, str],
    inputs: Mapping[str, str],
    prompts: tuple[str, str],
    options: Options,
) -> Measurement:
    """Models and inputs (measurement ids) by role; `prompts` is the problems' name and hash."""
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
            "alpha": options.alpha,
            "beta": options.beta,
            "length_rule": options.length_rule,
        },
        units=("all",),
    )


def measure(
    distilled: Scored, student: Scored, control: Scored | None, options: Options
) -> list[Record]:
    """All records of a teacher, a student and a distilled model.

    `student`: the same models' scores of the student's own rollouts, the null. `control`: the
    distilled model's rollouts with an unrelated model in the teacher's place; None without one.
    """
    texts = provenance.align(distilled.rollouts, distilled.scores)
    beta, source = _beta(texts, options)
    sets: dict[RolloutsOf, _Labelled] = {
        "distilled": _Labelled.of(texts, options, beta),
        "student": _Labelled.of(provenance.align(student.rollouts, student.scores), options, beta),
    }
    if control is not None:
        aligned = provenance.align(control.rollouts, control.scores)
        sets["control"] = _Labelled.of(aligned, options, beta)
    shares = [share for name, found in sets.items() for share in _shares(name, found)]
    areas = list(_areas(sets["distilled"]))
    rows = [row for name, found in sets.items() if name != "control" for row in found.rows(name)]
    summary = _summary(distilled.rollouts, sets, shares, areas, options, (beta, source))
    return [*rows, *shares, *areas, summary]


def _beta(texts: Sentences, options: Options) -> tuple[float, str]:
    if options.beta is not None:
        return options.beta, "given"
    used = texts.is_used
    p_t, p_s, p_d = texts.p(options.length_rule)
    found = provenance.adaptive_beta(p_t[used], p_s[used], p_d[used], options.alpha)
    return (provenance.FALLBACK_BETA, "fallback") if found is None else (found, "adaptive")


@dataclass(frozen=True, slots=True)
class _Labelled:
    """Sentences with their labels; codes mean something where a sentence is used."""

    texts: Sentences
    options: Options
    beta: float
    p: provenance.Three
    label4: NDArray[np.int8]
    label3: NDArray[np.int8]
    kind: NDArray[np.int8]  # of Boosted
    is_used: NDArray[np.bool_]

    @classmethod
    def of(cls, texts: Sentences, options: Options, beta: float) -> _Labelled:
        p = texts.p(options.length_rule)
        return cls(
            texts,
            options,
            beta,
            p,
            provenance.label4(*p, options.alpha, beta),
            provenance.label3(p[0], p[1], beta),
            provenance.boosted_kind(*p),
            texts.is_used,
        )

    def used(self, rule: LengthRule) -> provenance.Three:
        """Probabilities of the sentences that count."""
        p_t, p_s, p_d = self.texts.p(rule)
        return p_t[self.is_used], p_s[self.is_used], p_d[self.is_used]

    def rows(self, name: RolloutsOf) -> Iterator[ProvenanceSentence]:
        texts = self.texts
        for i, (problem_id, sample, sentence) in enumerate(texts.keys):
            is_used = bool(self.is_used[i])
            is_boosted = is_used and self.label4[i] == BOOSTED
            correct = float(texts.correct[i])
            yield ProvenanceSentence(
                rollouts_of=name,
                problem_id=problem_id,
                sample=sample,
                sentence=sentence,
                j=None if texts.is_special[i] else int(texts.j[i]),
                rel_pos=_or_none(texts.rel_pos[i]),
                char_start=int(texts.chars[i, 0]),
                char_end=int(texts.chars[i, 1]),
                is_special=bool(texts.is_special[i]),
                is_long=bool(texts.is_long[i]),
                is_repeat=bool(texts.is_repeat[i]),
                is_correct=None if np.isnan(correct) else bool(correct),
                n_tokens_teacher=int(texts.n_tokens["teacher"][i]),
                n_tokens_student=int(texts.n_tokens["student"][i]),
                n_tokens_distilled=int(texts.n_tokens["distilled"][i]),
                p_teacher=_or_none(self.p[0][i]),
                p_student=_or_none(self.p[1][i]),
                p_distilled=_or_none(self.p[2][i]),
                label4=LABELS[self.label4[i]] if is_used else None,
                label3=LABELS[self.label3[i]] if is_used else None,
                boosted=BOOSTED_KINDS[self.kind[i]] if is_boosted else None,
                reason=texts.reasons[i],
            )

    def counts(self, questions: Sequence[str]) -> Counts:
        """Sentences by question and label, kinds of Boosted after the labels, then all of them."""
        table = np.zeros((len(questions), len(LABELS) + len(BOOSTED_KINDS) + 1))
        row = {problem_id: i for i, problem_id in enumerate(questions)}
        at = np.array([row[q] for q in self.texts.questions], dtype=np.int64)
        where = at[self.texts.question[self.is_used]] if len(at) else np.empty(0, np.int64)
        label, kind = self.label4[self.is_used], self.kind[self.is_used]
        np.add.at(table, (where, label), 1)
        boosted = label == BOOSTED
        np.add.at(table, (where[boosted], len(LABELS) + kind[boosted]), 1)
        table[:, -1] = table[:, : len(LABELS)].sum(1)
        return table


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _ratio(top: NDArray[np.float64], bottom: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan)


def _shares(name: RolloutsOf, found: _Labelled) -> Iterator[ProvenanceShare]:
    counts = found.counts(found.texts.questions)
    n_all = int(counts[:, -1].sum())
    n_questions = int((counts[:, -1] > 0).sum())
    for column, label in enumerate((*LABELS, *BOOSTED_KINDS)):
        pair = counts[:, [column, -1]]
        low, high = _share_interval(pair, n_questions)
        yield ProvenanceShare(
            rollouts_of=name,
            label=label,
            n_sentences=int(pair[:, 0].sum()),
            n_all=n_all,
            n_questions=n_questions,
            share=float(pair[:, 0].sum() / n_all) if n_all else None,
            ci_low_share=low,
            ci_high_share=high,
        )


def _share_interval(pair: Counts, n_questions: int) -> tuple[float | None, float | None]:
    """The bootstrap's 95 %; where no or every sentence has the label, that of Clopper and Pearson.

    The bootstrap of a constant is a point. Each question then counts as one trial.
    """
    low, high = _interval(pair, lambda means: _ratio(means[:, 0], means[:, 1]))
    if low is None or high is None:
        return None, None
    n_label, n_all = pair.sum(0)
    if n_label == 0:
        return 0.0, 1 - 0.025 ** (1 / n_questions)
    if n_label == n_all:
        return 0.025 ** (1 / n_questions), 1.0
    return low, high


def _interval(values: Counts, statistic: object) -> tuple[float | None, float | None]:
    """The bootstrap's 95 %; None where it is defined in no resample or there is one question."""
    if len(values) < 2 or not values.any():
        return None, None
    low, high = bootstrap_interval(values, statistic)  # pyright: ignore[reportArgumentType]
    return _or_none(low), _or_none(high)


def _teacher_above(sets: Mapping[RolloutsOf, _Labelled], other: RolloutsOf) -> _Difference:
    """Teacher share of the distilled model's rollouts less that of the others, by question."""
    if other not in sets:
        return _Difference(None, None, None)
    both = [sets["distilled"], sets[other]]
    questions = sorted({q for found in both for q in found.texts.questions})
    tables = [found.counts(questions)[:, [TEACHER, -1]] for found in both]
    values = np.hstack(tables)

    def difference(means: NDArray[np.float64]) -> NDArray[np.float64]:
        return _ratio(means[:, 0], means[:, 1]) - _ratio(means[:, 2], means[:, 3])

    if not len(values):
        return _Difference(None, None, None)
    observed = _or_none(float(difference(values.mean(0)[None])[0]))
    if observed is None:
        return _Difference(None, None, None)
    return _Difference(observed, *_interval(values, difference))


@dataclass(frozen=True, slots=True)
class _Difference:
    value: float | None
    low: float | None
    high: float | None


# --- right and wrong answers --------------------------------------------------------------------


def _areas(found: _Labelled) -> Iterator[ProvenanceArea]:
    """Raw and within-question area of each label over the positions that have enough sentences."""
    table = _outcome_counts(found)  # questions, positions, outcomes (wrong, right), labels + all
    enough = (table[..., -1].sum(0) >= MIN_PER_POSITION).all(-1)
    table = table[:, enough]
    for code, label in enumerate(LABELS):
        yield _area(table[..., [code, -1]], label, "raw")
        yield _area(table[..., [code, -1]], label, "within")


def _outcome_counts(found: _Labelled) -> NDArray[np.float64]:
    texts = found.texts
    known = found.is_used & ~np.isnan(texts.correct)
    n_positions = int(texts.j[known].max()) + 1 if known.any() else 0
    table = np.zeros((len(texts.questions), n_positions, 2, len(LABELS) + 1))
    where = (texts.question[known], texts.j[known], texts.correct[known].astype(np.int64))
    np.add.at(table, (*where, found.label4[known]), 1)
    table[..., -1] = table.sum(-1)
    return table


def _area(table: NDArray[np.float64], label: str, kind: AreaKind) -> ProvenanceArea:
    """`table`: questions, positions, outcomes (wrong, right), counts (label, all)."""
    n_questions, n_positions = table.shape[:2]
    if kind == "raw":
        values = table.reshape(n_questions, 4 * n_positions)
        statistic = _RawArea(n_positions)
        counted = n_questions
    else:
        share = _ratio(table[..., 0], table[..., 1])
        difference = share[..., 1] - share[..., 0]
        has_both = ~np.isnan(difference)
        values = np.hstack([np.where(has_both, difference, 0), has_both.astype(np.float64)])
        statistic = _WithinArea(n_positions)
        counted = int(has_both.any(1).sum())
    area = None
    low = high = None
    if n_positions and counted:
        area = _or_none(float(statistic(values.mean(0)[None])[0]))
        low, high = _interval(values, statistic) if area is not None else (None, None)
    reason = None
    if area is None:
        reason = (
            f"no sentence position has {MIN_PER_POSITION} sentences of right and of wrong rollouts"
            if not n_positions
            else "no question has right and wrong rollouts"
        )
    return ProvenanceArea(
        label=label,  # pyright: ignore[reportArgumentType]
        kind=kind,
        n_positions=n_positions,
        n_questions=counted,
        area=area,
        ci_low_area=low,
        ci_high_area=high,
        reason=reason,
    )


@dataclass(frozen=True, slots=True)
class _RawArea:
    n_positions: int

    def __call__(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        table = means.reshape(len(means), self.n_positions, 2, 2)
        share = _ratio(table[..., 0], table[..., 1])
        return (share[..., 1] - share[..., 0]).sum(-1)


@dataclass(frozen=True, slots=True)
class _WithinArea:
    n_positions: int

    def __call__(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        difference, n = means[:, : self.n_positions], means[:, self.n_positions :]
        # A position that no drawn question has both outcomes at adds nothing.
        return np.nan_to_num(_ratio(difference, n)).sum(-1)


# --- the summary and its decisions --------------------------------------------------------------


def transfers(
    null: _Difference, control: _Difference, shares: Mapping[str, ProvenanceShare]
) -> tuple[TransferLabel, list[str]]:
    """Whether a teacher's patterns passed on: all three comparisons must say so; one can deny."""
    teacher, student = shares["Teacher"], shares["Student"]
    if teacher.n_questions < MIN_QUESTIONS:
        return "NOT ENOUGH", [f"{teacher.n_questions} questions, {MIN_QUESTIONS} are needed"]
    found = [
        _above_zero("Teacher share less its null", null, "the student has no rollouts to compare"),
        _above_zero("Teacher share less a wrong teacher's", control, "no wrong teacher was given"),
    ]
    if None in (teacher.ci_low_share, student.ci_low_share):
        found.append((None, "the shares have no interval"))
    else:
        assert teacher.ci_low_share is not None and teacher.ci_high_share is not None
        assert student.ci_low_share is not None and student.ci_high_share is not None
        says = True if teacher.ci_low_share > student.ci_high_share else None
        says = False if teacher.ci_high_share < student.ci_low_share else says
        found.append(
            (
                says,
                f"Teacher [{teacher.ci_low_share:.3f}, {teacher.ci_high_share:.3f}] against "
                f"Student [{student.ci_low_share:.3f}, {student.ci_high_share:.3f}]",
            )
        )
    says = [one for one, _ in found]
    label: TransferLabel = "NOT ENOUGH"
    if False in says:
        label = "DOES NOT TRANSFER"
    elif all(says):
        label = "TRANSFERS"
    return label, [reason for _, reason in found]


def _above_zero(what: str, found: _Difference, missing: str) -> tuple[bool | None, str]:
    if found.value is None or found.low is None or found.high is None:
        return None, missing
    says = True if found.low > 0 else False if found.high <= 0 else None
    return says, f"{what} {found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def correlates(area: ProvenanceArea) -> tuple[CorrectnessLabel, list[str]]:
    """Whether right answers have more Teacher sentences within questions."""
    if area.area is None or area.ci_low_area is None or area.ci_high_area is None:
        return "NOT ENOUGH", [area.reason or "the area has no interval"]
    if area.n_questions < MIN_QUESTIONS:
        what = f"{area.n_questions} questions with right and wrong rollouts"
        return "NOT ENOUGH", [f"{what}, {MIN_QUESTIONS} are needed"]
    reason = (
        f"within-question area of Teacher {area.area:+.3f} "
        f"[{area.ci_low_area:+.3f}, {area.ci_high_area:+.3f}], {area.n_questions} questions"
    )
    if area.ci_low_area > 0:
        return "CORRELATES", [reason]
    return ("DOES NOT CORRELATE" if area.ci_high_area <= 0 else "NOT ENOUGH"), [reason]


def _summary(
    rollouts: Sequence[Rollout],
    sets: Mapping[RolloutsOf, _Labelled],
    shares: Sequence[ProvenanceShare],
    areas: Sequence[ProvenanceArea],
    options: Options,
    beta: tuple[float, str],
) -> ProvenanceSummary:
    own = sets["distilled"]
    texts = own.texts
    null, control = _teacher_above(sets, "student"), _teacher_above(sets, "control")
    by_label = {share.label: share for share in shares if share.rollouts_of == "distilled"}
    transfer, transfer_reasons = transfers(null, control, by_label)
    within = next(a for a in areas if a.label == "Teacher" and a.kind == "within")
    correctness, correctness_reasons = correlates(within)
    used = own.used(options.length_rule)
    kappa = provenance.least_kappa(*used, options.alpha, beta[0])
    others: LengthRule = "own" if options.length_rule == "student" else "student"
    labels = [provenance.label4(*p, options.alpha, beta[0]) for p in (used, own.used(others))]
    masked = own.is_used & (own.label4 == provenance.SHARED) & (own.label3 != provenance.SHARED)
    with_text = {key[:2] for key in texts.keys}
    return ProvenanceSummary(
        alpha=options.alpha,
        beta=beta[0],
        beta_source=beta[1],  # pyright: ignore[reportArgumentType]
        length_rule=options.length_rule,
        n_rollouts=len(rollouts),
        n_correct=sum(r.is_correct is True for r in rollouts),
        n_incorrect=sum(r.is_correct is False for r in rollouts),
        n_unchecked=sum(r.is_correct is None for r in rollouts),
        n_empty=sum((r.problem_id, r.sample) not in with_text for r in rollouts),
        n_sentences=int(own.is_used.sum()),
        n_special=int(texts.is_special.sum()),
        n_repeats=int((texts.is_repeat & ~texts.is_special).sum()),
        n_unscored=int((~own.is_used & ~texts.is_special & ~texts.is_repeat).sum()),
        teacher_minus_null=null.value,
        ci_low_teacher_minus_null=null.low,
        ci_high_teacher_minus_null=null.high,
        teacher_minus_control=control.value,
        ci_low_teacher_minus_control=control.low,
        ci_high_teacher_minus_control=control.high,
        least_kappa=kappa,
        is_stable=None if kappa is None else kappa >= STABLE_KAPPA,
        own_token_kappa=provenance.cohen_kappa(*labels),
        n_masked=int(masked.sum()),
        transfer=transfer,
        transfer_reasons="; ".join(transfer_reasons),
        correctness=correctness,
        correctness_reasons="; ".join(correctness_reasons),
    )
