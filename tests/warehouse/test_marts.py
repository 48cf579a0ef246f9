"""Marts against numbers worked out here by hand."""

import json
import math
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from making import (
    add_distances,
    add_structural,
    add_unit,
    comparison,
    distance_row,
    fisher_rows,
    lineage_pair_row,
    measurement,
    model,
    organism,
    stiffness_row,
    tau_row,
    template_row,
    weight_row,
    winner_gap_rows,
)

from warehouse import checks, read
from warehouse import lake as lake_module
from warehouse.relations import relations
from warehouse.tables import TABLES


def test_an_absent_lake_gives_empty_marts_with_their_columns(location):
    for name in relations("marts"):
        frame = read.mart(name, location)
        if "origin" in frame.columns:  # what others published is there without a lake
            frame = frame.filter(pl.col("origin") == "measured")
        assert (frame.is_empty() or name == "published") and len(frame.columns) > 5
        if name != "structural_dim":
            assert read.newest(name, location) is None


def test_structural_distance_by_hand(lake, location):
    # Seed 0: d = (0.3, 0.4): distance 0.5. Seed 1: d = (0, 0.1): 0.1. Seed 2: equal vectors: 0.
    add_structural(lake, "base", {0: [0.5, 0.5], 1: [0.5, 0.5], 2: [0.5, 0.5]})
    add_structural(lake, "child", {0: [0.8, 0.9], 1: [0.5, 0.6], 2: [0.5, 0.5]}, 2e-5)
    lake.add_comparisons([comparison("child", "base", "base")])
    rows = {row["seed"]: row for row in read.mart("structural_distance", location).to_dicts()}
    assert len(rows) == 3
    assert rows[0]["distance"] == pytest.approx(0.5)
    assert rows[0]["x_eps_pub"] == pytest.approx(5000)
    # eps: the child's rerun moves both dimensions by 2e-5, sqrt(2) * 2e-5; the base's by nothing.
    eps = math.sqrt(2) * 2e-5
    assert rows[0]["eps_measured"] == pytest.approx(eps)
    assert rows[0]["x_eps_meas"] == pytest.approx(0.5 / eps)
    assert rows[0]["is_eps_valid"] and not rows[0]["is_eps_floored"]
    # Gini of (0.09, 0.16): n = 2, ((2-3) * 0.09 + (4-3) * 0.16) / (2 * 0.25) = 0.07 / 0.5.
    assert rows[0]["gini_d2"] == pytest.approx(0.14)
    assert rows[0]["top_dim_share"] == pytest.approx(0.64)
    # Seed 1, all in one of two dimensions: (1 * x) / (2 * x) = 0.5.
    assert rows[1]["gini_d2"] == pytest.approx(0.5) and rows[1]["top_dim_share"] == 1
    assert rows[2]["distance"] == 0
    assert rows[2]["gini_d2"] is None and rows[2]["top_dim_share"] is None
    assert [rows[seed]["is_max_seed"] for seed in (0, 1, 2)] == [True, False, False]
    assert rows[0]["from_id"] == "child" and rows[0]["other_id"] == "base"
    dims = read.mart("structural_dim", location, seed=0)
    assert dims.sort("dim")["d"].to_list() == pytest.approx([0.3, 0.4])


def test_scar_keeps_the_largest_seed_apart(lake, location):
    # One dimension: distances 0.1, 0.2, 0.4, 0.3 by seed; without the largest: 0.1, 0.2, 0.3.
    add_structural(lake, "base", {0: [0.5], 1: [0.5], 2: [0.5], 123: [0.5]})
    add_structural(lake, "child", {0: [0.6], 1: [0.7], 2: [0.9], 123: [0.8]})
    lake.add_comparisons([comparison("child", "base", "base")])
    row = read.mart("structural_scar", location).row(0, named=True)
    assert row["n_seeds"] == 4 and row["max_seed"] == 2
    assert row["max_seed_x_eps"] == pytest.approx(4000)
    assert row["min_non_max_x_eps"] == pytest.approx(1000)
    assert row["median_non_max_x_eps"] == pytest.approx(2000)
    assert row["max_non_max_x_eps"] == pytest.approx(3000)
    # No rerun moved: the measured eps is raised to 1e-7.
    assert row["is_eps_floored"] and row["eps_measured"] == 1e-7
    assert row["median_non_max_x_eps_meas"] == pytest.approx(2e6)
    assert row["structural_status"] == "above its floor"
    assert row["structural_reason"] == "median distance 0.2 above 0.0001"
    assert row["source"] == "zoo" and row["base"] == "BASE"


@pytest.mark.parametrize(
    ("taus", "rerun_shift", "reason"),
    [
        ({0: [0.6]}, 0.0, "one seed only: no seed besides the largest"),
        ({0: [0.6], 1: [0.7]}, 2e-4, "noise 0.0002 exceeds the allowed 1e-04"),
        ({0: [0.6], 1: [0.7]}, None, "noise unknown: a model has no rerun"),
        ({0: [0.50005], 1: [0.9]}, 0.0, "median distance 5e-05 not above 0.0001"),
        ({0: [None], 1: [None]}, 0.0, "every prompt failed"),
    ],
)
def test_a_scar_below_its_floor_says_why(lake, location, taus, rerun_shift, reason):
    add_structural(lake, "base", {0: [0.5], 1: [0.5]})
    add_structural(lake, "child", taus, rerun_shift)
    lake.add_comparisons([comparison("child", "base", "base")])
    row = read.mart("structural_scar", location).row(0, named=True)
    assert row["structural_status"] == "not interpretable"
    assert row["structural_reason"] == reason
    valid = row["is_eps_valid"]
    assert (row["max_seed_x_eps_meas"] is None) == (not valid or taus[0] == [None])


def test_a_stranger_is_measured_from_the_base_and_a_teacher_from_the_derivative(lake, location):
    for name, tau in (("base", 0.5), ("child", 0.6), ("stranger", 0.9), ("teacher", 0.65)):
        add_structural(lake, name, {0: [tau]})
    roles = {"base": "base", "reference": "stranger", "teacher": "teacher"}
    lake.add_comparisons([comparison("child", role, other) for role, other in roles.items()])
    frame = read.mart("structural_distance", location)
    found = {row["role"]: (row["from_id"], row["distance"]) for row in frame.to_dicts()}
    assert found["base"] == ("child", pytest.approx(0.1))
    assert found["reference"] == ("base", pytest.approx(0.4))
    assert found["teacher"] == ("child", pytest.approx(0.05))
    assert read.mart("structural_distance", location, role="teacher").height == 1


def test_failed_prompts_are_counted_and_left_out(lake, location):
    add_structural(lake, "base", {0: [0.5, 0.5, 0.5]})
    add_structural(lake, "child", {0: [0.8, None, 0.9]})
    lake.add_comparisons([comparison("child", "base", "base")])
    row = read.mart("structural_distance", location).row(0, named=True)
    assert (row["n_dim"], row["n_dim_failed"]) == (2, 1)
    assert row["distance"] == pytest.approx(0.5)
    assert row["gini_d2"] == pytest.approx(0.14)  # as with the two dimensions alone


def test_only_complete_and_like_measurements_are_compared(lake, location):
    add_structural(lake, "base", {0: [0.5]})
    add_structural(lake, "child", {0: [0.6]}, prompt_set_sha256="another")
    lake.add_comparisons([comparison("child", "base", "base")])
    assert read.mart("structural_distance", location).is_empty()
    # The right prompts, but one of two units so far.
    lake.plan(measurement("half", "structural", 2), {"model": "child"})
    lake.append_unit("half", "seed-0", {"structural_tau": [tau_row(0, 0, 0.7, 0.7)]}, 1.0)
    assert read.mart("structural_distance", location).is_empty()
    before = read.newest("structural_scar", location)
    lake.append_unit("half", "seed-1", {"structural_tau": [tau_row(1, 0, 0.7, 0.7)]}, 1.0)
    assert read.mart("structural_distance", location)["distance"].to_list() == pytest.approx([0.2])
    assert read.newest("structural_scar", location) > before


def test_the_newest_replicate_and_the_newest_base_count(lake, location):
    add_structural(lake, "old", {0: [0.1]})
    add_structural(lake, "base", {0: [0.5]})
    add_structural(lake, "child", {0: [0.6]})
    add_structural(lake, "child", {0: [0.8]}, measurement_id="again", replicate=1)
    lake.add_comparisons([comparison("child", "base", "old")])
    lake.add_comparisons([comparison("child", "base", "base")])
    frame = read.mart("structural_distance", location)
    assert frame["distance"].to_list() == pytest.approx([0.3])
    assert frame["other_id"].to_list() == ["base"]


def test_a_base_that_was_replaced_can_be_set_back(lake, location):
    for base in ("old", "base"):
        add_structural(lake, base, {0: [0.1]})
        add_distances(
            lake, f"d-{base}", {"base": base, "derivative": "child"}, [distance_row("derivative")]
        )
    add_structural(lake, "child", {0: [0.8]})
    news = [
        lake.add_comparisons([comparison("child", "base", base)])
        for base in ("old", "base", "base", "old", "old")
    ]
    assert news == [1, 1, 0, 1, 0]
    assert read.mart("structural_distance", location)["other_id"].to_list() == ["old"]
    assert read.mart("functional_distance", location)["base_id"].to_list() == ["old"]
    assert {n: rows.height for n, rows in checks.run(location).items() if rows.height} == {}


def test_functional_distance_by_hand(lake, location):
    add_distances(
        lake,
        "d1",
        {"base": "base", "derivative": "child", "reference": "stranger"},
        [distance_row("derivative"), distance_row("reference", centroid_distance=0.0)],
    )
    rows = {row["role"]: row for row in read.mart("functional_distance", location).to_dicts()}
    assert rows["derivative"]["cancellation"] == 4  # 2.0 / 0.5
    assert rows["derivative"]["centroid_floor"] == 0.25
    assert rows["derivative"]["centroid_status"] == "above its floor"
    assert rows["derivative"]["functional_reason"] == (
        "CRP 2 above its floor 1; centroid 0.5 above its floor 0.25"
    )
    assert rows["derivative"]["other_id"] == "child" and rows["derivative"]["base_id"] == "base"
    assert rows["reference"]["cancellation"] is None
    assert rows["reference"]["derivative_id"] == "child"
    assert rows["reference"]["centroid_status"] == "not interpretable"
    assert rows["reference"]["functional_status"] == "above its floor"  # by its CRP


@pytest.mark.parametrize(
    ("over", "centroid", "crp"),
    [
        ({"centroid_distance": 0.2}, False, True),  # between the two floors: below one
        ({"sign_flip_floor": 0.6}, False, True),
        ({"crp_distance": 1.0}, True, False),  # at its floor is not above it
        ({"crp_floor": None}, True, False),  # an unknown floor is not exceeded
        ({"self_baseline": None}, False, True),
    ],
)
def test_functional_statuses(lake, location, over, centroid, crp):
    models = {"base": "base", "derivative": "child"}
    add_distances(lake, "d1", models, [distance_row("derivative", **over)])
    row = read.mart("functional_distance", location).row(0, named=True)
    words = {True: "above its floor", False: "not interpretable"}
    assert row["centroid_status"] == words[centroid] and row["crp_status"] == words[crp]


def test_a_refused_distance_says_why(lake, location):
    numbers = [name for name, value in distance_row("derivative").items() if type(value) is float]
    refused = {**dict.fromkeys(numbers), "reason": "zero gaps are 3 % of all"}
    models = {"base": "base", "derivative": "child"}
    add_distances(lake, "d1", models, [distance_row("derivative", **refused)])
    row = read.mart("functional_distance", location).row(0, named=True)
    assert row["functional_status"] == "not interpretable"
    assert row["functional_reason"] == "zero gaps are 3 % of all"


def test_a_teacher_s_distance_shows_for_the_derivatives_that_declare_it(lake, location):
    rows = [distance_row("teacher")]
    add_distances(lake, "d1", {"base": "base", "teacher": "teacher"}, rows)
    assert read.mart("functional_distance", location).is_empty()
    lake.add_models([model("child"), model("other")])
    lake.add_comparisons(
        [
            comparison("child", "base", "base"),
            comparison("child", "teacher", "teacher"),
            comparison("other", "base", "base"),
        ]
    )
    frame = read.mart("functional_distance", location)
    assert frame["derivative_id"].to_list() == ["child"]


def test_winner_gap_of_the_newest_measurement_with_its_direction(lake, location):
    models = {"base": "base", "derivative": "child", "reference": "stranger"}
    distances = [distance_row("derivative"), distance_row("reference")]
    add_distances(lake, "old", models, distances, winner_gap_rows([9.0, 9.0]))
    # Mean size 8/4 over the size of the mean, 2/4: cancellation 4; one prompt did not change.
    gaps = winner_gap_rows([1.0, -5.0, 2.0, 0.0])
    add_distances(lake, "new", models, distances, gaps)
    row = read.mart("winner_gap", location).row(0, named=True)
    assert read.mart("winner_gap", location).height == 1
    assert (row["derivative_id"], row["base"], row["mode"]) == ("child", "BASE", "free")
    assert (row["measurement_id"], row["direction"]) == ("new", "down")
    assert row["mean_signed_g1"] == pytest.approx(-0.5) and row["mean_abs_g1"] == pytest.approx(2)
    assert row["cancellation_g1"] == pytest.approx(4)
    assert (row["n_up_g1"], row["n_down_g1"], row["n_unchanged_g1"]) == (2, 1, 1)
    assert (row["winner_gap_class"], row["reason"]) == ("mixed", None)
    assert row["centroid_floor"] == 0.25 and row["centroid_status"] == "above its floor"
    assert read.newest("winner_gap", location) == row["measured_at"]
    prompts = read.table("winner_gap_prompt", location, measurement_id="new")
    assert prompts["is_signif"].sum() == 3 and prompts.height == 4
    assert {n: rows.height for n, rows in checks.run(location).items() if rows.height} == {}


@pytest.mark.parametrize(
    ("over", "check"),
    [
        ({"g1_share": 1.5}, "winner_gap_out_of_range"),
        ({"top3_share": 0.5}, "winner_gap_out_of_range"),
        ({"cancellation_g2": 0.99}, "winner_gap_out_of_range"),
        ({"sign_p_g1": 1.1}, "winner_gap_out_of_range"),
        ({"n_signif_up": 3}, "winner_gap_out_of_range"),
        ({"n_up_g2": 2, "n_down_g2": 3}, "winner_gap_out_of_range"),
        ({"n_prompts": 5}, "winner_gap_prompts_differ"),
        ({"n_up_g1": 1}, "winner_gap_prompts_differ"),
        ({"n_signif": None}, "winner_gap_prompts_differ"),
        ({"g1_share": None}, "missing_without_reason"),
        ({"cv_reason": None}, "missing_without_reason"),
        ({"ci_low_cv_effect": 2.0, "ci_high_cv_effect": 1.0}, "interval_out_of_order"),
    ],
)
def test_what_a_winner_gap_must_not_be_is_found(lake, location, over, check):
    models = {"base": "base", "derivative": "child"}
    gaps = winner_gap_rows([1.0, -5.0, 2.0, 0.0], **over)
    add_distances(lake, "d1", models, [distance_row("derivative")], gaps)
    assert [n for n, rows in checks.run(location).items() if rows.height] == [check]


def test_a_refused_winner_gap_has_no_prompts_and_passes_the_checks(lake, location):
    numbers = [
        column.name
        for column in TABLES["winner_gap_pair"].columns
        if column.is_nullable and column.name != "cv_reason"
    ]
    refused = {**dict.fromkeys(numbers), "reason": "the logits were rounded"}
    gaps = winner_gap_rows([1.0], winner_gap_class="not interpretable", **refused)
    gaps["winner_gap_prompt"] = []
    models = {"base": "base", "derivative": "child"}
    add_distances(lake, "d1", models, [distance_row("derivative")], gaps)
    row = read.mart("winner_gap", location).row(0, named=True)
    assert (row["direction"], row["reason"]) == (None, "the logits were rounded")
    assert {n: rows.height for n, rows in checks.run(location).items() if rows.height} == {}


def test_stiffness_and_curvature_of_the_newest_measurement(lake, location):
    who = {"model": "m"}
    add_unit(lake, "s1", "stiffness", who, {"model_stiffness": [stiffness_row(n_rows=8)]})
    add_unit(lake, "s2", "stiffness", who, {"model_stiffness": [stiffness_row()]})
    add_unit(lake, "f1", "fisher", who, fisher_rows([1.0]))
    # Mean of 10 and 30; a prompt without kappa is left out; states of norm 2: kappa |h|^2 is 80.
    add_unit(lake, "f2", "fisher", who, fisher_rows([10.0, 30.0, None]))
    (row,) = read.mart("stiffness", location).to_dicts()
    assert (row["model"], row["family"], row["measurement_id"]) == ("M", "llama", "s2")
    assert (row["stiffness"], row["n_rows"], row["tied"]) == (0.5, 64, False)
    (row,) = read.mart("fisher", location).to_dicts()
    assert (row["measurement_id"], row["n_prompts"], row["n_prompts_dropped"]) == ("f2", 2, 1)
    assert (row["kappa_f"], row["rho_f"], row["kappa_norm2_mean"]) == (20, 2, 80)
    assert row["fisher_status"] == "Fisher-dominated"
    assert read.newest("fisher", location) == row["measured_at"]
    assert {n: rows.height for n, rows in checks.run(location).items() if rows.height} == {}


def test_a_model_without_stiffness_says_why(lake, location):
    nothing = dict.fromkeys(stiffness_row())
    row = nothing | {"reason": "the model is a GGUF file"}
    add_unit(lake, "s", "stiffness", {"model": "m"}, {"model_stiffness": [row]})
    (row,) = read.mart("stiffness", location).to_dicts()
    assert (row["stiffness"], row["reason"]) == (None, "the model is a GGUF file")
    assert {n: rows.height for n, rows in checks.run(location).items() if rows.height} == {}


PAIR = {"derivative": "child", "base": "base"}


def test_lineage_by_hand(lake, location):
    weights = [
        weight_row(0, "q", cosine=0.5, rel_displacement=0.1, numerical_rank=4),
        weight_row(0, "up", cosine=0.75, rel_displacement=0.3, unchanged_frac=0.5, n_entries=300),
        weight_row(0, "input_layernorm", kind="norm", is_matrix=False, cosine=1.0),
        # Within its null of 0.25; after aligning 0.5 above 0.375.
        weight_row(
            1, "up", base_layer=2, cosine=0.0, aligned_cosine=0.5, null_cosine_aligned=0.375
        ),
        weight_row(1, "q", base_layer=2, reason="shapes differ",
                   **dict.fromkeys(("cosine", "null_cosine", "rel_displacement", "sv_cosine",
                                    "unchanged_frac", "effective_rank", "numerical_rank"))),
        weight_row(None, "embed"),
        weight_row(None, "position", kind="position"),
    ]  # fmt: skip
    pair = lineage_pair_row(2, n_base_layers=3, lineage_label="PARTIAL")
    lake.add_comparisons([comparison("child", "base", "base")])
    add_unit(lake, "l", "lineage", PAIR, {"weight_lineage_pair": [pair], "weight_lineage": weights})
    rows = {row["layer"]: row for row in read.mart("lineage_layer", location).to_dicts()}
    assert rows.keys() == {0, 1, None}
    assert (rows[0]["n_weights"], rows[0]["n_compared"], rows[0]["n_aligned"]) == (2, 2, 0)
    assert rows[0]["median_cosine"] == 0.625 and rows[0]["median_margin"] == 0.375
    assert rows[0]["median_rel_displacement"] == pytest.approx(0.2)
    assert rows[0]["unchanged_frac"] == 0.5 * 300 / 400
    assert (rows[0]["max_numerical_rank"], rows[0]["max_sv_cosine"]) == (5, 0.875)
    assert (rows[1]["base_layer"], rows[1]["n_weights"], rows[1]["n_compared"]) == (2, 2, 1)
    assert (rows[1]["n_aligned"], rows[1]["median_aligned_cosine"]) == (1, 0.5)
    assert rows[1]["median_margin"] == 0.125
    assert rows[None]["n_weights"] == 1 and rows[None]["base_layer"] is None
    (row,) = read.mart("lineage", location).to_dicts()
    assert (row["derivative"], row["base"], row["weight_lineage"]) == ("CHILD", "BASE", "PARTIAL")
    assert (row["capability_lineage"], row["capability_lineage_reason"]) == (
        None,
        "its sentences are not traced",
    )
    assert (row["n_weights"], row["n_compared"]) == (5, 4)
    # Layers alone: (0.625 + 0) / 2, (0.375 + 0.125) / 2.
    assert (row["median_cosine"], row["median_margin"]) == (0.3125, 0.25)
    assert read.newest("lineage_layer", location) == row["measured_at"]
    assert {n: rows.height for n, rows in checks.run(location).items() if rows.height} == {}
    assert read.mart("run", location)["label"].to_list() == ["CHILD vs BASE"]


def test_the_lineage_of_a_replaced_base_is_not_shown(lake, location):
    for base in ("old", "base"):
        tables = {"weight_lineage_pair": [lineage_pair_row(1)]}
        tables["weight_lineage"] = [weight_row(0, "q")]
        add_unit(lake, f"l-{base}", "lineage", {"derivative": "child", "base": base}, tables)
    assert set(read.mart("lineage", location)["base_id"]) == {"old", "base"}
    for base in ("old", "base"):
        lake.add_comparisons([comparison("child", "base", base)])
    assert read.mart("lineage", location)["base_id"].to_list() == ["base"]
    assert set(read.mart("lineage_layer", location)["base_id"]) == {"base"}


ALONE = '{"records":"pair"}'


def add_pair_alone(lake, derivative, base, n=0, **over):
    """A pair of which no weights' records are kept."""
    models = {"derivative": derivative, "base": base}
    tables = {"weight_lineage_pair": [lineage_pair_row(2, **over)]}
    add_unit(lake, f"l-{derivative}-{base}-{n}", "lineage", models, tables, options=ALONE)


def test_what_is_known_of_compared_pairs_by_hand(lake, location):
    """Zoo: A with a1 and a2 from it and a3 from a1; B; T and its student of half the depth.

    Users say that u is from X, of which nothing is known, and v from A.
    """
    zoo = {"A": None, "B": None, "T": None, "a1": "A", "a2": "A", "a3": "a1"}
    lake.add_organisms([organism(name, base_id=base) for name, base in zoo.items()])
    student = {"role": "depth-student", "base_id": None, "teacher_id": "T"}
    lake.add_organisms([organism("S", **student)])
    own = {"declared_by": "user", "seed": None}
    lake.add_organisms([organism("u", base_id="X", **own), organism("v", base_id="A", **own)])
    known = {
        ("a1", "A"): ("derivative", "zoo"),
        ("A", "a1"): ("base", "zoo"),
        ("a3", "A"): ("derivative", "zoo"),
        ("A", "a3"): ("base", "zoo"),
        ("a1", "a2"): ("sibling", "zoo"),
        ("a3", "a2"): ("sibling", "zoo"),
        ("S", "T"): ("depth student", "zoo"),
        ("T", "S"): ("depth student", "zoo"),
        ("a1", "B"): ("independent", "zoo"),
        ("S", "a3"): ("independent", "zoo"),
        ("u", "X"): ("derivative", "user"),
        ("v", "A"): ("derivative", "user"),
        ("v", "a3"): ("sibling", "user"),
    }
    # What nobody knows: a stranger's origin may be anyone.
    unknown = [("u", "A"), ("v", "B"), ("B", "u"), ("stranger", "A")]
    for derivative, base in (*known, *unknown):
        add_pair_alone(lake, derivative, base)
    rows = read.mart("lineage_known", location).to_dicts()
    found = {(r["derivative_id"], r["base_id"]): (r["relation"], r["known_by"]) for r in rows}
    assert found == known and len(rows) == len(known)
    (row,) = (r for r in rows if (r["derivative_id"], r["base_id"]) == ("S", "a3"))
    assert (row["origin_id"], row["base_origin_id"], row["derivative"]) == ("T", "A", "S")
    assert row["answer"] == "SAME LINEAGE" and row["n_layers"] == 2
    # Neither the lineage of a declared base nor any check takes a pair alone for a whole one.
    assert read.mart("lineage", location).is_empty()
    assert read.mart("lineage_layer", location).is_empty()
    bad = {n: rows.height for n, rows in checks.run(location).items() if rows.height}
    assert bad == {}


def test_the_newest_comparison_of_a_known_pair_counts_and_an_unread_one_never(lake, location):
    lake.add_organisms([organism("a", base_id="b"), organism("b", base_id=None)])
    add_pair_alone(lake, "a", "b", lineage_label="INDEPENDENT")
    add_pair_alone(lake, "a", "b", 1, lineage_label="PARTIAL")
    layers = dict.fromkeys(("n_layers", "n_base_layers", "n_layers_related"))
    add_pair_alone(lake, "b", "a", **layers, lineage_label="NOT COMPARABLE", reason="GGUF")
    (row,) = read.mart("lineage_known", location).to_dicts()
    assert (row["derivative_id"], row["answer"]) == ("a", "PARTIAL")
    assert read.newest("lineage_known", location) >= row["measured_at"]


def test_a_half_known_lineage_of_the_zoo_is_found(lake, location):
    lake.add_organisms(
        [
            organism("good", teacher_id="t"),
            organism("own", base_id="own"),
            organism("untaught", teacher_id="t", is_distilled=False),
            organism("half", is_distilled=None),
            organism("declared", is_distilled=None, seed=None, declared_by="user"),
        ]
    )
    found = checks.run(location)["lineage_contradicts_itself"]
    assert set(found["model_id"]) == {"own", "untaught", "half"}


def test_a_pair_without_weights_is_not_comparable_and_says_why(lake, location):
    layers = dict.fromkeys(("n_layers", "n_base_layers", "n_layers_related"))
    reason = "the derivative is a GGUF file"
    pair = lineage_pair_row(0, lineage_label="NOT COMPARABLE", **layers, reason=reason)
    add_unit(lake, "l", "lineage", PAIR, {"weight_lineage_pair": [pair]})
    (row,) = read.mart("lineage", location).to_dicts()
    assert (row["weight_lineage"], row["weight_lineage_reason"]) == ("NOT COMPARABLE", reason)
    assert (row["n_weights"], row["median_cosine"]) == (0, None)
    assert {n: rows.height for n, rows in checks.run(location).items() if rows.height} == {}


@pytest.mark.parametrize(
    ("over", "check"),
    [
        ({"gamma_mean": -2.0}, "stiffness_out_of_range"),
        ({"stiffness": 0.6}, "stiffness_out_of_range"),
        ({"gamma_rms": 1.0, "stiffness_rms": 0.25}, "stiffness_out_of_range"),
        ({"stiffness_o": None}, "missing_without_reason"),
        ({"sigma_w": math.nan}, "not_finite"),
    ],
)
def test_what_a_stiffness_must_not_be_is_found(lake, location, over, check):
    add_unit(lake, "s", "stiffness", {"model": "m"}, {"model_stiffness": [stiffness_row()]})
    for name, value in over.items():
        lake._connection.execute(f"update model_stiffness set {name} = ?", [value])
    broken = [n for n, rows in checks.run(location).items() if rows.height]
    assert check in broken


@pytest.mark.parametrize(
    ("over", "check"),
    [
        ({"n_prompts": 3}, "fisher_prompts_differ"),
        ({"kappa_f": 25.0, "rho_f": 2.5}, "fisher_prompts_differ"),
        ({"kappa_norm2_mean": 20.0}, "fisher_prompts_differ"),
        ({"rho_f": 20.0}, "fisher_out_of_range"),
        ({"halves_ratio": 0.5}, "fisher_out_of_range"),
        ({"ci_low_kappa_f": 90.0}, "interval_out_of_order"),
        ({"ci_low_kappa_f": None}, "missing_without_reason"),
    ],
)
def test_what_a_curvature_must_not_be_is_found(lake, location, over, check):
    add_unit(lake, "f", "fisher", {"model": "m"}, fisher_rows([10.0, 30.0], **over))
    assert [n for n, rows in checks.run(location).items() if rows.height] == [check]


@pytest.mark.parametrize(
    ("weight", "pair", "check"),
    [
        ({"cosine": 1.5}, {}, "lineage_out_of_range"),
        ({"unchanged_frac": -0.5}, {}, "lineage_out_of_range"),
        ({"effective_rank": 11.0}, {}, "lineage_out_of_range"),
        ({"numerical_rank": 11}, {}, "lineage_out_of_range"),
        ({"null_cosine": None}, {}, "missing_without_reason"),
        ({}, {"n_layers_related": None}, "missing_without_reason"),
        ({}, {"n_layers": 2}, "lineage_pair_differs"),
        ({}, {"n_layers_related": 2}, "lineage_pair_differs"),
        ({"base_layer": 1}, {}, "lineage_pair_differs"),
        ({}, {"reason": "a GGUF file"}, "lineage_pair_differs"),
    ],
)
def test_what_a_lineage_must_not_be_is_found(lake, location, weight, pair, check):
    tables = {
        "weight_lineage": [weight_row(0, "q", **weight)],
        "weight_lineage_pair": [lineage_pair_row(1, **pair)],
    }
    add_unit(lake, "l", "lineage", PAIR, tables)
    assert [n for n, rows in checks.run(location).items() if rows.height] == [check]


def test_summary_joins_what_there_is(lake, location):
    add_structural(lake, "base", {0: [0.5], 1: [0.5]})
    add_structural(lake, "child", {0: [0.6], 1: [0.7]})
    lake.add_comparisons([comparison("child", "base", "base"), comparison("late", "base", "base")])
    models = {"base": "base", "derivative": "late"}
    add_distances(lake, "d1", models, [distance_row("derivative")])
    rows = {row["derivative_id"]: row for row in read.mart("summary", location).to_dicts()}
    assert rows.keys() == {"child", "late"}
    assert rows["child"]["max_seed_x_eps"] == pytest.approx(2000)
    assert rows["child"]["functional_status"] is None
    assert rows["late"]["structural_status"] is None and rows["late"]["crp_distance"] == 2.0
    assert all(row["measured_at"] is not None for row in rows.values())


def test_run_states_rate_and_time_left(lake, location, monkeypatch):
    now = datetime.now(UTC)
    clock = iter(())
    monkeypatch.setattr(lake_module, "_now", lambda: next(clock))

    def at(*minutes: float) -> None:
        nonlocal clock
        clock = iter([now + timedelta(minutes=m) for m in minutes])

    at(-30, -30, -30, -30)
    lake.add_models([model("m")])
    for name in ("live", "quiet", "broken"):
        lake.plan(measurement(name, "structural", 4), {"model": "m"})
    at(
        -5, -4, -3
    )  # started 5 minutes ago, a unit after 1 and after 2 minutes: 2 units in 2 minutes
    lake.start_attempt(model_ref="./m", device="cpu", measurement_id="live", method="structural")
    for seed in (0, 1):
        rows = [tau_row(seed, 0, 0.5, 0.5)]
        lake.append_unit("live", f"seed-{seed}", {"structural_tau": rows}, 30.0)
    at(-11, -20, -19, -1, -1)
    lake.start_attempt(model_ref="./m", device="cpu", measurement_id="quiet", method="structural")
    attempt = lake.start_attempt(model_ref="./m", device="cpu", measurement_id="broken")
    lake.end_attempt(attempt, "failed", "NaN in the weights")
    unloaded = lake.start_attempt(model_ref="./pickle", device="cpu")
    lake.end_attempt(unloaded, "failed", "no safetensors")
    rows = {row["measurement_id"]: row for row in read.mart("run", location).to_dicts()}
    assert len(rows) == 4
    assert rows["live"]["state"] == "running" and rows["live"]["n_units_done"] == 2
    assert rows["live"]["units_per_min"] == pytest.approx(1)
    assert rows["live"]["time_left_s"] == pytest.approx(120)
    assert rows["live"]["duration_s"] == 60 and rows["live"]["label"] == "M"
    assert rows["quiet"]["state"] == "silent" and rows["quiet"]["time_left_s"] is None
    assert rows["broken"]["state"] == "failed"
    assert rows["broken"]["reason"] == "NaN in the weights"
    assert rows[None]["label"] == "./pickle" and rows[None]["state"] == "failed"
    assert read.newest("run", location) == now + timedelta(minutes=-1)


def test_a_restarted_run_counts_the_units_of_its_attempt(lake, location, monkeypatch):
    now = datetime.now(UTC)
    minutes = iter([-60, -60, -50, -50, -40, -5, -4, -3])
    monkeypatch.setattr(lake_module, "_now", lambda: now + timedelta(minutes=next(minutes)))
    lake.add_models([model("m")])
    lake.plan(measurement("x", "structural", 3), {"model": "m"})
    first = lake.start_attempt(model_ref="m", device="cpu", measurement_id="x")
    lake.append_unit("x", "seed-0", {"structural_tau": [tau_row(0, 0, 0.5, 0.5)]}, 1.0)
    lake.end_attempt(first, "interrupted", "Ctrl-C")
    assert read.mart("run", location)["state"].to_list() == ["interrupted"]
    lake.start_attempt(model_ref="m", device="cpu", measurement_id="x")
    lake.append_unit("x", "seed-1", {"structural_tau": [tau_row(1, 0, 0.5, 0.5)]}, 1.0)
    row = read.mart("run", location).row(0, named=True)
    assert (row["state"], row["attempt_number"], row["units_per_min"]) == ("running", 2, 1.0)
    assert row["time_left_s"] == 60
    lake.append_unit("x", "seed-2", {"structural_tau": [tau_row(2, 0, 0.5, 0.5)]}, 1.0)
    row = read.mart("run", location).row(0, named=True)
    assert (row["state"], row["time_left_s"], row["n_rows"]) == ("complete", None, 3)
    course = read.mart("run_unit", location).sort("n_units_done")
    assert course["unit"].to_list() == ["seed-0", "seed-1", "seed-2"]
    assert course["n_units_done"].to_list() == [1, 2, 3]


def test_a_distance_is_labelled_by_its_pair(lake, location):
    models = {"base": "base", "derivative": "child"}
    add_distances(lake, "d1", models, [distance_row("derivative")])
    row = read.mart("run", location).row(0, named=True)
    assert (row["label"], row["mode"], row["state"]) == ("CHILD vs BASE", "free", "complete")


def test_other_kinds_of_tau_stand_in_structural_dim_alone(lake, location):
    lake.add_comparisons([comparison("child", "base", "base")])
    for model_id, tau in (("base", 0.5), ("child", 0.75)):
        add_structural(lake, model_id, {0: [tau, tau]})
    for model_id, tau in (("base", 0.25), ("child", 1.25)):
        add_structural(
            lake,
            model_id,
            {0: [tau, 0.0]},
            measurement_id=f"cv-{model_id}",
            options='{"tau":"cv_cos"}',
        )
    (row,) = read.mart("structural_distance", location).to_dicts()
    # The newer cv_cos does not replace it.
    assert row["distance"] == pytest.approx(math.sqrt(2) / 4)
    dims = read.mart("structural_dim", location).sort("tau_kind", "dim")
    assert dims.select("tau_kind", "d").rows() == [
        ("cv_cos", 1.0),
        ("cv_cos", 0.0),
        ("resultant", 0.25),
        ("resultant", 0.25),
    ]


@pytest.mark.parametrize(
    ("kind", "taus", "n_wrong"),
    [
        ("resultant", [0.0, 1.0], 0),
        ("resultant", [-0.1, 1.1], 2),
        ("gap", [0.3, 1.1], 1),
        ("cv_cos", [1.7, -0.9], 0),
        ("cv_cos", [-0.1, 1.1], 2),
    ],
)
def test_each_kind_of_tau_has_its_range(lake, location, kind, taus, n_wrong):
    add_structural(lake, "m", {0: taus}, options=f'{{"tau":"{kind}"}}')
    assert checks.run(location)["tau_out_of_range"].height == n_wrong


def add_fits(lake, fits):
    """One pair under several fits in turn; the derivative moves the first gap by 1, 2, ... in turn.

    Its first gap alone moves, so the distance is that.
    """
    models = {"base": "base", "derivative": "child", "reference": "stranger"}
    for moved, fit in enumerate(fits, start=1):
        named = {} if fit is None else {"ppp_fit": fit}
        for role, model_id in models.items():
            template = [float(moved * (role != "base"))] + [0.0] * 19
            rows = {"prompt_template": [template_row(p, template=template) for p in ("p0", "p1")]}
            options = json.dumps({"mode": "free", **named})
            name = f"t-{role}-{fit}"
            add_unit(lake, name, "template", {"model": model_id}, rows, options=options)
        said = {} if fit == "ml" else named  # a distance does not name the default
        inputs = {role: f"t-{role}-{fit}" for role in models}
        numbers = dict.fromkeys(("centroid_distance", "crp_distance"), float(moved))
        rows = [distance_row(role, **numbers) for role in ("derivative", "reference")]
        gaps = winner_gap_rows([float(moved)] * 2)
        options = json.dumps({"mode": "free", "inputs": inputs, **said})
        add_distances(lake, f"d-{fit}", models, rows, gaps, options=options)


def test_other_fits_stand_in_functional_fit_alone(lake, location):
    lake.add_comparisons([comparison("child", "base", "base")])
    add_fits(lake, ["ml", "ols", "tail2"])
    fits = read.mart("functional_fit", location, role="derivative").sort("ppp_fit")
    assert fits.select("ppp_fit", "centroid_distance", "measurement_id").rows() == [
        ("ml", 1.0, "d-ml"), ("ols", 2.0, "d-ols"), ("tail2", 3.0, "d-tail2"),
    ]  # fmt: skip
    # The others are newer, and replace it nowhere.
    for name, number in (
        ("functional_distance", "centroid_distance"),
        ("summary", "centroid_distance"),
        ("cross_layer", "centroid_distance"),
        ("winner_gap", "mean_signed_g1"),
        ("triangle", "d"),
        ("triangle", "c"),
        ("triangle", "shift_1"),
    ):
        shown = read.mart(name, location).filter(pl.col("derivative_id") == "child")
        if "role" in shown.columns and name != "triangle":
            shown = shown.filter(role="derivative")
        assert shown[number].to_list() == [1.0], (name, number)
    (moved,) = read.mart("displacement", location, layer="functional")["displacement"].to_list()
    assert moved == [1.0] + [0.0] * 19


def test_family_calibration_is_of_the_default_fit(lake, location):
    """A distilled pair that moved by 1 under ml and by 2 under ols, measured later."""
    lake.add_comparisons([comparison("child", "base", "base")])
    add_fits(lake, ["ml", "ols"])
    organism = {
        "model_id": "child", "name": "child", "method": "distilled", "role": "derivative",
        "is_distilled": True, "base_id": "base", "teacher_id": None, "seed": 0, "is_shipped": True,
        "declared_by": "zoo",
    }  # fmt: skip
    lake.add_organisms([organism])
    rows = read.mart("family_calibration", location, origin="measured", layer="functional")
    found = {row["quantity"]: row for row in rows.to_dicts()}
    assert found["centroid_distance"]["high_distilled"] == 1
    assert found["centroid_distance"]["n_pairs"] == found["dc_ratio"]["n_pairs"] == 1


def test_a_pair_of_another_fit_alone_is_not_measured_by_the_default(lake, location):
    lake.add_comparisons([comparison("child", "base", "base")])
    add_fits(lake, ["ols"])
    for name in ("functional_distance", "summary", "winner_gap", "triangle", "displacement"):
        assert read.mart(name, location).is_empty(), name
    assert read.mart("functional_fit", location).height == 2


def test_what_names_no_fit_is_of_the_default(lake, location):
    """Records of a method's version that had one fit."""
    add_fits(lake, [None])
    assert set(read.mart("functional_fit", location)["ppp_fit"]) == {"ml"}
    assert read.mart("functional_distance", location).height == 2
    assert checks.run(location)["template_fits_differ"].is_empty()


@pytest.mark.parametrize(
    ("of_distance", "of_base", "of_derivative", "n_wrong"),
    [
        (None, None, "ml", 0),
        (None, "ml", "ols", 1),
        ("ols", "ols", "ols", 0),
        ("ols", "ml", "ols", 1),
        ("ols", "ml", None, 2),
    ],
)
def test_templates_of_two_fits_in_one_distance_are_found(
    lake, location, of_distance, of_base, of_derivative, n_wrong
):
    models = {"base": "base", "derivative": "child"}
    fits = {"base": of_base, "derivative": of_derivative}

    def options(fit, **more):
        return json.dumps({"mode": "free", **more} | ({} if fit is None else {"ppp_fit": fit}))

    for role, model_id in models.items():
        rows = {"prompt_template": [template_row("p0", template=[0.0] * 20)]}
        add_unit(
            lake, f"t-{role}", "template", {"model": model_id}, rows, options=options(fits[role])
        )
    inputs = {role: f"t-{role}" for role in models}
    add_distances(
        lake, "d", models, [distance_row("derivative")], options=options(of_distance, inputs=inputs)
    )
    wrong = checks.run(location)["template_fits_differ"]
    assert wrong.height == n_wrong and set(wrong["measurement_id"]) <= {"d"}


@pytest.mark.parametrize(
    ("fit", "first_two", "is_wrong"),
    [
        ("ml", (2.0, -1.0), False),  # 1 * 2 - 2 * 1
        ("ml", (1.0, -1.0), True),
        ("sum", (1.0, -1.0), False),
        ("sum", (2.0, -1.0), True),
        ("ols", (1.0, -2.0), False),  # 1 - 2 / 2
        ("ols", (1.0, -1.0), True),
        ("tail2", (1.0, 0.0), False),  # the first gap is free
        ("tail2", (0.0, 1.0), True),
        ("log", (1.0, 1.0), False),  # nothing is bound
        (None, (1.0, 1.0), False),
    ],
)
def test_each_fit_has_its_balance(lake, location, fit, first_two, is_wrong):
    options = "{}" if fit is None else json.dumps({"ppp_fit": fit})
    rows = [template_row("p0", template=[*first_two] + [0.0] * 18)]
    add_unit(lake, "t", "template", {"model": "m"}, {"prompt_template": rows}, options=options)
    assert checks.run(location)["template_off_its_fit"].height == is_wrong
