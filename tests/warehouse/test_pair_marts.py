"""Marts of pairs' distances, prompt by prompt, against numbers worked out here by hand."""

from datetime import timedelta

import pytest
from making import (
    NOON,
    add_distances,
    add_unit,
    comparison,
    distance_row,
    lineage_pair_row,
    measurement,
    model,
    weight_row,
    winner_gap_rows,
)

from warehouse import lake as lake_module
from warehouse import read

# Floors of `distance_row`: self-baseline 0.25, sign-flip 0.125, CRP 1.
DIVERGENCES = {  # centroid, CRP, class of the winner gap: what they say together, and why
    "cancels": (
        0.1, 2.0, "mixed",
        "centroid 0.1 not above its sign-flip floor 0.125, CRP 2 above 1",
    ),
    "sign-oscillating": (0.1, 2.0, "sign-oscillating", "sign test p 1 (limit 0.05)"),
    "below self-baseline": (
        0.2, 2.0, "mixed",
        "centroid 0.2 above its sign-flip floor 0.125, not above the self-baseline 0.25",
    ),
    "mostly cancels": (0.375, 3.0, "mixed", "CRP over centroid 8 (limit 5)"),
    "agree": (0.5, 2.0, "mixed", "CRP over centroid 4 (limit 5)"),
    "mean shift alone": (
        0.5, 0.75, "mixed",
        "CRP 0.75 not above its floor 1; centroid 0.5 above its floor 0.25",
    ),
    "not interpretable": (
        0.1, 0.5, "mixed",
        "CRP 0.5 not above its floor 1; centroid 0.1 not above its floor 0.25",
    ),
}  # fmt: skip


def test_divergences_are_named_with_what_decided_them(lake, location):
    for name, (centroid, crp, winner_gap_class, _) in DIVERGENCES.items():
        row = distance_row("derivative", centroid_distance=centroid, crp_distance=crp)
        gap = winner_gap_rows([0.25, -0.25], winner_gap_class=winner_gap_class)
        add_distances(lake, f"d-{name}", {"base": "base", "derivative": name}, [row], gap)
    rows = {row["derivative_id"]: row for row in read.mart("centroid_crp", location).to_dicts()}
    assert len(rows) == len(DIVERGENCES)
    for name, (centroid, crp, _, reason) in DIVERGENCES.items():
        assert (rows[name]["divergence"], rows[name]["divergence_reason"]) == (name, reason)
        assert rows[name]["cancellation"] == pytest.approx(crp / centroid)
        assert rows[name]["null_cancellation"] == pytest.approx(crp / 0.125)


def test_a_refused_pair_has_no_divergence_and_says_why(lake, location):
    why = "7 % of the gaps are exactly 0"
    numbers = [name for name in distance_row("derivative") if "distance" in name]
    row = distance_row("derivative", **dict.fromkeys(numbers), reason=why)
    add_distances(lake, "d", {"base": "base", "derivative": "child"}, [row])
    found = read.mart("centroid_crp", location).row(0, named=True)
    assert (found["divergence"], found["divergence_reason"]) == ("not interpretable", why)
    assert found["cancellation"] is None and found["winner_gap_class"] is None


def test_prompts_and_gaps_by_hand(lake, location):
    lake.add_comparisons([comparison("child", "base", "base")])
    models = {"base": "base", "derivative": "child"}
    gap = winner_gap_rows([0.75, -0.25], cancellation_noise_p_g1=0.875, sign_p_g1=1.0)
    add_distances(lake, "d", models, [distance_row("derivative")], gap)
    prompts = read.mart("gap_prompt", location).sort("place").to_dicts()
    assert [p["prompt_id"] for p in prompts] == ["p1", "p0"]
    assert [p["direction"] for p in prompts] == ["down", "up"]
    assert [p["distance"] for p in prompts] == [0.25, 0.75]  # the first gap alone differs
    first, second = read.mart("gap", location).sort("k").to_dicts()[:2]
    # Mean of 0.75 and -0.25 is 0.25, of their sizes 0.5.
    assert (first["mean_signed"], first["mean_abs"], first["cancellation"]) == (0.25, 0.5, 2.0)
    assert (first["n_up"], first["n_down"], first["n_dominant"], first["share"]) == (1, 1, 2, 1.0)
    assert (first["cancellation_noise_p"], first["sign_p"]) == (0.875, 1.0)
    # The second gap stays: nothing to cancel, and no prompt it dominates.
    assert second["mean_abs"] == 0 and second["cancellation"] is None
    assert second["n_dominant"] == 0 and read.mart("gap", location).height == 20


def test_the_map_gives_each_base_a_lane_by_hand(lake, location):
    others = {"a": "base", "b": "base", "c": "other"}
    lake.add_models([model(name) for name in ("base", "other", *others)])
    lake.add_comparisons([comparison(name, "base", base) for name, base in others.items()])
    lake.add_comparisons([comparison("a", "teacher", "guru")])
    nodes = {row["model_id"]: row for row in read.mart("lineage_node", location).to_dicts()}
    # Lanes of 1 + sqrt(2) and 2; derivatives in nine tenths of them, in the middle of their parts.
    high = 1 + 2**0.5
    assert nodes["base"]["y"] == pytest.approx(high * 0.45)
    assert [nodes[name]["y"] for name in "ab"] == pytest.approx([high * 0.225, high * 0.675])
    assert nodes["other"]["y"] == nodes["c"]["y"] == pytest.approx(high + 0.9)
    assert (nodes["guru"]["kind"], nodes["guru"]["y"]) == ("teacher", nodes["a"]["y"])
    edges = read.mart("lineage_edge", location)
    assert edges["evidence"].unique().to_list() == ["declared"]
    assert edges.filter(kind="capability")["from_id"].to_list() == ["guru"]
    assert edges["is_measured"].to_list() == [False] * 4


def test_holdings_count_what_is_complete(lake, location):
    add_distances(lake, "d", {"base": "base", "derivative": "child"}, [distance_row("derivative")])
    lake.plan(measurement("half", "structural", 2), {"model": "base"})
    (row,) = read.mart("holding", location).to_dicts()
    assert (row["method"], row["n_measurements"], row["n_models"]) == ("template_distance", 1, 2)
    assert (row["n_records"], row["duration_s"]) == (1, 0.5)


def test_differences_are_paired_by_prompt_by_hand(lake, location):
    for name, d1s in (("a", [0.75, -0.25]), ("b", [0.25, 0.25])):
        models = {"base": "base", "derivative": name}
        rows = [distance_row("derivative")]
        add_distances(lake, f"d-{name}", models, rows, winner_gap_rows(d1s))
    found = read.mart("paired_difference", location, a_id="a", b_id="b")
    first, distance = found.sort("quantity", descending=True).to_dicts()
    # First gap: differences 0.5 and -0.5, mean 0, standard deviation sqrt(0.5), error a half.
    assert (first["mean_difference"], first["n"], first["is_apart"]) == (0, 2, False)
    assert (first["low"], first["high"]) == pytest.approx((-0.98, 0.98))
    # Distances 0.75 and 0.25 less 0.25 twice: 0.5 and 0, mean and error a quarter.
    assert (distance["mean_a"], distance["mean_b"]) == (0.5, 0.25)
    assert (distance["low"], distance["high"]) == pytest.approx((-0.24, 0.74))
    other = read.mart("paired_difference", location, a_id="b", b_id="a")
    assert other.sort("quantity")["mean_difference"].to_list() == [-0.25, 0]


def test_the_first_block_that_differs_by_a_tenth_by_hand(lake, location):
    moved = {"a": (1.0, 1.0, 1.0), "b": (0.95, 0.5, 2.0)}
    for name, by_layer in moved.items():
        weights = [weight_row(k, "q", rel_displacement=by_layer[k]) for k in range(3)]
        tables = {"weight_lineage": weights, "weight_lineage_pair": [lineage_pair_row(3)]}
        add_unit(lake, f"l-{name}", "lineage", {"derivative": name, "base": "base"}, tables)
    rows = read.mart("layer_difference", location, a_id="a", b_id="b").sort("layer").to_dicts()
    # 5 % apart, then 50 %: block 1 is the first.
    assert [row["is_apart"] for row in rows] == [False, True, True]
    assert [row["is_first"] for row in rows] == [False, True, False]
    assert [row["difference"] for row in rows] == pytest.approx([0.05, 0.5, -1.0])


def test_as_of_hides_what_came_later_and_stops_the_clock(lake, location, monkeypatch):
    def at(hour: int) -> None:
        monkeypatch.setattr(lake_module, "_now", lambda: NOON + timedelta(hours=hour))

    one, two = ({"base": "base", "derivative": name} for name in ("one", "two"))
    at(0)
    add_distances(lake, "d-one", one, [distance_row("derivative")])
    lake.add_comparisons([comparison("one", "base", "base")])
    lake.plan(measurement("half", "structural", 2), {"model": "one"})
    at(2)
    add_distances(lake, "d-two", two, [distance_row("derivative")])
    later = read.mart("centroid_crp", location)["derivative_id"]
    earlier = read.mart("centroid_crp", location, as_of=NOON + timedelta(hours=1))
    assert sorted(later) == ["one", "two"] and earlier["derivative_id"].to_list() == ["one"]
    assert read.mart("centroid_crp", location, as_of=NOON - timedelta(hours=1)).is_empty()
    assert read.newest("centroid_crp", location, as_of=NOON + timedelta(hours=1)) == NOON
    # Planned at noon it still ran five minutes later, and was silent an hour later.
    states = (
        read.mart("run", location, as_of=NOON + timedelta(minutes=m), measurement_id="half")
        for m in (5, 60)
    )
    assert [frame["state"].item() for frame in states] == ["running", "silent"]
    assert read.mart("centroid_crp", location).height == 2  # and now is still now
