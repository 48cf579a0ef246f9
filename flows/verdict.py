"""The verdict on a pair: numbers of the lake, the rules of `measure`, and the rows they give.

A layer is judged by its own numbers alone. What was not measured is None and named under `missing`
with the command that brings it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import polars as pl

from flows import calibrating, observables
from flows.calibrating import LAYERS, Question
from flows.facts import Facts, Pair, null_medians, scar_of, triangle_of
from flows.observables import Observable
from measure import calibration, verdicts
from measure.calibration import CalibratedVerdict, Calibration
from measure.published import PublishedNumber
from measure.records import Mode
from measure.request import canonical_json, code_version
from measure.verdicts import Claim, Evidence, Layer, Verdict
from warehouse.lake import Lake

# The exit code of a pair is that of its weightiest layer; the first that occurs counts.
EXIT_CODES = {"DISTILLED-LIKE": 10, "UNCALIBRATED": 12, "INCONCLUSIVE": 11, "NOT DISTILLED-LIKE": 0}
THRESHOLDS = canonical_json(
    asdict(verdicts.DEFAULT)
    | {
        "alpha": calibration.ALPHA,
        "min_distilled": calibration.MIN_DISTILLED,
        "min_power": calibration.MIN_POWER,
    }
)
MORE_ORGANISMS = (
    "`cicatrix take PACK` brings models of known lineage, `cicatrix declare` makes yours such"
)


Displaced = Mapping[Layer, pl.DataFrame]  # rows of the mart `displacement`


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something that an answer would need."""

    what: str
    how: str  # to get it, with the command


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One answered question of a pair: a row of the table `verdict`."""

    layer: Layer | Literal["cross-layer"]
    question: str
    statement: str | None = None  # of a claim
    label: str
    reasons: tuple[str, ...]
    missing: tuple[Need, ...] = ()
    p: float | None = None
    p_least: float | None = None
    n_null: int | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def row(self, derivative_id: str, base_id: str) -> dict[str, object]:
        """The row as the lake keeps it; numbers in 9 digits, as sums may differ in the last."""
        return {
            **{name: getattr(self, name) for name in _COLUMNS},
            "derivative_id": derivative_id,
            "base_id": base_id,
            "missing": [f"{need.what}: {need.how}" for need in self.missing],
            "numbers": canonical_json(_rounded(dict(self.numbers))),
            "thresholds": THRESHOLDS,
            "code_version": code_version(),
        }


_COLUMNS = [one.name for one in fields(Judgement) if one.name != "numbers"]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class PairVerdict:
    """All that is said of a derivative and its base."""

    derivative_id: str
    derivative: str
    base_id: str
    base: str
    family: str | None
    label: str
    exit_code: int
    judgements: tuple[Judgement, ...]
    observables: tuple[Observable, ...]  # shown beside; they decide nothing
    published: tuple[PublishedNumber, ...]  # of the family's real models; likewise
    weight_lineage: Verdict
    capability_lineage: Verdict

    def one(self, question: str, layer: str | None = None) -> Judgement:
        """The answer to a question that is asked of every pair."""
        return next(
            j for j in self.judgements if j.question == question and layer in (None, j.layer)
        )

    def rows(self) -> list[dict[str, object]]:
        """The rows of the table `verdict`."""
        return [one.row(self.derivative_id, self.base_id) for one in self.judgements]

    def text(self) -> str:
        """One JSON object with everything that the screen shows."""
        return json.dumps(_rounded(asdict(self)), ensure_ascii=False, indent=2) + "\n"


def judge(lake: Lake, pair: Pair) -> PairVerdict:
    """Judge a measured pair in every layer; reads the lake and writes nothing."""
    facts = Facts.of(lake, pair)
    displaced: Displaced = {layer: calibrating.displacements(lake, layer) for layer in LAYERS}
    loudness = _loudness(facts, null_medians(lake, displaced["structural"], facts))
    free, forced = _triangle(facts, "free"), _triangle(facts, "forced")
    gate = _delta_norm(facts)
    like = _distilled_like(facts, displaced, _faults(facts, loudness, free))
    pattern = verdicts.cross_layer(loudness.label, free.label)
    across = Judgement(
        layer="cross-layer",
        question="pattern",
        label=pattern.label,
        reasons=pattern.reasons,
        missing=(*loudness.missing, *free.missing) if pattern.label == "unknown" else (),
    )
    claims = _claims(facts, like, loudness, free, gate)
    label = next(word for word in EXIT_CODES if word in {one.label for one in like})
    return PairVerdict(
        derivative_id=facts.derivative_id,
        derivative=facts.derivative,
        base_id=facts.base_id,
        base=facts.base,
        family=facts.family,
        label=label,
        exit_code=EXIT_CODES[label],
        judgements=(*like, loudness, free, forced, gate, across, *claims),
        observables=observables.observables(lake, facts.derivative_id, facts.base_id),
        published=observables.published(lake, facts.family),
        weight_lineage=_weight_lineage(facts),
        capability_lineage=_not_measured(
            facts.lineage.get("capability_lineage_reason", "sentence provenance is not measured")
        ),
    )


def _weight_lineage(facts: Facts) -> Verdict:
    """Whether the weights come from the base, as it was judged when they were compared."""
    label = facts.lineage.get("weight_lineage")
    if label is None:
        return _not_measured(facts.lineage.get("weight_lineage_reason") or "no weights compared")
    return Verdict(label=label, reasons=(facts.lineage["weight_lineage_reasons"],))


def _not_measured(reason: str) -> Verdict:
    return Verdict(label="not measured", reasons=(reason,))


def _faults(facts: Facts, loudness: Judgement, triangle: Judgement) -> dict[Layer, list[str]]:
    """What forbids the use of each layer's displacement as evidence."""
    noise = verdicts.eps_gate(facts.scar.get("eps_measured"))
    structural = [] if noise.label == "valid" else list(noise.reasons)
    return {
        "structural": [*structural, *verdicts.why_inadmissible(_evidence(facts, loudness))],
        "functional": list(verdicts.why_inadmissible(_evidence(facts, triangle))),
    }


def _evidence(facts: Facts, judgement: Judgement, supports: bool | None = None) -> Evidence:
    """A judgement as evidence, with what may speak against its layer's numbers."""
    layer = judgement.layer
    assert layer != "cross-layer"
    is_functional = layer == "functional"
    free = facts.functional.get("free", {})
    below = verdicts.triangle(triangle_of(facts, "free")).d_below_sb
    return Evidence(
        name=f"{layer} {judgement.question}, {judgement.label}",
        layer=layer,
        supports=supports,
        is_d_below_sb=is_functional and below is True,
        is_concentration_anomaly=layer == "structural" and _anomaly(facts) == "anomaly",
        zero_gap_frac=None if layer == "structural" else free.get("zero_gap_frac"),
    )


def _anomaly(facts: Facts) -> str:
    scar = scar_of(facts)
    return "unknown" if scar is None else verdicts.concentration_anomaly(scar).label


_SCAR_NUMBERS = (
    "n_seeds", "n_dim", "n_dim_failed", "min_non_max_x_eps", "median_non_max_x_eps",
    "max_non_max_x_eps", "max_seed", "max_seed_x_eps", "gini_max_seed", "top_dim_share_max_seed",
    "eps_measured", "is_eps_valid", "structural_status",
)  # fmt: skip


def _loudness(facts: Facts, medians: Sequence[float]) -> Judgement:
    """Whether the scar is loud among those of non-distilled derivatives of all families."""
    scar = scar_of(facts)
    numbers = {name: facts.scar.get(name) for name in _SCAR_NUMBERS}
    if scar is None:
        why = facts.scar.get("structural_reason") or "tau was not measured of both models"
        return Judgement(
            layer="structural", question="loudness", label="not interpretable", reasons=(why,),
            missing=(Need(what="a scar of two seeds or more", how=why),), numbers=numbers,
        )  # fmt: skip
    found, anomaly = verdicts.loudness(scar, medians), verdicts.concentration_anomaly(scar)
    needed = Need(what="non-distilled derivatives of any family, for loudness", how=MORE_ORGANISMS)
    return Judgement(
        layer="structural",
        question="loudness",
        label=found.label,
        reasons=(*found.reasons, *anomaly.reasons),
        missing=(needed,) if found.label == "unknown" else (),
        n_null=len(medians),
        p_least=calibration.least_p(len(medians)),
        numbers=numbers
        | {"anomaly": anomaly.label, "noise": verdicts.eps_gate(scar.eps_measured).label},
    )


_PAIR_NUMBERS = (
    "n_prompts", "n_prompts_dropped", "centroid_distance", "ci_low_centroid_distance",
    "ci_high_centroid_distance", "centroid_floor", "crp_distance", "ci_low_crp_distance",
    "ci_high_crp_distance", "crp_floor", "sign_flip_floor", "sign_flip_p", "cancellation",
    "zero_gap_frac", "functional_status",
)  # fmt: skip
_GAP_NUMBERS = (
    "winner_gap_class", "direction", "g1_share", "ci_low_g1_share", "ci_high_g1_share",
    "cancellation_g1", "cv_label", "cv_effect", "ci_low_cv_effect", "ci_high_cv_effect",
)  # fmt: skip


def _triangle(facts: Facts, mode: Mode) -> Judgement:
    row = triangle_of(facts, mode)
    found = verdicts.triangle(row)
    missing = [
        Need(what=what, how=facts.pair.command(role))
        for role, what in (
            ("reference", "a reference: a model of another family, about the same size"),
            ("shared_comparator", "a shared comparator: one stranger for all comparisons"),
        )
        if (mode, role) not in facts.triangle
    ]
    refused = facts.functional.get(mode, {}).get("reason")
    others = {
        f"{role}_id": facts.triangle.get((mode, role), {}).get("reference_id")
        for role in ("reference", "shared_comparator")
    }
    flags = ("d_below_sb", "shared_patho", "reference_neighbour", "magnitude")
    return Judgement(
        layer="functional",
        question=f"triangle {mode}",
        label=found.label,
        reasons=(*found.reasons, *([refused] if refused else [])),
        missing=tuple(missing),
        numbers={name: facts.functional.get(mode, {}).get(name) for name in _PAIR_NUMBERS}
        | {name: facts.winner_gap.get(mode, {}).get(name) for name in _GAP_NUMBERS}
        | asdict(row)
        | {name: getattr(found, name) for name in flags}
        | others,
    )


def _delta_norm(facts: Facts) -> Judgement:
    """The gate of the derivative, that of the base beside it."""
    row = facts.winner_gap.get("free", {})
    gates = {
        who: verdicts.delta_norm_gate(
            row.get(f"delta_norm_{who}"),
            row.get(f"ci_low_delta_norm_{who}"),
            row.get(f"ci_high_delta_norm_{who}"),
        )
        for who in ("derivative", "base")
    }
    numbers = {
        f"{name}delta_norm_{who}": row.get(f"{name}delta_norm_{who}")
        for who in gates
        for name in ("", "ci_low_", "ci_high_", "n_")
    }
    return Judgement(
        layer="thermodynamic",
        question="delta-norm",
        label=gates["derivative"].label,
        reasons=tuple(f"{who}: {reason}" for who, one in gates.items() for reason in one.reasons),
        numbers=numbers | {"gate_base": gates["base"].label},
    )


def _distilled_like(
    facts: Facts, displaced: Displaced, faults: Mapping[Layer, Sequence[str]]
) -> list[Judgement]:
    """Each calibrated layer, corrected together."""
    asked: dict[Layer, Question | str] = {
        layer: calibrating.question(frame, layer, facts.derivative_id, facts.base_id)
        for layer, frame in displaced.items()
    }
    questions = {layer: one for layer, one in asked.items() if not isinstance(one, str)}
    answers = dict(
        zip(
            questions,
            calibration.judge([(one.calibration, one.asked) for one in questions.values()]),
            strict=True,
        )
    )
    found: list[Judgement] = []
    for layer, one in asked.items():
        if isinstance(one, str):
            found.append(_unasked(facts, layer, one))
            continue
        answer = calibration.admitted(answers[layer], faults[layer])
        families = calibrating.families(displaced[layer], layer)
        found.append(_place(facts, layer, answer, families, one.n_left_out, len(questions)))
    return found


def _unasked(facts: Facts, layer: Layer, why: str) -> Judgement:
    told = (
        facts.scar.get("structural_reason")
        if layer == "structural"
        else facts.functional.get("free", {}).get("reason")
    )
    reason = f"{why}: {told}" if told else why
    return Judgement(
        layer=layer, question="distilled-like", label="INCONCLUSIVE", reasons=(reason,),
        missing=(Need(what=f"a {layer} displacement", how=reason),),
    )  # fmt: skip


def _place(
    facts: Facts,
    layer: Layer,
    verdict: CalibratedVerdict,
    families: Sequence[Calibration],
    n_left_out: int,
    n_asked: int,
) -> Judgement:
    answer = verdict.answer
    null = pl.Series(answer.null_scores).drop_nans()
    uniform = calibration.uniform(answer, families)
    n_null = len(answer.rest.null)
    return Judgement(
        layer=layer,
        question="distilled-like",
        label=verdict.label,
        reasons=verdict.reasons,
        missing=tuple(
            Need(what=f"{layer}, family {answer.rest.family}: {lack}", how=MORE_ORGANISMS)
            for lack in verdict.missing
        ),
        p=answer.p,
        p_least=calibration.least_p(n_null),
        n_null=n_null,
        numbers={
            "recipe": answer.asked.recipe,
            "score_floors": answer.score,
            "norm_floors": answer.norm,
            "floor": answer.rest.floor,
            "null_median_floors": null.median(),
            "null_p95_floors": null.quantile(0.95, "linear"),
            "n_distilled": len(answer.rest.distilled),
            "n_distilled_declared": sum(one.is_declared for one in answer.rest.distilled),
            "n_null_declared": sum(one.is_declared for one in answer.rest.null),
            "n_null_above": None if answer.score is None else int((null >= answer.score).sum()),
            "n_left_out": n_left_out,
            "p_other_tail": answer.p_other_tail,
            "p_in_class": answer.p_in_class,
            "n_in_class": len(answer.in_class),
            "p_in_class_least": calibration.least_p(len(answer.in_class)),
            "p_holm": verdict.p_holm,
            "n_asked": n_asked,
            "power": verdict.power,
            "n_power": verdict.n_power,
            "uniform_threshold_floors": uniform.threshold,
            "uniform_p": uniform.p,
            "uniform_n_null": uniform.n_null,
        },
    )


_SUPPORT = {
    "DISTILLED-LIKE": True, "NOT DISTILLED-LIKE": False, "loud": True, "quiet": False,
    "pass": True, "fail": False,
}  # fmt: skip


def _claims(
    facts: Facts,
    like: Sequence[Judgement],
    loudness: Judgement,
    triangle: Judgement,
    gate: Judgement,
) -> list[Judgement]:
    """The sentences people say of a distilled model, each with the evidence that is about it."""
    structural, functional = like
    sayings: list[tuple[Layer, str, Judgement, tuple[Judgement, ...]]] = [
        ("structural", "its tau moved as that of its family's distilled derivatives", structural,
         (functional, gate)),
        ("functional", "its templates moved as those of its family's distilled derivatives",
         functional, (structural, gate)),
        ("structural", "its scar is loud", loudness, (triangle, gate)),
        ("functional", "it is farther from its base than another family's model", triangle,
         (loudness, gate)),
        ("thermodynamic", "its logit gaps are of the class of extreme values", gate, ()),
    ]  # fmt: skip
    return [
        _claim(facts, Claim(text=text, layer=layer), own, context)
        for layer, text, own, context in sayings
    ]


def _claim(facts: Facts, claim: Claim, own: Judgement, context: Sequence[Judgement]) -> Judgement:
    """Judge a claim by one judgement of its layer; the others are context."""
    evidence = [_evidence(facts, own, _supports(own)), *(_evidence(facts, one) for one in context)]
    found = verdicts.judge_claim(claim, evidence)
    return Judgement(
        layer=claim.layer,
        question="claim",
        statement=claim.text,
        label=found.label,
        reasons=found.reasons,
        missing=own.missing if found.label == "unsupported" else (),
        numbers={
            "by": evidence[0].name,
            "context": list(found.context),
            "inadmissible": list(found.inadmissible),
        },
    )


def _supports(own: Judgement) -> bool | None:
    if own.label.startswith("Break"):
        return True
    return False if own.label.startswith("No break") else _SUPPORT.get(own.label)
