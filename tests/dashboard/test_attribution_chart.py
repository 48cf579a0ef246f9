"""The chart of teacher attribution as Vega-Lite: each candidate, its interval, its null."""

import polars as pl
import pytest

from dashboard import attribution_chart, charts
from warehouse import read


def layers(chart, kind: str) -> list[dict]:
    found = chart.to_dict()["layer"]  # validates against the schema of Vega-Lite
    return [layer for layer in found if layer["mark"]["type"] == kind]


def rows(chart, layer: dict) -> list[dict]:
    data = layer["data"]
    return chart.to_dict()["datasets"][data["name"]] if "name" in data else data["values"]


@pytest.fixture
def ranking(traced):
    return read.mart("teacher_attribution").sort("distilled", "rank", nulls_last=True)


@pytest.fixture
def chart(ranking):
    return attribution_chart.ranking(ranking)


def test_each_candidate_has_its_null(chart):
    (null,) = layers(chart, "bar")
    drawn = rows(chart, null)
    assert [row["row"] for row in drawn] == [
        "llama-distilled: teacher-forward", "llama-distilled: gpt2-base",
        "qwen2-distilled: teacher-forward", "qwen2-distilled: gpt2-base",
    ]  # fmt: skip
    assert {(row["edge"], row["null_share"]) for row in drawn} == {(-0.5, 0.25)}
    fields = {tip["field"] for tip in null["encoding"]["tooltip"]}
    assert {"said", "interval", "null_share", "n_questions", "attribution", "reason"} <= fields


def test_points_have_intervals_and_only_the_attributed_one_is_filled(chart):
    points = {layer["mark"]["filled"]: rows(chart, layer) for layer in layers(chart, "point")}
    assert [row["x"] for row in points[True]] == [0.875]
    assert [row["x"] for row in points[False]] == [0.125]
    assert points[True][0]["opacity"] == charts.FULL > points[False][0]["opacity"]
    (interval,) = layers(chart, "rule")
    assert [(row["low"], row["high"]) for row in rows(chart, interval)] == [
        (0.8125, 0.9375), (0.0625, 0.1875),
    ]  # fmt: skip


def test_what_lies_beyond_the_axis_or_is_not_known_says_so(chart):
    notes = [row["note"] for layer in layers(chart, "text")[1:] for row in rows(chart, layer)]
    assert sorted(notes) == ["0.125", "0.875, attributed", "not known", "← −1.50"]


def test_equal_names_are_told_apart_by_their_problems(ranking):
    again = ranking.head(2).with_columns(
        measurement_id=pl.lit("0123456789"), prompt_set=pl.lit("others")
    )
    names = attribution_chart.row_names(pl.concat([ranking, again]))
    assert len(set(names.values())) == len(names) == 6
    assert "llama-distilled: gpt2-base (others, 01234567)" in names.values()
