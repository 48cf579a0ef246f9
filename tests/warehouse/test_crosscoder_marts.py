"""The marts of crosscoders on rows that can be worked out, and checks that find faults."""

import json
import math

import pytest
from crosscoder_rows import (
    ablated,
    ablation_verdict,
    category,
    context,
    dead,
    geometry,
    geometry_gain,
    latent,
    steered,
    steering_verdict,
    step,
    summary,
)
from making import measurement, model

from warehouse import checks, read
from warehouse.lake import Lake

OPTIONS = {"layer": 1, "settings": {"sparsity": "batchtopk", "k": 8, "n_steps": 2}}
FIVE = [
    latent(0, category="self-reflection"),
    latent(1, 1.0, 19.0, is_genuine=True, nu_eps=0.1, nu_r=0.4),  # NRN 0.95
    latent(2, 1.0, 39.0, is_genuine=False),  # 0.975
    dead(3),
    latent(4),
]


def add(lake, name, tables, *, distilled="d", method="crosscoder", options=OPTIONS, n_units=1):
    lake.add_models([model("b"), model(distilled)])
    models = {"base": "b", "distilled": distilled}
    lake.plan(measurement(name, method, n_units, options=json.dumps(options), seeds=[49]), models)
    lake.append_unit(name, "all", tables, 1.0)


def described(latents=FIVE, **over):
    n_dead = sum(bool(row["is_dead"]) for row in latents)
    return {
        "crosscoder_summary": [summary(len(latents), n_dead / len(latents), **over)],
        "latent": latents,
        "latent_context": [context(0), context(0, 1, activation=4.0)],
        "latent_category": [category()],
        "crosscoder_step": [step(0), step(1)],
    }


@pytest.fixture
def trained(lake: Lake):
    add(lake, "c", described())
    return lake


def test_a_crosscoder_s_counts_and_mean_nrn(trained, location):
    row = read.mart("crosscoder", location).row(0, named=True)
    assert (row["base"], row["distilled"], row["n_live"]) == ("B", "D", 4)
    values = [0.5, 0.95, 0.975, 0.5]
    mean = sum(values) / 4
    assert row["mean_nrn"] == pytest.approx(mean)
    sem = math.sqrt(sum((v - mean) ** 2 for v in values) / 3 / 4)
    assert row["ci_low_mean_nrn"] == pytest.approx(mean - 1.96 * sem)
    # Two by the norms alone, one of them by latent scaling: half of the claims are false.
    assert (row["n_distilled_only"], row["n_genuine"], row["shared_of_distilled_only"]) == (
        2, 1, 0.5,
    )  # fmt: skip
    assert (row["n_shared"], row["n_base_only"], row["n_between"]) == (2, 0, 0)


def test_the_histogram_has_both_counts(trained, location):
    found = read.mart("latent_histogram", location).sort("nrn_low")
    rows = found.select("nrn_low", "n_latents", "n_genuine", "n_not_borne_out").rows()
    assert [tuple(round(x, 9) for x in row) for row in rows] == [
        (0.5, 2, 0, 0), (0.94, 1, 1, 0), (0.96, 1, 0, 1),
    ]  # fmt: skip


def test_the_last_bin_holds_1(lake, location):
    add(lake, "c", described([latent(0, 0.0, 1.0)]))
    found = read.mart("latent_histogram", location)
    assert found["nrn_low"].to_list() == [0.98]


def test_latents_and_their_places_in_both_models(trained, location):
    found = read.mart("latent_feature", location).sort("latent")
    assert found["latent"].to_list() == [0, 1, 2, 3, 4]
    assert found["is_interpretable"].all()
    place = read.mart("latent_place", location, latent=0).sort("rank").row(0, named=True)
    assert (place["activation_base"], place["activation_distilled"]) == (4.0, 4.0)
    assert place["tokens"][place["token"]] == " wait"


def test_training_shows_before_it_is_complete(lake, location):
    add(lake, "c", {"crosscoder_step": [step(0)]}, n_units=2)
    row = read.mart("crosscoder_training", location).row(0, named=True)
    assert (row["n_steps"], row["is_complete"], row["step"]) == (2, False, 0)
    assert read.mart("crosscoder", location).is_empty()
    assert read.newest("crosscoder_training", location) is not None
    assert read.newest("crosscoder", location) is None


def test_a_pair_against_its_control(lake, location):
    ten = [latent(i, category="deductive" if i < 4 else "other") for i in range(10)]
    none = [latent(i) for i in range(10)]
    add(lake, "c", described(ten))
    add(lake, "x", described(none), distilled="x")
    row = read.mart("latent_control", location, distilled="D", category="any").row(0, named=True)
    assert (row["control"], row["n_category"], row["n_category_control"]) == ("X", 4, 0)
    # Wilson intervals of 4 of 10 and of 0 of 10, by hand, and Newcombe's difference of them.
    z2 = 1.96**2
    centre, half = (
        (0.4 + z2 / 20) / (1 + z2 / 10),
        (1.96 * math.sqrt(0.4 * 0.6 / 10 + z2 / 400) / (1 + z2 / 10)),
    )
    upper = 2 * (z2 / 20) / (1 + z2 / 10)
    low = 0.4 - math.sqrt((0.4 - (centre - half)) ** 2 + upper**2)
    assert row["ci_low_difference"] == pytest.approx(low, abs=1e-4)
    assert row["answer"] == ("more" if low > 0 else "no difference")
    back = read.mart("latent_control", location, distilled="X", category="any").row(0, named=True)
    assert back["difference"] == pytest.approx(-0.4)
    assert back["ci_high_difference"] == pytest.approx(-low, abs=1e-4)


def test_a_closed_gate_gives_no_answer(lake, location):
    add(lake, "c", described())
    add(lake, "x", described(is_interpretable=False), distilled="x")
    assert set(read.mart("latent_control", location)["answer"]) == {"not interpretable"}


def test_other_settings_are_no_control(lake, location):
    add(lake, "c", described())
    add(lake, "x", described(), distilled="x", options={**OPTIONS, "layer": 2})
    assert read.mart("latent_control", location).is_empty()


def test_what_latents_do_is_told_of_their_pair(trained, location):
    inputs = {"inputs": {"crosscoder": "c"}}
    tables = {"feature_ablation": [ablated()], "feature_ablation_verdict": [ablation_verdict()]}
    add(trained, "a", tables, method="feature_ablation", options=inputs)
    tables = {"steering": [steered()], "steering_verdict": [steering_verdict()]}
    add(trained, "s", tables, method="steering", options=inputs)
    tables = {"parallelogram": [geometry()], "parallelogram_difference": [geometry_gain()]}
    add(trained, "p", tables, method="parallelogram", options={})
    for name in (
        "ablated_feature", "steered_direction", "steered_text", "word_geometry",
        "word_geometry_gain",
    ):  # fmt: skip
        (row,) = read.mart(name, location).to_dicts()
        assert (row["base"], row["distilled"], row["is_newest"]) == ("B", "D", True), name
    broken = {name: rows.to_dicts() for name, rows in checks.run(location).items() if rows.height}
    assert broken == {}


def test_latents_in_use_are_of_their_crosscoder(trained, location):
    for name, crosscoder in (("a", "c"), ("a2", "c"), ("a3", "later")):
        inputs = {"inputs": {"crosscoder": crosscoder}, "n": name}
        tables = {"feature_ablation_verdict": [ablation_verdict()]}
        add(trained, name, tables, method="feature_ablation", options=inputs)
    # A later crosscoder over the pair hides nothing of this one, a later ablation of it does.
    found = read.mart("ablated_feature", location, is_newest=True).sort("measurement_id")
    assert found.select("measurement_id", "crosscoder_id").rows() == [("a2", "c"), ("a3", "later")]


def test_a_control_is_of_the_same_settings_whatever_came_later(trained, location):
    add(trained, "x", described(), distilled="x")
    later = {**OPTIONS, "settings": {**OPTIONS["settings"], "seed": 50}}
    add(trained, "c50", described(), options=later)
    found = read.mart("latent_control", location, distilled="D", category="any")
    assert found.select("measurement_id", "control_measurement_id").rows() == [("c", "x")]


RANGE, USE, DEAD = "crosscoder_out_of_range", "feature_use_out_of_range", "dead_share_differs"


@pytest.mark.parametrize(
    ("check", "tables"),
    [
        (RANGE, {"crosscoder_step": [step(dead_share=1.5)]}),
        (
            RANGE,
            {**described(), "crosscoder_summary": [summary(5, 0.2, fvu_base=0.5)]},
        ),  # gates are open
        (RANGE, {**described(), "latent": [latent(0, nrn=0.75), *FIVE[1:]]}),
        (RANGE, {**described(), "latent": [latent(0, is_genuine=True), *FIVE[1:]]}),
        (RANGE, {**described(), "latent": [latent(0, n_fired=20), *FIVE[1:]]}),
        (RANGE, {**described(), "latent_context": [context(0, token=3)]}),
        (RANGE, {**described(), "latent_context": [context(0, activation=2.0)]}),
        (DEAD, {**described(), "crosscoder_summary": [summary(5, 0.125)]}),
        (DEAD, {**described(), "crosscoder_summary": [summary(6, 0.2)]}),
        (USE, {"feature_ablation": [ablated(d_logit=1.5)]}),
        (USE, {"feature_ablation": [ablated(n_features=0)]}),
        (USE, {"feature_ablation_verdict": [ablation_verdict(ci_high_d_distilled=0.5)]}),
        (USE, {"steering": [steered(n_think_tokens=3)]}),
        (USE, {"steering": [steered(direction="random 0")]}),
        (USE, {"steering_verdict": [steering_verdict(repetition=0.25)]}),
        (USE, {"parallelogram": [geometry(is_structured=False)]}),
        (USE, {"parallelogram_difference": [geometry_gain(ci_low_d_area=-0.5)]}),
    ],
)
def test_checks_find_what_is_broken(lake, location, check, tables):
    add(lake, "m", tables)
    assert checks.run(location)[check].height == 1
