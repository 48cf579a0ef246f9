"""Decisions of given effects; intervals against their closed forms."""

import numpy as np
import pytest

from measure import feature_verdicts
from measure.feature_ablation import AblationSet
from measure.feature_records import FeatureAblation

FIRING = np.array([0.1, 0.4, 0.2, 0.3])
ABLATED = AblationSet("nrn-first", 5.0, "ablated", 0, (0, 1))
CONTROLS = [AblationSet("nrn-first", 5.0, "control", d, (2, 3)) for d in range(2)]


def effect(pair, d, *, side="distilled", feature_set="ablated", draw=0, norm=2.0):
    return FeatureAblation(
        filter_order="nrn-first", top_percent=5.0, feature_set=feature_set, draw=draw, side=side,
        pair=pair, category="deductive", text_id=str(pair), target_id=1, logit_clean=0.0,
        logit_ablated=d, d_logit=d, n_features=2, norm_removed=norm,
    )  # fmt: skip


def effects(distilled, base, control, n=40):
    """`n` pairs around given means, alternating by 0.1."""
    for i in range(n):
        off = 0.1 if i % 2 else -0.1
        yield effect(i, distilled + off)
        yield effect(i, base + off, side="base", norm=1.0)
        for draw in range(2):
            yield effect(i, control + off, feature_set="control", draw=draw)
            yield effect(i, 9.0, side="base", feature_set="control", draw=draw)


def verdict(*means, sets=(ABLATED, *CONTROLS), n=40):
    found = feature_verdicts.verdicts(list(effects(*means, n=n)), sets, FIRING)
    return {v.category: v for v in found}["deductive"]


@pytest.mark.parametrize(
    ("distilled", "base", "control", "label"),
    [
        (-1.0, -0.2, 0.0, "distilled-causal"),
        (-1.0, 0.2, -0.5, "distilled-causal"),
        (1.0, 0.0, 2.0, "not distilled-causal"),  # up
        (0.0, 0.0, 1.0, "not distilled-causal"),  # its interval holds 0
        (-1.0, -0.3, 0.0, "not distilled-causal"),  # the base too
        (-1.0, -0.1, -1.0, "not distilled-causal"),  # any latents do it
    ],
)
def test_labels(distilled, base, control, label):
    found = verdict(distilled, base, control)
    assert found.label == label
    assert found.d_distilled == pytest.approx(distilled)
    assert found.d_base == pytest.approx(base)
    assert found.d_control == pytest.approx(control)


def test_numbers_by_hand():
    found = verdict(-1.0, -0.2, 0.0)
    assert (found.n_pairs, found.n_features, found.n_draws) == (40, 2, 2)
    assert found.per_norm_distilled == pytest.approx(-0.5)  # 40 times -1 over 40 times 2
    assert found.per_norm_base == pytest.approx(-0.2)
    assert found.per_norm_control == pytest.approx(0.0)
    assert found.fire_freq == pytest.approx((0.1 * 0.4) ** 0.5)
    assert found.fire_freq_control == pytest.approx((0.2 * 0.3) ** 0.5)
    assert found.reasons.startswith("distilled -1.000 [-1.0")
    # Of values -1 -+ 0.1 in halves: 1.96 standard errors of 0.1 / sqrt(40).
    half = 1.96 * 0.1 / 40**0.5
    assert found.ci_low_d_distilled == pytest.approx(-1 - half, abs=half / 5)
    assert found.ci_high_d_distilled == pytest.approx(-1 + half, abs=half / 5)


def test_not_enough_says_of_what():
    found = verdict(-1.0, 0.0, 0.0, n=19)
    assert (found.label, found.reasons) == ("NOT ENOUGH", "19 pairs, 20 are needed")
    found = verdict(-1.0, 0.0, 0.0, sets=(AblationSet("nrn-first", 5.0, "ablated", 0, ()),))
    assert (found.label, found.reasons) == ("NOT ENOUGH", "no latent passes the filter")
    assert found.fire_freq is None
    alone = [e for e in effects(-1.0, 0.0, 0.0) if e.feature_set == "ablated"]
    (found,) = (
        v for v in feature_verdicts.verdicts(alone, [ABLATED], FIRING) if v.category == "deductive"
    )
    assert found.label == "NOT ENOUGH" and "to control with" in found.reasons
    assert found.d_control is None and found.per_norm_control is None


def test_categories_without_a_pair_are_said():
    found = list(feature_verdicts.verdicts(list(effects(-1, 0, 0)), [ABLATED, *CONTROLS], FIRING))
    assert [(v.category, v.n_pairs) for v in found] == [
        ("self-reflection", 0), ("deductive", 40), ("alternative", 0), ("contrastive", 0),
    ]  # fmt: skip
    assert found[0].d_distilled is None and found[0].label == "NOT ENOUGH"
