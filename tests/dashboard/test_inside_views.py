"""The views of patching, outputs, probes and noise: filled, not measured, and unknown cells."""

import altair as alt
import polars as pl
import pytest

from dashboard import circuit_links, inside_charts, picture_charts
from tests.dashboard.ablations import CANNOT
from tests.dashboard.conftest import unfolded
from tests.dashboard.test_components_page import said
from warehouse import read

pytestmark = pytest.mark.slow  # models run, or pages are drawn: minutes in all


@pytest.mark.parametrize(
    ("view", "part"),
    [
        ("Patching", "patching"),
        ("Outputs", "residual"),
        ("Probes", "probes"),
        ("Noise", "noise"),
        ("Pictures", "pictures"),
    ],
)
def test_what_was_not_measured_shows_the_command_that_does(ablated, page, view, part):
    app = page("components", task="words", view=view)
    assert not app.exception and not app.dataframe
    assert (
        "cicatrix circuits --teacher teacher-label --students student-label --tasks words "
        f"--prompts 4 --with {part}"
    ) in said(app)


def test_patching_shows_recovery_by_layer_and_role(ablated, page):
    app = page("components", task="numerals", view="Patching")
    assert not app.exception
    table = app.dataframe[0].value
    mine = table[(table["Model"] == "teacher-label") & (table["Layer"] == 0)]
    assert dict(zip(mine["Patched at"], mine["Recovery"], strict=True)) == {
        "term_1": 0.5, "final": 1.0,
    }  # fmt: skip
    assert mine["95 % from"].tolist() == [v - 0.125 for v in mine["Recovery"]]
    heads = page("components", task="numerals", view="Patching", part="ov")
    assert not heads.exception
    assert "Recovery is not known where the runs end alike." in said(heads)


def test_the_final_token_comes_last_and_unknown_cells_are_grey(ablated):
    cells = read.mart("patching", model_id="teacher", part="ov")
    spec = inside_charts.patching(cells, (-1.0, 1.0), "T").to_dict()
    grey, known = (spec["datasets"][layer["data"]["name"]] for layer in spec["layer"])
    assert known[0]["row"] == "0.0" and len(known) + len(grey) == 2 * 2 * 2
    assert {row["row"] for row in grey} == {"0.1", "1.1"}
    assert spec["layer"][1]["encoding"]["x"]["scale"]["domain"] == ["term_1", "final"]


def test_outputs_show_which_heads_say_the_answer_beside_chance(ablated, page):
    app = page("components", task="numerals", view="Outputs")
    assert not app.exception
    table = app.dataframe[0].value
    mine = table[table["Model"] == "teacher-label"]
    assert mine["Says the answer"].tolist() == [1.0, 0.0]
    assert mine["Says the foil"].tolist() == [0.0, 0.25]
    # Five of a vocabulary of 64.
    assert "By chance 7.81 %" in said(app)


def test_what_is_written_is_the_mean_over_the_prompts(ablated):
    rows = read.mart("residual_by_role", model_id="student")
    spec = inside_charts.written(rows, (-2.0, 2.0), "S").to_dict()
    cells = spec["datasets"][spec["layer"][1]["data"]["name"]]
    values = {(row["row"], row["column"]): row["mean_attribution"] for row in cells}
    assert values["mlp 0", "1 term_1"] == -2.0 and values["attn 0", "0"] == 1.0
    assert len(values) == 3 * 2


def test_probes_stand_beside_their_control(ablated, page):
    app = page("components", task="numerals", view="Probes")
    assert not app.exception
    table = app.dataframe[0].value
    mine = table[table["Model"] == "student-label"]
    columns = ["Layer", "Value", "least", "most", "Control", "Gain", "Baseline"]
    assert mine[columns].to_numpy().tolist() == [
        [0, 0.25, 0.0, 0.5, 0.25, 0.0, 0.125],
        [1, 0.75, 0.5, 1.0, 0.25, 0.5, 0.125],
    ]


def test_the_noise_curve_has_its_verdict_and_marks_where_the_task_is_lost(ablated, page):
    app = page("components", task="numerals", view="Noise")
    assert not app.exception
    # Two seeds, 0.75 and 0.8125 without noise; 0.5 lower at the largest.
    assert ":blue-badge[:material/check: responds]" in said(app)
    assert "A 0.781 at sigma 0, 0.281 at 2.00; Spearman −1.00 over 5 levels" in said(app)
    table = app.dataframe[0].value
    assert table["Does the task"].tolist() == [1.0] * 4 + [0.0]
    spec = inside_charts.noise(read.mart("noise_curve")).to_dict()
    filled, hollow = (
        spec["datasets"][layer["data"]["name"]]
        for layer in spec["layer"]
        if layer["mark"]["type"] == "point"
    )
    assert len(filled) == 4 and [row["sigma"] for row in hollow] == [2.0]
    assert CANNOT not in said(app)


def test_a_model_alone_has_no_noise_and_says_what_it_needs(ablated, page):
    app = page("components", teacher="alone", view="Noise")
    assert not app.exception
    assert "Noise needs a student beside its teacher" in said(app)


def test_pictures_show_a_head_of_each_and_the_mlps_of_both(ablated, page):
    app = page("components", task="numerals", view="Pictures")
    assert not app.exception
    # Of the teacher's heads 1.0 has the largest effect, of the student's 0.0; no pattern of 1.0.
    assert [box.value for box in app.selectbox if box.label.startswith("Head of")] == ["1.0", "0.0"]
    assert "**teacher-label**: not kept of this prompt." in said(app)
    app = app.selectbox(key="head-teacher").select("0.0").run()
    assert "not kept" not in said(app)
    table = app.dataframe[0].value
    mine = table[table["Model"] == "teacher-label"]
    assert mine[["Token", "On"]].to_numpy().tolist() == [[" 7", 1.0], ["<b>", 0.25]]
    assert "By the leading directions of what they write" in said(app)
    assert "By chance 0.125." in said(app)
    box = app.selectbox(key="cloud")
    assert box.options == ["0.mlp and 0.mlp", "1.mlp and 0.mlp"]
    assert not box.select(1).run().exception


def test_only_what_a_head_sees_is_a_cell():
    rows = pl.DataFrame(
        {
            "position": [0, 0, 1, 1], "key_position": [0, 1, 0, 1],
            "token": ["a", "a", " b\n", " b\n"], "key_token": ["a", " b\n", "a", " b\n"],
            "weight": [1.0, 0.0, 0.25, 0.75], "prompt_id": ["p"] * 4, "measurement_id": ["m"] * 4,
        }
    )  # fmt: skip
    spec = picture_charts.attention(rows, "T 0.0").to_dict()
    (cells,) = [data for data in spec["datasets"].values() if data and "weight" in data[0]]
    assert [(c["row"], c["column"], c["weight"]) for c in cells] == [
        ("0 a", "0 a", 1.0), ("1 ␣b␣", "0 a", 0.25), ("1 ␣b␣", "1 ␣b␣", 0.75),
    ]  # fmt: skip


def test_edges_stand_beside_the_circuit(ablated, page):
    app = page("components", task="numerals", view="Circuit")
    assert not app.exception
    assert "were not measured" not in said(app)
    table = unfolded(app, "The edges as a table")
    mine = table[table["Model"] == "teacher-label"]
    assert mine[["From", "To", "Points", "Kept"]].to_numpy().tolist() == [
        ["0.0", "0.mlp", -50.0, True], ["0.mlp", "output", -10.0, False],
        ["0.0", "output", 2.0, False],
    ]  # fmt: skip
    other = page("components", task="words", view="Circuit")
    assert "Edges between these components were not measured, so none are drawn." in said(other)


def test_an_edge_is_a_line_from_its_source_down(ablated):
    nodes = pl.DataFrame({"component": ["0.0", "0.mlp"], "column": [0, 2], "layer": [0, 0]})
    edges = read.mart("circuit_link", model_id="teacher")
    x, y = alt.X("column:Q"), alt.Y("layer:Q")
    layers = circuit_links.lines(edges, nodes, 2, 2, x, y)
    spec = alt.layer(*layers).to_dict()
    drawn = [data for data in spec["datasets"].values() if data and "step" in data[0]]
    ends = {
        (points[0]["name"], points[0]["column"], points[0]["layer"], points[-1]["layer"])
        for data in drawn
        for name in {point["name"] for point in data}
        for points in [[point for point in data if point["name"] == name]]
    }
    # The interval of 0.0 to the logits, -3 to 7, holds 0: it is not drawn.
    assert ends == {
        ("0.0 to 0.mlp (mlp)", 0.0, 0.0, 0.0),
        ("0.mlp to output (output)", 2.0, 0.0, 2.0),
    }
    assert circuit_links.lines(edges.clear(), nodes, 2, 2, x, y) == []
