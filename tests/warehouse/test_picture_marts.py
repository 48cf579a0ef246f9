"""The marts that pictures of circuits are drawn from, on rows that can be worked out."""

import json

import pytest
from making import measurement, model

from warehouse import checks, read
from warehouse.lake import Lake

EDGE = {
    "budget": 0.2, "source": "0.1", "destination": "1.mlp", "reader": "mlp", "n_prompts": 4,
    "delta_p_edge": -25.0, "ci_low_delta_p_edge": -30.0, "ci_high_delta_p_edge": -20.0,
    "is_kept": True,
}  # fmt: skip
WEIGHTS = [[1.0, 0.0], [0.25, 0.75]]
SAID = {"layer": 0, "head": 1, "rank": 1, "token": " 7", "n_prompts": 4, "n_first": 3}
CLOUD = {
    "layer_teacher": 1, "layer_student": 0, "prompt_id": "p0", "tokens": ["One", " two"],
    "first": [3.0, -1.0], "second": [0.5, 0.25], "share_first": 0.75, "share_second": 0.125,
}  # fmt: skip


def patterns(weights):
    return [
        {
            "prompt_id": "p0", "layer": 0, "head": 1, "position": at, "token": token,
            "role": None, "weights": row,
        }
        for at, (token, row) in enumerate(zip(("One", " two"), weights, strict=True))
    ]  # fmt: skip


def add(lake, name, method, models, tables):
    given = {"options": json.dumps({}), "prompt_set": "numerals", "prompt_set_sha256": "7a5c"}
    lake.plan(measurement(name, method, 1, **given), models)
    lake.append_unit(name, "all", tables, 1.0)


@pytest.fixture
def pictured(lake: Lake):
    for name in ("t", "s"):
        lake.add_models([model(name)])
    near_0 = EDGE | {
        "destination": "output", "reader": "output", "delta_p_edge": -1.0,
        "ci_low_delta_p_edge": -3.0, "ci_high_delta_p_edge": 1.0, "is_kept": False,
    }  # fmt: skip
    add(lake, "e", "circuit-edges", {"model": "t"}, {"circuit_edge": [EDGE, near_0]})
    tables = {"attention_pattern": patterns(WEIGHTS), "ov_token": [SAID]}
    add(lake, "p", "pictures", {"model": "t"}, tables)
    tables = {
        "mlp_similarity": [
            {
                "layer_teacher": 1, "layer_student": 0, "n_prompts": 4, "similarity": 0.5,
                "method": "cka", "chance": 0.125,
            }
        ],
        "mlp_projection": [CLOUD | {"whose": whose} for whose in ("teacher", "student")],
    }  # fmt: skip
    add(lake, "m", "mlp-pictures", {"teacher": "t", "student": "s"}, tables)
    return lake


def test_an_edge_is_apart_from_0_if_its_interval_is(pictured):
    rows = read.mart("circuit_link", pictured.location).sort("destination")
    told = rows.select("model_id", "source", "destination", "is_apart", "is_kept").rows()
    assert told == [("t", "0.1", "1.mlp", True, True), ("t", "0.1", "output", False, False)]


def test_a_pattern_is_a_row_a_pair_of_tokens(pictured):
    rows = read.mart("attention", pictured.location).sort("position", "key_position")
    columns = ("position", "token", "key_position", "key_token", "weight")
    assert rows.select(columns).rows() == [
        (0, "One", 0, "One", 1.0),
        (0, "One", 1, " two", 0.0),
        (1, " two", 0, "One", 0.25),
        (1, " two", 1, " two", 0.75),
    ]
    (kept,) = read.mart("attention_prompt", pictured.location).to_dicts()
    assert (kept["prompt_id"], kept["n_heads"], kept["n_tokens"]) == ("p0", 1, 2)
    assert kept["clean"] is None  # its prompts were never ablated here


def test_a_token_has_its_share_and_chance(pictured):
    (row,) = read.mart("head_token", pictured.location).to_dicts()
    assert (row["token"], row["share"]) == (" 7", 0.75)
    vocabulary = read.table("model", pictured.location)["vocab_size"][0]
    assert row["chance"] == 5 / vocabulary


def test_mlps_side_by_side(pictured):
    (alike,) = read.mart("mlp_likeness", pictured.location).to_dicts()
    assert (alike["teacher_id"], alike["student_id"], alike["similarity"]) == ("t", "s", 0.5)
    points = read.mart("mlp_cloud", pictured.location).sort("whose", "position")
    columns = ("whose", "position", "token", "is_first", "first", "second")
    assert points.select(columns).rows() == [
        ("student", 0, "One", True, 3.0, 0.5),
        ("student", 1, " two", False, -1.0, 0.25),
        ("teacher", 0, "One", True, 3.0, 0.5),
        ("teacher", 1, " two", False, -1.0, 0.25),
    ]


def test_checks_find_what_cannot_be(pictured):
    assert not [name for name, rows in checks.run(pictured.location).items() if rows.height]
    broken = {
        "circuit_edge": [EDGE | {"is_kept": False}],
        "attention_pattern": patterns([[1.0, 0.0], [0.25, 0.5]]),
        "ov_token": [SAID | {"n_first": 5}],
        "mlp_similarity": [
            {
                "layer_teacher": 0, "layer_student": 0, "n_prompts": 4, "similarity": 1.5,
                "method": "cka", "chance": None,
            }
        ],
    }  # fmt: skip
    add(pictured, "b", "pictures", {"model": "s"}, broken)
    found = checks.run(pictured.location)["circuit_out_of_range"]
    assert set(found["what"]) == {
        "edge 0.1 to 1.mlp",
        "weights of 0.1",
        "prompts that say  7",
        "similarity of MLPs 0 and 0",
    }
