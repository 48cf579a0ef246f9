"""Family calibration: is a derivative displaced as this base's distilled derivatives are?

In one layer, with displacements from the base (structural: tau over all seeds; functional: the
difference of centroids), for a derivative x of recipe r:

    direction  u = m / |m|,  m = mean displacement of the distilled pairs but x and those of r
    score      s = <displacement, u> / floor         beside it the plain norm |displacement| / floor
    p            = (1 + #{non-distilled but x: s >= s_x}) / (1 + n), never below 1 / (1 + n)

The non-distilled are projected on the same u as x: a p is exchangeable only if one function scored
both. For a new or a non-distilled x that is the mean of all distilled pairs; for a distilled one
its recipe is left out for all, so that x never bends the axis it is judged on. Known pairs, new
derivatives and evaluation all go through `ask`.

Holm over all that is asked at once. OUR DEFINITION.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from measure.intervals import N_RESAMPLES, SEED
from measure.verdicts import Layer, Verdict

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    Displacement = Float[NDArray[np.float64], " dims"]
    Scores = Float[NDArray[np.float64], " null"]
    Weights = Float[NDArray[np.float64], "resamples derivatives"]

ALPHA = 0.05
MIN_DISTILLED = 3
MIN_POWER = 0.8
ROUNDING = 1e-9  # 0.05 / 3 and 1 / 60 are the same level

Rule = Literal["family null", "pooled null", "uniform norm"]
RULES: tuple[Rule, ...] = ("family null", "pooled null", "uniform norm")
POOLED = "pooled"
MIN_NULL_AT_1_PERCENT = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Derivative:
    """One derivative's displacement from its base in one layer."""

    name: str
    recipe: str | None  # recipe class; siblings differ in seed or strength alone; None: unknown
    displacement: Displacement
    is_declared: bool = False  # what it is, its user says; of the zoo's the code that made them


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """What is known of one base family in one layer; `floor` is that layer's noise floor."""

    family: str
    layer: Layer
    floor: float
    distilled: tuple[Derivative, ...]
    null: tuple[Derivative, ...]  # not distilled

    def __post_init__(self) -> None:
        members = (*self.distilled, *self.null)
        names = [one.name for one in members]
        where = f"{self.family}, {self.layer}"
        if not self.floor > 0:
            raise ValueError(f"{where}: the floor is {self.floor}, it must be above 0")
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"{where}: given twice: {', '.join(twice)}")
        for one in members:
            if one.recipe is None:
                raise ValueError(f"{where}: '{one.name}' has no recipe, a member needs one")
            self.check(one)

    def check(self, one: Derivative) -> None:
        """Raise if a displacement cannot be compared with the others."""
        members = (*self.distilled, *self.null)
        wanted = members[0].displacement.shape if members else one.displacement.shape
        if one.displacement.shape != wanted or not np.isfinite(one.displacement).all():
            raise ValueError(
                f"{self.family}, {self.layer}: '{one.name}' has a displacement of shape "
                f"{one.displacement.shape}, {wanted} of finite numbers is wanted"
            )

    def without(self, asked: Derivative) -> Calibration:
        """All that may judge `asked`: neither itself nor distilled siblings of its recipe."""
        return replace(
            self,
            distilled=tuple(
                one
                for one in self.distilled
                if one.name != asked.name and one.recipe != asked.recipe
            ),
            null=tuple(one for one in self.null if one.name != asked.name),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """One derivative's place among the non-distilled of its family, in floors."""

    asked: Derivative
    rest: Calibration  # what judged it
    score: float | None  # projection; None without a distilled pair, or if their mean is 0
    norm: float
    null_scores: Scores  # of `rest.null`, on the same axis; NaN where score is None

    @property
    def p(self) -> float | None:
        """Upper tail: as far along the direction as this, or farther."""
        return conformal_p(self.score, self.null_scores)

    @property
    def p_other_tail(self) -> float | None:
        """Lower tail: as far against the direction as this, or farther."""
        return None if self.score is None else conformal_p(-self.score, -self.null_scores)

    @property
    def in_class(self) -> Scores:
        """Null scores of its own recipe class: noise is not exchangeable with fine-tuning."""
        is_same = [one.recipe == self.asked.recipe for one in self.rest.null]
        return self.null_scores[np.array(is_same, dtype=bool)]

    @property
    def p_in_class(self) -> float | None:
        """Upper tail within its recipe class; None if no null is of it."""
        return conformal_p(self.score, self.in_class) if len(self.in_class) else None


def conformal_p(score: float | None, null: Scores) -> float | None:
    """(1 + #{null >= score}) / (1 + n); ties count against the score. None without a score."""
    return None if score is None else float((1 + np.sum(null >= score)) / (1 + len(null)))


def least_p(n_null: int) -> float:
    """The smallest conformal p that n null scores can give."""
    return 1 / (1 + n_null)


def ask(calibration: Calibration, asked: Derivative) -> Answer:
    """Score a derivative and the null on the axis of the distilled pairs that may judge it."""
    calibration.check(asked)
    rest = calibration.without(asked)
    axis = _axis(rest.distilled)
    scores = _along(axis, (asked, *rest.null)) / rest.floor
    return Answer(
        asked=asked,
        rest=rest,
        score=None if axis is None else float(scores[0]),
        norm=float(np.linalg.norm(asked.displacement)) / rest.floor,
        null_scores=scores[1:],
    )


def _axis(distilled: Sequence[Derivative]) -> Displacement | None:
    if not distilled:
        return None
    mean = np.mean([one.displacement for one in distilled], axis=0)
    length = np.linalg.norm(mean)
    return mean / length if length > 0 else None


def _along(axis: Displacement | None, members: Sequence[Derivative]) -> Scores:
    if axis is None or not members:
        return np.full(len(members), np.nan)
    # Row by row, so that equal displacements tie to the last bit; in a matrix product they may not.
    return (np.stack([one.displacement for one in members]) * axis).sum(axis=1)


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given."""
    adjusted, running = [0.0] * len(ps), 0.0
    for place, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        running = max(running, min(1.0, (len(ps) - place) * ps[index]))
        adjusted[index] = running
    return adjusted


def power(calibration: Calibration, level: float) -> tuple[float | None, int]:
    """Share of the known distilled pairs found, each without its recipe, and of how many."""
    ps = [ask(calibration, one).p for one in calibration.distilled]
    found = [p <= level * (1 + ROUNDING) for p in ps if p is not None]
    return (sum(found) / len(found) if found else None), len(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibratedVerdict(Verdict):
    """'DISTILLED-LIKE', 'NOT DISTILLED-LIKE', 'INCONCLUSIVE' or 'UNCALIBRATED', in one layer."""

    answer: Answer
    missing: tuple[str, ...]  # what the calibration lacks for an answer; empty if it has one
    p_holm: float | None  # over all that was asked at once; None if it took no part
    power: float | None  # share of known distilled pairs found at the level of this question
    n_power: int  # pairs in that share


def judge(
    questions: Sequence[tuple[Calibration, Derivative]], alpha: float = ALPHA
) -> list[CalibratedVerdict]:
    """One verdict a question; what is asked together is corrected together."""
    answers = [ask(calibration, asked) for calibration, asked in questions]
    ps = {
        index: one.p
        for index, one in enumerate(answers)
        if one.p is not None and len(one.rest.distilled) >= MIN_DISTILLED
    }
    p_holm = dict(zip(ps, holm(list(ps.values())), strict=True))
    n_found = sum(p <= alpha * (1 + ROUNDING) for p in p_holm.values())
    # A p at or below this would have been found as well: Holm's step after the last one found.
    level = alpha / max(1, len(ps) - n_found)
    return [_judge(one, p_holm.get(index), alpha, level) for index, one in enumerate(answers)]


def _judge(answer: Answer, p_holm: float | None, alpha: float, level: float) -> CalibratedVerdict:
    lacks = _lacks(answer, level)
    share, n_power = power(answer.rest, level)
    other_tail = answer.p_other_tail
    if p_holm is not None and p_holm <= alpha * (1 + ROUNDING):
        label, why = "DISTILLED-LIKE", [f"beyond the non-distilled: Holm p {p_holm:.3g}"]
    elif lacks or p_holm is None:
        label, why = "UNCALIBRATED", lacks
    elif other_tail is not None and other_tail <= alpha * (1 + ROUNDING):
        what = f"farther against the direction than the non-distilled: p {other_tail:.3g}"
        label, why = "INCONCLUSIVE", [what]
    else:
        has_power = share is not None and share >= MIN_POWER
        label = "NOT DISTILLED-LIKE" if has_power else "INCONCLUSIVE"
        known = "unknown" if share is None else f"{share:.0%} of {n_power} known pairs"
        wanted = f"power {known}, {MIN_POWER:.0%} needed"
        why = [f"within the non-distilled: Holm p {p_holm:.3g}", wanted]
    return CalibratedVerdict(
        label=label,
        reasons=(*why, *_numbers(answer)),
        answer=answer,
        missing=tuple(lacks) if label == "UNCALIBRATED" else (),
        p_holm=p_holm,
        power=share,
        n_power=n_power,
    )


def admitted(verdict: CalibratedVerdict, faults: Sequence[str]) -> CalibratedVerdict:
    """The verdict; INCONCLUSIVE if it would accuse on evidence that `faults` forbid to use."""
    if verdict.label != "DISTILLED-LIKE" or not faults:
        return verdict
    reasons = (*(f"inadmissible: {fault}" for fault in faults), *verdict.reasons)
    return replace(verdict, label="INCONCLUSIVE", reasons=reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """What one threshold on the plain norm, the same for all families, would say: a comparison."""

    n_null: int  # non-distilled of all families, without the asked one
    threshold: float | None  # their 95th percentile, in floors
    p: float | None


def uniform(answer: Answer, calibrations: Sequence[Calibration]) -> Uniform:
    """The norm of a derivative among those of the non-distilled of all families."""
    norms = [
        float(np.linalg.norm(one.displacement)) / calibration.floor
        for calibration in calibrations
        for one in calibration.null
        if one.name != answer.asked.name
    ]
    if not norms:
        return Uniform(n_null=0, threshold=None, p=None)
    threshold = float(np.quantile(norms, 0.95))
    return Uniform(
        n_null=len(norms), threshold=threshold, p=conformal_p(answer.norm, np.array(norms))
    )


def _lacks(answer: Answer, level: float) -> list[str]:
    """What a calibration would need before this question has an answer."""
    n_distilled, n_null = len(answer.rest.distilled), len(answer.rest.null)
    lacks: list[str] = []
    if n_distilled < MIN_DISTILLED:
        lacks.append(
            f"{n_distilled} distilled pairs of other recipes, {MIN_DISTILLED} needed: "
            f"{MIN_DISTILLED - n_distilled} missing"
        )
    elif answer.score is None:
        lacks.append("the displacements of the distilled pairs cancel: there is no direction")
    if least_p(n_null) > level * (1 + ROUNDING):
        needed = ceil(1 / level * (1 - ROUNDING)) - 1
        lacks.append(
            f"{n_null} non-distilled, {needed} needed to reach p {level:.3g}: "
            f"{needed - n_null} missing"
        )
    return lacks


def _numbers(answer: Answer) -> list[str]:
    """The p values, each with the smallest that so many null can give; and the floor."""
    stated: list[str] = []
    for where, p, null in (
        ("all", answer.p, answer.null_scores),
        ("its recipe class", answer.p_in_class, answer.in_class),
    ):
        if p is not None:
            least = f"at least {least_p(len(null)):.3g} with {len(null)} non-distilled"
            stated.append(f"within {where} p {p:.3g}, {least}")
    if answer.p_in_class is None:
        stated.append("no non-distilled derivative of its recipe class")
    if answer.norm < 1:
        stated.append(f"displaced by {answer.norm:.3g} floors: below its floor")
    return stated


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A share, 0 to 1, with its 95 % interval; what is null has its reason."""

    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One row per layer, scope and rule: how well known distilled pairs are told from the null.

    'family null': the score against its own family's null. 'pooled null': the score against the
    null of all families. 'uniform norm': the plain norm against the null of all families, one
    threshold for all. Intervals resample the recipes of both sides and keep the axes.
    """

    layer: Layer
    scope: str  # a family, or 'pooled'
    rule: Rule
    n_distilled: int
    n_unscored: int  # distilled pairs without another recipe or null; not in n_distilled
    n_recipes: int  # of the distilled
    n_null: int
    n_distilled_declared: int  # of n_distilled, those that are what their user says
    n_null_declared: int  # of n_null, likewise
    auc: Estimate  # a tie counts a half
    tpr_at_5: Estimate  # share with p at most 0.05
    tpr_at_1: Estimate  # share with p at most 0.01; pooled, over at least 200 null
    p_least: float | None  # the smallest p that each of them can have; null if nothing is scored
    tpr_at_least: Estimate  # share beyond all of the null that judges it: at its smallest p
    fpr_at_5: float | None  # share of the scope's own null with p at most 0.05; null if too few


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Contest:
    """A row for every derivative asked, a column for every one of the null; NaN: not compared."""

    layer: Layer
    rule: Rule
    families: NDArray[np.str_]
    recipes: NDArray[np.str_]
    is_distilled: NDArray[np.bool_]
    scores: NDArray[np.float64]
    is_declared: NDArray[np.bool_]
    rivals: NDArray[np.float64]  # [rows, columns]
    rival_recipes: NDArray[np.str_]
    rival_is_declared: NDArray[np.bool_]


def evaluate(calibrations: Sequence[Calibration]) -> list[Evaluation]:
    """Leave-one-recipe-out in one layer: each rule, over each family and over all of them."""
    layers = {one.layer for one in calibrations}
    families = [one.family for one in calibrations]
    if len(layers) != 1 or len(set(families)) < len(families):
        raise ValueError(f"one layer and each family once, given: {layers}, {families}")
    rows = [(cal, ask(cal, one), True) for cal in calibrations for one in cal.distilled]
    rows += [(cal, ask(cal, one), False) for cal in calibrations for one in cal.null]
    contests = [_contest(calibrations, rows, rule) for rule in RULES]
    return [_evaluate(contest, scope) for contest in contests for scope in (*families, POOLED)]


def _contest(
    calibrations: Sequence[Calibration],
    rows: Sequence[tuple[Calibration, Answer, bool]],
    rule: Rule,
) -> _Contest:
    at_rest = {cal.family: _null_at_rest(cal, rule) for cal in calibrations}
    null = [one for cal in calibrations for one in cal.null]
    rivals = [
        np.concatenate([_rivals(answer, own, cal, rule, at_rest) for cal in calibrations])
        for own, answer, _ in rows
    ]
    # Rules are compared on the same pairs: a norm counts only where there is an axis too.
    scores = [
        np.nan if one.score is None else one.norm if rule == "uniform norm" else one.score
        for _, one, _ in rows
    ]
    return _Contest(
        layer=calibrations[0].layer,
        rule=rule,
        families=np.array([own.family for own, _, _ in rows]),
        recipes=np.array([answer.asked.recipe for _, answer, _ in rows]),
        is_distilled=np.array([is_distilled for _, _, is_distilled in rows]),
        scores=np.array(scores),
        is_declared=np.array([answer.asked.is_declared for _, answer, _ in rows], dtype=bool),
        rivals=np.stack(rivals),
        rival_recipes=np.array([one.recipe for one in null]),
        rival_is_declared=np.array([one.is_declared for one in null], dtype=bool),
    )


def _null_at_rest(calibration: Calibration, rule: Rule) -> Scores:
    """A family's null where another family is asked: norms, or along all its distilled pairs."""
    if rule == "uniform norm":
        norms = [float(np.linalg.norm(one.displacement)) for one in calibration.null]
        return np.array(norms, dtype=np.float64) / calibration.floor
    return _along(_axis(calibration.distilled), calibration.null) / calibration.floor


def _rivals(
    answer: Answer,
    own: Calibration,
    other: Calibration,
    rule: Rule,
    at_rest: Mapping[str, Scores],
) -> Scores:
    """What a family's null scores against an answer; NaN where it is not compared."""
    if other is not own:
        return at_rest[other.family] * (np.nan if rule == "family null" else 1)
    found = np.full(len(own.null), np.nan)
    is_other = np.array([one.name != answer.asked.name for one in own.null], dtype=bool)
    found[is_other] = (
        at_rest[own.family][is_other] if rule == "uniform norm" else answer.null_scores
    )
    return found


def _evaluate(contest: _Contest, scope: str) -> Evaluation:
    is_in = (contest.families == scope) | (scope == POOLED)
    n_rivals = np.isfinite(contest.rivals).sum(axis=1)
    is_scored = np.isfinite(contest.scores) & (n_rivals > 0)
    positive = is_in & contest.is_distilled & is_scored
    negative = is_in & ~contest.is_distilled & is_scored
    takes_part = np.isfinite(contest.rivals[positive]).any(axis=0)
    n_null = int(takes_part.sum())
    why = {
        "auc": None if n_null else f"{positive.sum()} distilled pairs, {n_null} null",
        "tpr_at_5": _too_few(n_rivals[positive], 0.05),
        "tpr_at_1": _too_few(n_rivals[positive], 0.01),
        "tpr_at_least": None if n_null else "nothing can be scored",
    }
    if n_null and (scope != POOLED or n_null < MIN_NULL_AT_1_PERCENT):
        why["tpr_at_1"] = why["tpr_at_1"] or _not_asked(scope, n_null)
    no_fpr = _too_few(n_rivals[negative], 0.05)
    shares = _estimates(contest, positive) if n_null else {}
    fpr = float(_shares(contest, negative)[1, 0]) if no_fpr is None else None
    return Evaluation(
        layer=contest.layer,
        scope=scope,
        rule=contest.rule,
        n_distilled=int(positive.sum()),
        n_unscored=int((is_in & contest.is_distilled & ~is_scored).sum()),
        n_recipes=len(set(contest.recipes[positive])),
        n_null=n_null,
        n_distilled_declared=int((positive & contest.is_declared).sum()),
        n_null_declared=int((takes_part & contest.rival_is_declared).sum()),
        p_least=least_p(int(n_rivals[positive].min())) if n_null else None,
        fpr_at_5=fpr,
        **{name: Estimate(reason=r) if r else shares[name] for name, r in why.items()},
    )


def _not_asked(scope: str, n_null: int) -> str:
    """Why a rate of 1 % is not given though a p of 0.01 can be had."""
    fewest = f"{MIN_NULL_AT_1_PERCENT} null are needed, so that 2 of them make the 1 %"
    where = "" if scope == POOLED else ", over all families"
    return f"{fewest}{where}; {n_null} are there"


def _too_few(n_rivals: NDArray[np.int64], rate: float) -> str | None:
    """Why a rate of false positives cannot be told from 0 with so few of the null."""
    if not n_rivals.size:
        return "nothing can be scored"
    fewest, needed = int(n_rivals.min()), round(1 / rate) - 1
    if fewest >= needed:
        return None
    return (
        f"{needed} null are needed for a p of {rate}, {fewest} are there: "
        f"no p is below {least_p(fewest):.3g}"
    )


def _estimates(contest: _Contest, rows: NDArray[np.bool_]) -> dict[str, Estimate]:
    point = _shares(contest, rows)[:, 0]
    names = ("auc", "tpr_at_5", "tpr_at_1", "tpr_at_least")
    if len(set(contest.recipes[rows])) < 2:
        return {n: Estimate(value=float(v)) for n, v in zip(names, point, strict=True)}
    rng = np.random.default_rng(SEED)
    takes_part = np.isfinite(contest.rivals[rows]).any(axis=0)
    columns = np.zeros((N_RESAMPLES, len(contest.rival_recipes)))
    columns[:, takes_part] = _resampled(contest.rival_recipes[takes_part], rng)
    drawn = _shares(contest, rows, _resampled(contest.recipes[rows], rng), columns)
    low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=1)
    return {
        name: Estimate(value=float(v), ci_low=float(a), ci_high=float(b))
        for name, v, a, b in zip(names, point, low, high, strict=True)
    }


def _resampled(recipes: NDArray[np.str_], rng: np.random.Generator) -> Weights:
    """How often each derivative is drawn when its recipe is the unit; [resamples, derivatives]."""
    names, index = np.unique(recipes, return_inverse=True)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=N_RESAMPLES)
    return drawn[:, index].astype(np.float64)


def _shares(
    contest: _Contest,
    rows: NDArray[np.bool_],
    weights: Weights | None = None,
    rival_weights: Weights | None = None,
) -> Float[NDArray[np.float64], "4 resamples"]:
    """AUC, the shares found at 5 and 1 % and at the least p; NaN: nothing to compare with."""
    rivals, scores = contest.rivals[rows], contest.scores[rows][:, None]
    weights = np.ones((1, rivals.shape[0])) if weights is None else weights
    rival_weights = np.ones((1, rivals.shape[1])) if rival_weights is None else rival_weights
    present = np.isfinite(rivals)
    drawn = rival_weights @ present.T
    n = present.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        below = rival_weights @ ((rivals < scores) + 0.5 * (rivals == scores)).T / drawn
        # The share at or above, at the real number of rivals: resampling changes no attainable p.
        p = (1 + n * (rival_weights @ (rivals >= scores).T / drawn)) / (1 + n)
        kept = np.where(drawn > 0, weights, 0)
        levels = (0.05, 0.01, 1 / (1 + n))
        parts = (np.nan_to_num(below), *(p <= level * (1 + ROUNDING) for level in levels))
        return np.stack([(kept * part).sum(axis=1) / kept.sum(axis=1) for part in parts])
