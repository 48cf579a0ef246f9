"""Charts as Vega-Lite: valid, titled, with units; the same colour for a family everywhere."""

import json

import altair as alt
import polars as pl
import pytest

from dashboard import charts
from warehouse import read


@pytest.fixture
def scars(filled):
    return charts.scars(read.mart("structural_scar"), read.mart("structural_distance"))


def layers(chart) -> list[dict]:
    return chart.to_dict()["layer"]  # validates against the schema of Vega-Lite


def rows(chart, layer: dict) -> list[dict]:
    return chart.to_dict()["datasets"][layer["data"]["name"]]


def test_no_two_families_share_a_colour():
    assert len(set(charts.FAMILY_COLOURS.values())) == len(charts.FAMILY_COLOURS)
    assert charts.GREY not in charts.FAMILY_COLOURS.values()


def test_versions_of_a_family_share_its_colour():
    assert charts.colour("qwen2") == charts.colour("Qwen") == charts.FAMILY_COLOURS["qwen"]
    assert charts.colour("GPT-2") == charts.FAMILY_COLOURS["gpt"]
    assert charts.colour(None) == charts.colour("never seen") == charts.GREY


def test_the_scar_chart_says_what_it_shows(scars):
    spec = scars.to_dict()
    assert spec["title"]["subtitle"] == "n = 4 seeds for each of 4 pairs; measured"
    axes = [x for layer in spec["layer"] if (x := layer["encoding"].get("x", {})).get("title")]
    assert {x["title"] for x in axes} == {"Distance from the base, × ε (ε = 0.0001), log scale"}
    assert {x["scale"]["type"] for x in axes} == {"log"}
    assert "floor, 1 ε" in json.dumps(spec, ensure_ascii=False)


def test_the_largest_seed_is_another_mark_and_strangers_are_hollow(scars):
    drawn = {}
    for layer in layers(scars):
        if layer["mark"]["type"] == "point":
            drawn[layer["mark"]["shape"]] = (layer["mark"].get("filled"), rows(scars, layer))
    is_filled, seeds = drawn["circle"]
    assert is_filled and len(seeds) == 4 * 3 and 123 not in {row["seed"] for row in seeds}
    is_filled, largest = drawn["cross"]
    assert is_filled and {row["seed"] for row in largest} == {123} and len(largest) == 4
    is_filled, strangers = drawn["square"]
    assert not is_filled and {row["x_eps"] for row in strangers} == {"3,000"}


def test_what_is_not_interpretable_is_pale_and_stays(scars):
    opacity = {
        row["derivative"]: row["opacity"]
        for layer in layers(scars)
        if layer["mark"].get("shape") == "circle"
        for row in rows(scars, layer)
    }
    assert opacity.pop("llama-sft-direct") == charts.PALE
    assert set(opacity.values()) == {charts.FULL} and len(opacity) == 3


@pytest.mark.parametrize(("measure", "n_below"), [("centroid", 1), ("crp", 0)])
def test_distances_carry_their_floor_and_unit(filled, measure, n_below):
    functional = read.mart("functional_distance", mode="free")
    chart = charts.distances(functional, measure, charts.row_names(functional))
    triangles = [layer for layer in layers(chart) if layer["mark"].get("shape") == "triangle-up"]
    assert len(triangles) == 1
    assert triangles[0]["encoding"]["x"]["title"].endswith("distance, logits")
    shown = rows(chart, triangles[0])
    # The centroid of llama-distilled, 0.125, lies under its floor of 0.25.
    assert sum(row["opacity"] == charts.PALE for row in shown) == n_below
    assert [layer["mark"]["type"] for layer in layers(chart)].count("bar") == 1


def test_equal_labels_are_told_apart_by_their_id(filled):
    frame = read.mart("structural_scar").with_columns(
        derivative=read.mart("structural_scar")["base"]
    )
    names = charts.row_names(frame)
    assert len(set(names.values())) == 4


def test_a_chart_is_inked_for_its_mode():
    spec = {"mark": "bar", "config": {"axisY": {"grid": False}, "axis": {"titleFontSize": 13}}}
    light, dark = (charts.inked(spec, mode)["config"] for mode in ("light", "dark"))
    assert light["axisY"]["labelColor"] != dark["axisY"]["labelColor"]
    assert light["axisY"]["grid"] is False and light["axis"] == {"titleFontSize": 13}
    assert spec["config"]["axisY"] == {"grid": False}
    assert charts.inked(spec, None) is spec


def test_a_chart_is_kept_for_the_same_rows_and_made_anew_for_others():
    rows = pl.DataFrame({"x": range(60)})

    @charts.drawn_once
    def dots(frame: pl.DataFrame) -> alt.Chart:
        return alt.Chart(frame).mark_point().encode(alt.X("x:Q"))

    assert dots(rows) is dots(rows.clone())
    # Far from both ends, where Streamlit's own fingerprint does not look.
    other = rows.with_columns(x=pl.when(pl.col("x") == 30).then(-1).otherwise("x"))
    assert dots(other).data["x"].to_list()[30] == -1


def test_families_are_drawn_by_what_is_known_of_their_derivatives(filled):
    known = {"llama-distilled": True, "llama-sft-direct": False, "qwen2-sft-direct": False}
    scar = read.mart("structural_scar").with_columns(
        pl.col("derivative").replace_strict(known, default=None).alias("is_distilled")
    )
    chart = charts.families(scar)
    spec = chart.to_dict()
    assert spec["title"]["subtitle"][0].startswith("n = 4 derivatives")
    shapes = {layer["mark"]["shape"]: rows(chart, layer) for layer in layers(chart)}
    assert {row["derivative"] for row in shapes["circle"]} == {
        "llama-sft-direct",
        "qwen2-sft-direct",
    }
    assert {row["row"] for row in shapes["triangle-up"]} == {
        "llama · distilled, n = 1",
        "qwen2 · not known, n = 1",
    }
    domain = spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert domain == [
        "llama · distilled, n = 1",
        "llama · not distilled, n = 1",
        "qwen2 · not distilled, n = 1",
        "qwen2 · not known, n = 1",
    ]
