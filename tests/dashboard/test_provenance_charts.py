"""Charts of provenance as Vega-Lite: valid, with intervals and n; nothing by colour alone."""

import polars as pl
import pytest

from dashboard import charts, provenance_charts
from warehouse import read


def layers(chart) -> list[dict]:
    return chart.to_dict()["layer"]  # validates against the schema of Vega-Lite


def rows(chart, layer: dict) -> list[dict]:
    data = layer["data"]
    return chart.to_dict()["datasets"][data["name"]] if "name" in data else data["values"]


@pytest.fixture
def pairs(traced):
    return read.mart("provenance").sort("distilled")


@pytest.fixture
def breakdown(pairs):
    return provenance_charts.breakdown(pairs, read.mart("provenance_breakdown"))


def test_the_wide_bars_stack_all_of_a_pair_from_teacher_on(breakdown):
    wide = layers(breakdown)[0]
    assert wide["mark"]["type"] == "bar" and wide["encoding"]["order"]["field"] == "place"
    drawn = rows(breakdown, wide)
    assert len(drawn) == 2 * 4
    shares = {row["label"]: (row["place"], row["share"]) for row in drawn}
    assert shares["Teacher"] == (0, 0.75)
    assert sum(share for _, share in shares.values()) == 1
    assert wide["encoding"]["x"]["scale"]["domain"] == [0, 1]
    fields = {tip["field"] for tip in wide["encoding"]["tooltip"]}
    assert {"said", "interval", "null", "wrong", "n_questions", "transfer", "measurement_id"} <= (
        fields
    )


def test_a_pair_that_is_not_decided_is_pale_and_stays(breakdown):
    opacity = {row["distilled"]: row["opacity"] for row in rows(breakdown, layers(breakdown)[0])}
    assert opacity == {"llama-distilled": charts.FULL, "qwen2-distilled": charts.PALE}


def test_parts_carry_their_letter_where_it_fits(breakdown):
    notes = {row["label"]: row["note"] for row in rows(breakdown, layers(breakdown)[1])}
    assert notes == {"Teacher": "T 75.0\u00a0%", "Boosted": "B", "Shared": "=", "Student": ""}


def test_null_and_wrong_teacher_stand_beneath_and_a_missing_one_says_so(breakdown):
    notes = {
        (row["row"].split("\n")[0], row["note"])
        for layer in layers(breakdown)
        if layer["mark"]["type"] == "text" and layer["mark"].get("yOffset")
        for row in rows(breakdown, layer)
    }
    assert notes == {
        ("llama · llama-distilled", "25.0\u00a0% null: llama-base's own sentences"),
        ("llama · llama-distilled", "12.5\u00a0% with a wrong teacher, gpt2-base"),
        ("qwen2 · qwen2-distilled", "25.0\u00a0% null: qwen2-base's own sentences"),
        ("qwen2 · qwen2-distilled", "no wrong teacher given"),
    }


def test_the_interval_of_teacher_is_drawn(breakdown):
    rules = [layer for layer in layers(breakdown) if layer["mark"]["type"] == "rule"]
    own = rows(breakdown, rules[0])
    assert {(row["ci_low_share"], row["ci_high_share"]) for row in own} == {(0.625, 0.875)}
    assert len(rules) == 3  # its own, the null's, the wrong teacher's


def test_equal_names_are_told_apart(pairs):
    twice = pl.concat([pairs, pairs.with_columns(measurement_id=pl.lit("0123456789"))])
    names = provenance_charts.pair_names(twice.unique("measurement_id"))
    assert len(names) == len(set(names.values())) == 3


def test_positions_show_both_outcomes_with_their_bands(traced):
    found = read.mart("provenance_position")
    chart = provenance_charts.position(found, "Teacher", "sentence")
    points = {
        layer["mark"]["filled"]: rows(chart, layer)
        for layer in layers(chart)
        if layer["mark"]["type"] == "point"
    }
    # 40 of 50 right, 10 of 50 wrong; by hand, Wilson's interval of 40 of 50 is 0.670 to 0.888.
    (right,), (wrong,) = points[True], points[False]
    assert (right["share"], right["n_all"], right["x"]) == (0.8, 50, 1)
    assert right["interval"] == "67.0\u00a0% to 88.8\u00a0%"
    assert wrong["share"] == 0.2
    dashes = [layer["mark"]["strokeDash"] for layer in layers(chart) if
              layer["mark"]["type"] == "line"]  # fmt: skip
    assert dashes == [[], [5, 4]]
    texts = [row["outcome"] for layer in layers(chart) if layer["mark"]["type"] == "text"
             for row in rows(chart, layer)]  # fmt: skip
    assert texts == ["right", "wrong"]  # the upper line's name first
    # A band of one position would not be seen.
    kinds = [layer["mark"]["type"] for layer in layers(chart)]
    assert kinds.count("rule") == 2 and "area" not in kinds
    several = pl.concat([found, found.with_columns(pl.col("place") + 1)])
    chart = provenance_charts.position(several, "Teacher", "sentence")
    kinds = [layer["mark"]["type"] for layer in layers(chart)]
    assert kinds.count("area") == 2 and "rule" not in kinds


def test_positions_by_share_lie_in_the_middle_of_their_part(traced):
    chart = provenance_charts.position(read.mart("provenance_position"), "Student", "share")
    points = next(layer for layer in layers(chart) if layer["mark"]["type"] == "point")
    # One sentence: its middle, 0.5, lies in part 10 of 0 to 19, which is 50 to 55 %.
    assert [row["x"] for row in rows(chart, points)] == [52.5]


def test_areas_show_raw_and_within_with_their_intervals(traced):
    found = read.mart("provenance_correctness", distilled="qwen2-distilled")
    chart = provenance_charts.areas(found)
    points = {layer["mark"]["shape"]: layer for layer in layers(chart)
              if layer["mark"]["type"] == "point"}  # fmt: skip
    assert points["square"]["mark"]["filled"] is False and points["circle"]["mark"]["filled"]
    for kind, shape in (("raw", "square"), ("within", "circle")):
        drawn = {row["label"]: row for row in rows(chart, points[shape])}
        assert len(drawn) == 4 and {row["kind"] for row in drawn.values()} == {kind}
        assert drawn["Teacher"]["said"] == "+0.600"
        assert drawn["Teacher"]["interval"] == "+0.350 to +0.850"
    some = provenance_charts.areas(read.mart("provenance_correctness", distilled="llama-distilled"))
    shapes = [layer["mark"]["shape"] for layer in layers(some)
              if layer["mark"]["type"] == "point" and rows(some, layer)]  # fmt: skip
    assert shapes == ["square"]  # within questions there is none
