"""The charts of latents in use: what is drawn is what the marts' rows say."""

import polars as pl
import pytest

from dashboard import feature_charts
from tests.dashboard.features import ablation, geometry, outcome


def layers(chart):
    """The rows behind each layer."""
    spec = chart.to_dict()
    own = spec.get("data")
    return [spec["datasets"][layer.get("data", own)["name"]] for layer in spec["layer"]]


def test_ablation_draws_both_models_and_the_control():
    rows = pl.DataFrame([ablation(top_percent=k, measurement_id="m") for k in (0.5, 20.0)])
    band, line, _ = layers(feature_charts.ablation(rows, "d"))
    assert {(r["side"], r["top_percent"]): r["value"] for r in line} == {
        ("distilled", 0.5): -1.0, ("distilled", 20.0): -1.0, ("base", 0.5): -0.1,
        ("base", 20.0): -0.1, ("control", 0.5): 0.0, ("control", 20.0): 0.0,
    }  # fmt: skip
    assert len(band) == 6
    band, line, _ = layers(feature_charts.ablation(rows, "per_norm"))
    assert {r["side"]: r["value"] for r in line} == {
        "distilled": -2.0, "base": -0.25, "control": 0.0,
    }  # fmt: skip
    assert {r["side"] for r in band} == {"distilled", "base"}  # the control has no interval


def test_what_is_not_known_is_not_drawn():
    nothing = {f"{end}d_control": None for end in ("", "ci_low_", "ci_high_")}
    rows = pl.DataFrame([ablation(measurement_id="m", **nothing)]).cast({"d_control": pl.Float64})
    _, line, _ = layers(feature_charts.ablation(rows, "d"))
    assert {r["side"] for r in line} == {"distilled", "base"}


@pytest.mark.parametrize("measure", feature_charts.OUTCOMES)
def test_steering_draws_the_random_direction_beside_the_latent(measure):
    rows = [
        outcome(a, 1 + a, measurement_id="m", **over)
        for a in (-0.4, 0.0, 0.4)
        for over in ({}, {"direction": "random 0", "latent": None})
    ]
    band, line, _ = layers(feature_charts.steering(pl.DataFrame(rows), measure))
    assert len(band) == len(line) == 6
    assert {r["whose"] for r in line} == {"latent", "random"}
    if measure == "length_ratio":
        assert {r["amplitude"]: r["value"] for r in line} == {-0.4: 0.6, 0.0: 1.0, 0.4: 1.4}


def test_geometry_draws_curves_and_their_floor():
    rows = [geometry(side, measurement_id="m") for side in ("base", "distilled")]
    unknown = geometry("base", None, measurement_id="m")
    found = pl.DataFrame([*rows, unknown], infer_schema_length=None)
    _, line, _ = layers(feature_charts.geometry(found))
    assert len(line) == 2 * 41
    # Up to a loss of 1, its tenth step, half of the couples; by chance none.
    half = [r for r in line if r["loss"] == 1.0]
    assert [(r["share"], r["null"]) for r in half] == [(0.5, 0.0)] * 2
