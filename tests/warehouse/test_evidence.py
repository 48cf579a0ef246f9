"""What the mart `evidence` says of circuits, features and stability, worked out by hand."""

import pytest
from making import comparison

from tests.dashboard.ablations import add_ablations
from tests.dashboard.features import add_features
from tests.dashboard.steps import add_steps
from warehouse import read

SHOWN = ["quantity", "variant", "value", "low", "high", "floor", "unit", "n", "n_of", "status"]


def shown(derivative: str, layer: str, location) -> list[tuple]:
    rows = read.mart("evidence", location, derivative_id=derivative, layer=layer)
    return rows.sort("variant", "quantity").select(SHOWN).rows()


@pytest.fixture
def filled(lake):
    add_ablations(lake)
    add_steps(lake)
    add_features(lake)
    lake.add_comparisons(
        [
            comparison("student", "base", "alone"),
            comparison("loose", "base", "alone"),
            comparison("mute", "base", "alone"),
            comparison("d", "base", "b"),
        ]
    )
    return lake


def test_circuits_stand_beside_their_null_and_one_that_cannot_has_its_reason(filled, location):
    rows = shown("student", "circuits", location)
    quantity = "alignment with the teacher"
    known = [row for row in rows if row[1] == "numerals, teacher-label"]
    assert known[0] == (
        quantity, "numerals, teacher-label", 0.75, 0.7, 0.8, 0.6, "0 to 1", 4, "prompts",
        "above its floor",
    )  # fmt: skip
    assert known[1][0] == "mean drop by losing a component, less the teacher's"
    assert known[1][2:] == (
        20.0, 5.0, 35.0, 0.0, "points", 3, "components", "more brittle",
    )  # fmt: skip
    missing = read.mart("evidence", location, quantity=quantity, variant="words, teacher-label")
    assert missing["value"].to_list() == [None] and missing["status"].to_list() == [None]
    assert missing["reason"].to_list() == ["student: the mean logit difference is 0.1, below 0.5"]


def test_features_count_what_latent_scaling_bears_out_apart_from_what_norms_say(filled, location):
    # Two latents live: NRN 1 / 2 and 19 / 20; the second is above 0.9 and not borne out.
    rows = {row[0]: row[2] for row in shown("d", "features", location)}
    assert rows == {
        "distilled-only latents, borne out": 0, "distilled-only latents, by norms alone": 1,
        "mean NRN": pytest.approx(0.725),
    }  # fmt: skip


def test_stability_has_its_own_noise_as_floor_and_says_why_nothing_is_known(filled, location):
    capability, proxies = shown("loose", "stability", location)
    assert capability[2:6] == (0.03, 0.03 - 0.015625, 0.03 + 0.015625, 0.05)
    assert proxies[2:] == (
        0.25, 0.25 - 0.015625, 0.25 + 0.015625, 0.125, "proxy", 60, "stories", "ASYMMETRIC",
    )  # fmt: skip
    nothing = read.mart("evidence", location, derivative_id="mute", layer="stability")
    nothing = nothing.filter(nothing["value"].is_null())
    assert nothing["reason"].to_list() == ["not defined: delta R, its noise, load ratio"]
