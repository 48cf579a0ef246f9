"""Whether ablated latents carry what distillation taught: decisions of given effects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from measure.categories import CATEGORIES, Category
from measure.estimates import UNKNOWN, mean_of, mean_of_draws, ratio_of
from measure.feature_ablation import AblationSet
from measure.feature_records import (
    AblationLabel,
    FeatureAblation,
    FeatureAblationVerdict,
    FeatureSet,
    Side,
)
from measure.stability_verdicts import Estimate

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    PerDraw = Float[NDArray[np.float64], "draws pairs"]

MIN_PAIRS = 20
MAX_BASE_SHARE = 0.25


def distilled_causal(
    distilled: Estimate, base: Estimate, control: Estimate, n_pairs: int, n_features: int
) -> tuple[AblationLabel, list[str]]:
    """The label, and the comparisons that decided it."""
    if n_features == 0:
        return "NOT ENOUGH", ["no latent passes the filter"]
    if n_pairs < MIN_PAIRS:
        return "NOT ENOUGH", [f"{n_pairs} pairs, {MIN_PAIRS} are needed"]
    if control.low is None or control.value is None:
        return "NOT ENOUGH", [f"fewer than {n_features} latents with NRN < 0.5 to control with"]
    assert distilled.value is not None and distilled.high is not None and base.value is not None
    is_below_control = distilled.high < control.low
    is_base_small = abs(base.value) < MAX_BASE_SHARE * abs(distilled.value)
    reasons = [
        distilled.text("distilled") + (" < 0" if distilled.is_below_0 else " not below 0"),
        control.text("control") + (" above it" if is_below_control else " not above it"),
        base.text("base") + (" under" if is_base_small else " not under") + " a quarter of it",
    ]
    is_causal = distilled.is_below_0 and is_below_control and is_base_small
    return ("distilled-causal" if is_causal else "not distilled-causal"), reasons


def verdicts(
    effects: Sequence[FeatureAblation],
    sets: Sequence[AblationSet],
    fire_freq: Float[NDArray[np.float64], " latents"],
) -> Iterator[FeatureAblationVerdict]:
    """One a filter order, share and category; a category without a pair has one too."""
    of_key: dict[tuple[str, float, str], list[FeatureAblation]] = {}
    for effect in effects:
        key = (effect.filter_order, effect.top_percent, effect.category)
        of_key.setdefault(key, []).append(effect)
    for one in (s for s in sets if s.feature_set == "ablated"):
        controls = [s for s in sets if s.feature_set == "control" and _key(s) == _key(one)]
        among_controls = [latent for s in controls for latent in s.latents]
        for category in CATEGORIES:
            own = of_key.get((*_key(one), category), [])
            yield _verdict(
                one, len(controls), category, own,
                _geometric_mean(one.latents, fire_freq), _geometric_mean(among_controls, fire_freq),
            )  # fmt: skip


def _key(one: AblationSet) -> tuple[str, float]:
    return one.filter_order, one.top_percent


def _geometric_mean(
    latents: Sequence[int], fire_freq: Float[NDArray[np.float64], " latents"]
) -> float | None:
    return float(np.exp(np.log(fire_freq[list(latents)]).mean())) if latents else None


def _verdict(
    one: AblationSet,
    n_draws: int,
    category: Category,
    effects: Sequence[FeatureAblation],
    fire_freq: float | None,
    fire_freq_control: float | None,
) -> FeatureAblationVerdict:
    """All numbers of one category under one set."""
    distilled = _by_draw(effects, "distilled", "ablated")
    base = _by_draw(effects, "base", "ablated")
    control = _by_draw(effects, "distilled", "control")
    d_distilled, d_base = mean_of(distilled[0].ravel()), mean_of(base[0].ravel())
    d_control = mean_of_draws(control[0])
    of_norm = ratio_of(distilled[0].ravel(), distilled[1].ravel())
    of_norm_base = ratio_of(base[0].ravel(), base[1].ravel())
    # The draws are of the same pairs: means over draws first.
    of_norm_control = ratio_of(*(values.mean(0) for values in control)) if n_draws else UNKNOWN
    n_pairs = distilled[0].size
    label, reasons = distilled_causal(d_distilled, d_base, d_control, n_pairs, len(one.latents))
    return FeatureAblationVerdict(
        filter_order=one.filter_order,
        top_percent=one.top_percent,
        category=category,
        n_pairs=n_pairs,
        n_features=len(one.latents),
        n_draws=n_draws,
        d_distilled=d_distilled.value,
        ci_low_d_distilled=d_distilled.low,
        ci_high_d_distilled=d_distilled.high,
        d_base=d_base.value,
        ci_low_d_base=d_base.low,
        ci_high_d_base=d_base.high,
        d_control=d_control.value,
        ci_low_d_control=d_control.low,
        ci_high_d_control=d_control.high,
        per_norm_distilled=of_norm.value,
        ci_low_per_norm_distilled=of_norm.low,
        ci_high_per_norm_distilled=of_norm.high,
        per_norm_base=of_norm_base.value,
        ci_low_per_norm_base=of_norm_base.low,
        ci_high_per_norm_base=of_norm_base.high,
        per_norm_control=of_norm_control.value,
        fire_freq=fire_freq,
        fire_freq_control=fire_freq_control,
        label=label,
        reasons="; ".join(reasons),
    )


def _by_draw(
    effects: Sequence[FeatureAblation], side: Side, feature_set: FeatureSet
) -> tuple[PerDraw, PerDraw]:
    """Changes and removed norms, a row a draw, pairs in order."""
    own = [e for e in effects if (e.side, e.feature_set) == (side, feature_set)]
    own.sort(key=lambda e: (e.draw, e.pair))
    n_draws = max(1, len({e.draw for e in own}))
    changes = np.array([e.d_logit for e in own]).reshape(n_draws, -1)
    return changes, np.array([e.norm_removed for e in own]).reshape(n_draws, -1)
