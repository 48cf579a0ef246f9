"""Winner gap: what a derivative did to G_1, prompt by prompt; with its CV effect and delta-norm.

With t_M[p] the template of model M on prompt p, d_p = t_derivative[p] - t_base[p], P prompts and
Delta = mean_p d_p:

    G1 share       = Delta_1^2 / |Delta|^2; top-3 share: the three largest Delta_k^2 / |Delta|^2
    cancellation_k = mean_p |d_pk| / |mean_p d_pk|                 >= 1
    sign p         = two-sided binomial test of the signs of d_pk, zeros left out
    significant    : |d_p1| > 2 sqrt(se_base^2 + se_derivative^2), errors of `functional`
    CV(M)          = sqrt(mean_p |t_M[p] - c_M|^2) / |c_M|, c_M = mean_p t_M[p]
    CV effect      = CV(derivative) / CV(base)
    delta-norm(M)  = mean over tokens of G_3 / (G_2 + G_3 + G_4); 12 ln 2 - 8 for pure noise

Squared errors add for the independent texts of mode free. In mode forced both models read the
same text, their errors go together, and the sum is more than the noise of the difference: too few
prompts pass, never too many. Cancellation is heavy-tailed, 40 values of pure noise have a median
of 7.4: it is given with the share of such draws that cancel as much.

Source: Coslett 2026 (family-graded scars) names the quantities; the rule of the classes, the
noise of a prompt, the CV and the normaliser of delta are OUR DEFINITION.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from measure.distances import paired, refusal, stack
from measure.intervals import SEED, bootstrap_interval, sign_flip_null
from measure.records import (
    CvLabel,
    Mode,
    OtherRole,
    PromptTemplate,
    WinnerGap,
    WinnerGapClass,
    WinnerGapPrompt,
)
from measure.verdicts import delta_norm_gate, shown

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    Templates = Float[NDArray[np.float64], "prompts k"]
    Means = Float[NDArray[np.float64], "resamples dims"]
    PerResample = Float[NDArray[np.float64], " resamples"]

ALPHA = 0.05
MIN_SHARE = 0.5
MIN_CANCELLATION = 5.0
MIN_SIGNIF = 5  # in each direction
N_NOISE_SE = 2.0
N_NULL_DRAWS = 10_000
CV_AMPLIFIED, CV_REDUCED = 1.5, 0.67


def sign_test(n_up: int, n_down: int) -> float | None:
    """Two-sided p of so uneven a split under fair signs; None without a sign."""
    n = n_up + n_down
    tail = sum(math.comb(n, i) for i in range(min(n_up, n_down) + 1))
    return min(1.0, 2 * tail / 2**n) if n else None


def cancellation(values: Float[NDArray[np.float64], " prompts"]) -> float | None:
    """Mean size over size of the mean, at least 1; None where the mean is 0."""
    mean = abs(float(values.mean()))
    return max(1.0, float(np.abs(values).mean()) / mean) if mean else None


def cancellation_noise_p(observed: float, n_prompts: int) -> float:
    """Share of 10,000 draws of zero-mean normal values, one a prompt, that cancel as much."""
    # A draw that ties with the observation up to rounding counts against it.
    return float((_noise_cancellations(n_prompts) >= observed * (1 - 1e-12)).mean())


@cache
def _noise_cancellations(n_prompts: int) -> Float[NDArray[np.float64], " draws"]:
    """Cancellations of pure noise: the same for every gap, mode and pair of so many prompts."""
    draws = np.random.default_rng(SEED).normal(size=(N_NULL_DRAWS, n_prompts))
    return np.abs(draws).mean(1) / np.abs(draws.mean(1))


def winner_gap_class(
    *,
    n_prompts: int,
    n_g1_dominant: int | None,
    g1_share: float | None,
    mean_signed: float | None,
    cancellation: float | None,
    sign_p: float | None,
    n_signif_up: int | None,
    n_signif_down: int | None,
) -> tuple[WinnerGapClass, tuple[str, ...]]:
    """The class of a pair's winner gap, and the comparisons that decided.

    Amplifier or reducer: the signs agree (p < 0.05) and G_1 has half of the difference. Sign-
    oscillating: they do not, G_1 dominates most prompts, cancels at least 5 times, and at least 5
    prompts each way exceed their noise, without which pure noise passes; a row that never counted
    those, as published ones, is told apart. What else is unknown counts as not met.
    """
    if sign_p is None or g1_share is None or mean_signed is None:
        unknown = {"sign test": sign_p, "share of G1": g1_share, "shift of G1": mean_signed}
        names = (name for name, value in unknown.items() if value is None)
        return "not interpretable", tuple(f"{name} unknown" for name in names)
    said = f"sign test p {sign_p:.2g} (limit {ALPHA})"
    if sign_p < ALPHA:
        reasons = (said, f"G1 has {g1_share:.1%} of the mean difference (limit {MIN_SHARE:.0%})")
        if g1_share < MIN_SHARE:
            return "mixed", reasons
        return "amplifier" if mean_signed > 0 else "reducer", reasons
    reasons = (
        said,
        f"G1 dominates {shown(n_g1_dominant)} of {n_prompts} prompts (limit: half)",
        f"cancellation {shown(cancellation)} (limit {MIN_CANCELLATION:g})",
        f"prompts beyond their noise: {shown(n_signif_up)} up, {shown(n_signif_down)} down "
        f"(limit {MIN_SIGNIF} each)",
    )
    is_oscillating = (
        sign_p > ALPHA
        and n_g1_dominant is not None
        and n_g1_dominant > n_prompts / 2
        and cancellation is not None
        and cancellation >= MIN_CANCELLATION
    )
    if not is_oscillating:
        return "mixed", reasons
    if n_signif_up is None or n_signif_down is None:
        return "sign-oscillating (noise not excluded)", reasons
    if min(n_signif_up, n_signif_down) < MIN_SIGNIF:
        return "mixed", reasons
    return "sign-oscillating", reasons


def cv_label(effect: float | None) -> CvLabel:
    """What the derivative did to the relative spread of templates over prompts."""
    if effect is None:
        return "undefined"
    if effect >= CV_AMPLIFIED:
        return "amplified"
    return "reduced" if effect <= CV_REDUCED else "stable"


def measure(
    base: Sequence[PromptTemplate], others: Mapping[OtherRole, Sequence[PromptTemplate]], mode: Mode
) -> list[WinnerGap | WinnerGapPrompt]:
    """The pair's record and one a prompt, over the prompts valid in all of the models.

    Nothing without a derivative; where the pair is refused no record of a prompt.
    """
    if "derivative" not in others:
        return []
    (kept_base, *kept_others), n_dropped = paired([base, *others.values()])
    kept = dict(zip(others, kept_others, strict=True))["derivative"]
    _, reason = refusal(kept_base, kept)
    prompts = [] if reason else [_prompt(b, d, mode) for b, d in zip(kept_base, kept, strict=True)]
    known: dict[str, Any] = {
        "mode": mode,
        "n_prompts": len(kept_base),
        "n_prompts_dropped": n_dropped,
        "winner_gap_class": "not interpretable",
        "class_reasons": reason,
        "cv_label": cv_label(None),
        "cv_reason": reason,
        "reason": reason,
        **_delta_norm(kept_base, "base"),
        **_delta_norm(kept, "derivative"),
    }
    if prompts:
        known |= _winner_gap(prompts) | _cv_effect(stack(kept_base), stack(kept))
    nothing: dict[str, Any] = {field.name: None for field in fields(WinnerGap)}
    return [WinnerGap(**(nothing | known)), *prompts]


def _prompt(base: PromptTemplate, derivative: PromptTemplate, mode: Mode) -> WinnerGapPrompt:
    b, d = stack([base, derivative])
    difference = d - b
    total = float((difference**2).sum())
    noise = None
    if base.winner_gap_se is not None and derivative.winner_gap_se is not None:
        noise = math.hypot(base.winner_gap_se, derivative.winner_gap_se)
    d1 = float(difference[0])
    reason = "the templates are equal: no gap dominates" if not total else None
    return WinnerGapPrompt(
        mode=mode,
        prompt_id=base.prompt_id,
        category=base.category,
        d=tuple(difference.tolist()),
        d1=d1,
        dominant_k=int(np.abs(difference).argmax()) + 1 if total else None,
        g1_share=d1**2 / total if total else None,
        noise_se=noise,
        is_signif=None if noise is None else abs(d1) > N_NOISE_SE * noise,
        reason="the noise of a text is unknown" if noise is None else reason,
    )


def _winner_gap(prompts: Sequence[WinnerGapPrompt]) -> dict[str, Any]:
    """All about the difference, from the prompts' records."""
    d = np.array([prompt.d for prompt in prompts])
    squares = d.mean(0) ** 2
    is_apart = bool(squares.sum() > 0)
    low, high = bootstrap_interval(d, _g1_share) if is_apart else (None, None)
    is_noise_known = all(prompt.is_signif is not None for prompt in prompts)
    signif = [prompt.d1 for prompt in prompts if prompt.is_signif] if is_noise_known else None
    found: dict[str, Any] = {
        "g1_share": float(squares[0] / squares.sum()) if is_apart else None,
        "ci_low_g1_share": low,
        "ci_high_g1_share": high,
        "top3_share": float(np.sort(squares)[-3:].sum() / squares.sum()) if is_apart else None,
        "n_g1_dominant": sum(prompt.dominant_k == 1 for prompt in prompts),
        "n_g1_over_half": sum((prompt.g1_share or 0) > 0.5 for prompt in prompts),
        **_gap(d[:, 0], "g1"),
        **_gap(d[:, 1], "g2"),
        "n_signif": None if signif is None else len(signif),
        "n_signif_up": None if signif is None else sum(d1 > 0 for d1 in signif),
        "n_signif_down": None if signif is None else sum(d1 < 0 for d1 in signif),
        "reason": None if is_apart else "the mean templates are equal: no gap has a share",
    }
    label, reasons = winner_gap_class(
        n_prompts=len(prompts),
        n_g1_dominant=found["n_g1_dominant"],
        g1_share=found["g1_share"],
        mean_signed=found["mean_signed_g1"],
        cancellation=found["cancellation_g1"],
        sign_p=found["sign_p_g1"],
        n_signif_up=found["n_signif_up"],
        n_signif_down=found["n_signif_down"],
    )
    return {
        **found,
        "winner_gap_class": label,
        "class_reasons": found["reason"] or "; ".join(reasons),
    }


def _gap(values: Float[NDArray[np.float64], " prompts"], name: str) -> dict[str, Any]:
    """Size, sign and cancellation of one gap's difference over prompts."""
    n_up, n_down = int((values > 0).sum()), int((values < 0).sum())
    low, high = bootstrap_interval(values[:, None], lambda means: means[:, 0])
    cancelled = cancellation(values)
    noise_p = None if cancelled is None else cancellation_noise_p(cancelled, len(values))
    return {
        f"mean_signed_{name}": float(values.mean()),
        f"ci_low_mean_signed_{name}": low,
        f"ci_high_mean_signed_{name}": high,
        f"mean_abs_{name}": float(np.abs(values).mean()),
        f"cancellation_{name}": cancelled,
        f"cancellation_noise_p_{name}": noise_p,
        f"n_up_{name}": n_up,
        f"n_down_{name}": n_down,
        f"sign_p_{name}": sign_test(n_up, n_down),
    }


def _g1_share(means: Means) -> PerResample:
    return _ratio(means[:, 0] ** 2, (means**2).sum(1))


def _ratio(above: PerResample, below: PerResample) -> PerResample:
    """NaN where the denominator is 0: there is no ratio."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _cv_effect(base: Templates, derivative: Templates) -> dict[str, Any]:
    """CV of both models and their ratio; undefined where a centroid is within its floor."""
    moments = {"base": _moments(base), "derivative": _moments(derivative)}
    found: dict[str, Any] = {}
    reasons: list[str] = []
    for role, templates in (("base", base), ("derivative", derivative)):
        norm = float(np.linalg.norm(templates.mean(0)))
        floor = float(np.quantile(sign_flip_null(templates), 0.95))
        is_above = norm > floor * (
            1 + 1e-12
        )  # a floor that is the norm up to rounding is not below
        cv = float(_cv(moments[role].mean(0, keepdims=True))[0]) if is_above else None
        if cv is None:
            reasons.append(
                f"the {role}'s mean template {norm:.3g} is not above its floor {floor:.3g}"
            )
        found |= {f"centroid_norm_{role}": norm, f"centroid_norm_floor_{role}": floor}
        found[f"cv_{role}"] = cv
    if found["cv_base"] == 0:
        reasons.append("the base's templates are all equal")
    effect = None if reasons else found["cv_derivative"] / found["cv_base"]
    low, high = None, None
    if effect is not None:
        both = np.hstack([moments["base"], moments["derivative"]])
        low, high = bootstrap_interval(both, _cv_ratio)
    return {
        **found,
        "cv_effect": effect,
        "ci_low_cv_effect": low,
        "ci_high_cv_effect": high,
        "cv_label": cv_label(effect),
        "cv_reason": "; ".join(reasons) or None,
    }


def _moments(templates: Templates) -> Float[NDArray[np.float64], "prompts k_plus_1"]:
    """Template and squared norm a prompt: their means hold all that a CV needs."""
    return np.hstack([templates, (templates**2).sum(1, keepdims=True)])


def _cv(means: Means) -> PerResample:
    """Sqrt(mean |t|^2 - |c|^2) / |c|; what rounding leaves of a spread of 0 is 0."""
    centroid = (means[:, :-1] ** 2).sum(1)
    variance = _ratio(means[:, -1] - centroid, centroid)
    return np.sqrt(np.where(variance < 1e-12, 0.0, variance))


def _cv_ratio(means: Means) -> PerResample:
    base, derivative = np.hsplit(means, 2)
    return _ratio(_cv(derivative), _cv(base))


def _delta_norm(records: Sequence[PromptTemplate], role: str) -> dict[str, Any]:
    """The mean over all tokens, its interval over prompts, and whether it passes the gate."""
    sums = np.array(
        [
            (record.delta_norm_mean * record.n_delta_norm, record.n_delta_norm)
            for record in records
            if record.delta_norm_mean is not None
        ]
    ).reshape(-1, 2)
    total, n_tokens = sums.sum(0).tolist()
    delta = total / n_tokens if n_tokens else None
    low, high = None, None
    if len(sums) > 1:  # one prompt alone has no interval
        low, high = bootstrap_interval(sums, lambda means: means[:, 0] / means[:, 1])
    return {
        f"delta_norm_{role}": delta,
        f"ci_low_delta_norm_{role}": low,
        f"ci_high_delta_norm_{role}": high,
        f"n_delta_norm_{role}": int(n_tokens),
        f"delta_gate_{role}": delta_norm_gate(delta, low, high).label,
    }
