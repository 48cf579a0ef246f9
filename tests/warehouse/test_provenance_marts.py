"""Marts of sentence provenance against numbers worked out here by hand."""

import math
from collections.abc import Iterator

import pytest
from making import lineage_pair_row, measurement, model
from provenance_rows import (
    ROLES,
    SCORE,
    SUMMARY,
    attribution,
    candidate,
    rollout,
    score,
    sentence,
    share,
)

from warehouse import checks, read
from warehouse.lake import Lake


def add(lake: Lake, measurement_id: str, tables, **over: object) -> None:
    """A provenance measurement on the rollouts `own` and `base`."""
    options = '{"inputs":{"rollouts_distilled":"own","rollouts_student":"base"}}'
    lake.plan(
        measurement(measurement_id, "provenance", 1, **{**SCORE, "options": options, **over}),
        {role: role for role in ROLES},
    )
    lake.append_unit(measurement_id, "all", {"provenance_summary": [SUMMARY], **tables}, 1.0)


@pytest.fixture
def traced(lake: Lake) -> Iterator[Lake]:
    """Sixty problems with a right and a wrong rollout of two sentences each."""
    lake.add_models([model(role) for role in ROLES])
    for name, of in (("own", "distilled"), ("base", "student")):
        rows = [rollout(p, s, "Ab. Cd. ") for p in range(60) for s in (0, 1)]
        lake.plan(measurement(name, "rollout", 1, **SCORE), {"model": of})
        lake.append_unit(name, "all", {"rollout": rows}, 1.0)
    rows = [
        # Right: Teacher first, then in every fourth problem; wrong: Shared always.
        sentence(p, s, i, 2, "Teacher" if s == 0 and (i == 0 or p % 4 == 0) else "Shared")
        for p in range(60)
        for s in (0, 1)
        for i in (0, 1)
    ]
    tables = {
        "provenance_sentence": rows,
        "provenance_share": [share("Teacher", 75, 240), share("Shared", 165, 240)],
    }
    add(lake, "m1", tables)
    yield lake


def test_positions_by_hand(traced: Lake, location):
    found = read.mart("provenance_position", location)
    # Two sentences, or parts 5 and 15 of 20 (a quarter and three quarters of the way).
    places = found.select("counted_by", "place").unique().sort("counted_by", "place").rows()
    assert places == [("sentence", 0), ("sentence", 1), ("share", 5), ("share", 15)]
    assert found.height == 4 * 2 * 4  # places, outcomes, labels
    rows = {
        (r["counted_by"], r["place"], r["is_correct"], r["label"]): r
        for r in found.iter_rows(named=True)
    }
    first, second = (rows["sentence", place, True, "Teacher"] for place in (0, 1))
    assert (first["n_label"], first["n_all"], first["share"]) == (60, 60, 1)
    assert (second["n_label"], second["share"]) == (15, 0.25)
    assert rows["sentence", 1, False, "Teacher"]["share"] == 0
    assert rows["share", 15, True, "Teacher"]["share"] == 0.25
    # Wilson's interval for 15 of 60: centre (p + z2/2n) / (1 + z2/n).
    z, n, p = 1.959964, 60, 0.25
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert second["ci_low_share"] == pytest.approx(centre - half, abs=1e-6)
    assert second["ci_high_share"] == pytest.approx(centre + half, abs=1e-6)
    assert first["ci_high_share"] == pytest.approx(1, abs=1e-6) and first["ci_low_share"] < 1


def test_a_position_needs_fifty_sentences_of_either_outcome(lake: Lake, location):
    lake.add_models([model(role) for role in ROLES])
    rows = [sentence(p, 0, 0, 1, "Teacher") for p in range(60)]
    rows += [sentence(p, 1, 0, 1, "Shared") for p in range(49)]
    add(lake, "m1", {"provenance_sentence": rows})
    assert read.mart("provenance_position", location).is_empty()


def test_the_newest_of_a_pair_counts(traced: Lake, location):
    add(traced, "m2", {"provenance_share": [share("Teacher", 120, 240)]}, replicate=1)
    row = read.mart("provenance", location).row(0, named=True)
    assert row["measurement_id"] == "m2" and row["teacher_share"] == 0.5
    assert row["accuracy"] == pytest.approx(90 / 110)
    assert (row["distilled"], row["teacher"], row["control"]) == ("DISTILLED", "TEACHER", None)
    assert row["null_share"] is None and row["control_share"] is None


def test_the_breakdown_has_null_and_control_beside(lake: Lake, location):
    lake.add_models([model(role) for role in ROLES])
    shares = [
        share("Teacher", n, 240, whose)
        for whose, n in (("distilled", 120), ("student", 12), ("control", 24))
    ]
    add(lake, "m1", {"provenance_share": shares})
    rows = {r["rollouts_of"]: r for r in read.mart("provenance_breakdown", location).to_dicts()}
    assert rows["distilled"]["share"] == 0.5
    assert rows["distilled"]["null_share"] == 0.05 and rows["distilled"]["control_share"] == 0.1
    assert not rows["distilled"]["is_part_of_boosted"]


def test_the_reader_by_hand(traced: Lake, location):
    found = read.mart("provenance_rollout", location)
    assert found.height == 240  # 120 of each model
    row = found.filter(rollouts_of="distilled", problem_id="p001", sample=0).row(0, named=True)
    assert (row["n_labelled"], row["n_teacher"], row["n_shared"]) == (2, 1, 1)
    assert row["first_divergence"] is None  # p_D - p_T = -0.25
    assert found.filter(rollouts_of="student")["n_labelled"].sum() == 0
    texts = read.mart("sentence", location).filter(problem_id="p001", sample=0).sort("sentence")
    assert texts["text"].to_list() == ["Ab. ", "Cd. "]
    assert texts["d_ts"].to_list() == [0.5, 0.5] and texts["d_td"].to_list() == [0.25, 0.25]


def test_code_points_count_and_divergence_is_above_alpha(lake: Lake, location):
    lake.add_models([model(role) for role in ROLES])
    lake.plan(measurement("own", "rollout", 1, **SCORE), {"model": "distilled"})
    lake.append_unit("own", "all", {"rollout": [rollout(0, 0, "é漢. 𝛼e\u0301!")]}, 1.0)
    rows = [
        sentence(0, 0, 0, 2, "Teacher", p_distilled=0.84),  # 0.09 above the teacher
        sentence(0, 0, 1, 2, "Boosted", p_distilled=0.875, boosted="boosted_up"),
    ]
    add(lake, "m1", {"provenance_sentence": rows})
    texts = read.mart("sentence", location).sort("sentence")
    assert texts["text"].to_list() == ["é漢. ", "𝛼e\u0301!"]
    assert read.mart("provenance_rollout", location)["first_divergence"].to_list() == [1]


@pytest.mark.parametrize(
    ("check", "tables"),
    [
        ("sentence_scores_differ", {"sentence_score": [score(span_logprobs=[-0.5, -0.9])]}),
        ("sentence_scores_differ", {"sentence_score": [score(n_tokens=4)]}),
        ("sentence_scores_differ", {"sentence_score": [score(char_start=1)]}),
        ("sentence_scores_differ", {"sentence_score": [score(sum_logprob=None)]}),
        ("sentence_scores_differ", {"sentence_score": [score(), score(sentence=2, char_start=5)]}),
        ("rollout_out_of_range", {"rollout": [rollout(0, 0, "x") | {"gold": None}]}),
        ("rollout_out_of_range", {"rollout": [rollout(0, 0, "x") | {"answer": None}]}),
        ("provenance_shares_differ", {"provenance_share": [share("Teacher", 3, 4)]}),
        (
            "provenance_out_of_range",
            {"provenance_sentence": [sentence(0, 0, 0, 1, "Teacher", p_teacher=1.5)]},
        ),
        (
            "provenance_out_of_range",
            {"provenance_sentence": [sentence(0, 0, 0, 1, "Boosted")]},
        ),
    ],
)
def test_checks_find_what_is_broken(lake: Lake, location, check: str, tables):
    lake.add_models([model("student")])
    lake.plan(measurement("m", "any", 1, **SCORE), {"model": "student"})
    lake.append_unit("m", "all", tables, 1.0)
    assert checks.run(location)[check].height == 1


def test_good_rows_pass_every_check(traced: Lake, location):
    traced.plan(measurement("s", "sentence_score", 1, **SCORE), {"model": "student"})
    good = [score(), score(sentence=1, char_start=4, char_end=5, reason="none", sum_logprob=None,
                           span_logprobs=None)]  # fmt: skip
    traced.append_unit("s", "all", {"sentence_score": good}, 1.0)
    broken = {name for name, rows in checks.run(location).items() if rows.height}
    assert broken == set()


def attribute(lake: Lake, measurement_id: str, label: str, rows, **over: object) -> None:
    roles = {"student": "student", "distilled": "distilled", "teacher": "teacher", "teacher-2": "x"}
    lake.add_models([model(one) for one in roles.values()])
    lake.plan(measurement(measurement_id, "attribution", 1, **SCORE, **over), roles)
    tables = {"attribution": [attribution(label)], "attribution_candidate": rows}
    lake.append_unit(measurement_id, "all", tables, 1.0)


def add_lineage(lake: Lake) -> None:
    lake.plan(measurement("l", "weight_lineage", 1), {"derivative": "distilled", "base": "student"})
    lake.append_unit("l", "all", {"weight_lineage_pair": [lineage_pair_row(2)]}, 1.0)


def test_an_attribution_fills_the_capability_lineage(lake: Lake, location):
    first = candidate("teacher-2", 1, 0.9, 1.0, is_attributed=True)
    rows = [
        first,
        candidate("teacher", 2, 0.1, 0.2),
    ]
    attribute(lake, "a", "ATTRIBUTED", rows)
    add_lineage(lake)
    found = read.mart("teacher_attribution", location).sort("rank").to_dicts()
    assert [(r["teacher"], r["share_status"]) for r in found] == [
        ("X", "above the null"),
        ("TEACHER", "not above the null"),
    ]
    assert (found[0]["distilled"], found[0]["student"]) == ("DISTILLED", "STUDENT")
    row = read.mart("lineage", location).row(0, named=True)
    assert (row["capability_lineage"], row["capability_lineage_reason"]) == ("X", None)


@pytest.mark.parametrize(
    ("label", "attributed", "capability", "reason"),
    [
        ("ATTRIBUTED TO A FAMILY", True, "TEACHER, X", None),
        ("NONE OF THESE", False, None, "NONE OF THESE: why"),
        (None, False, None, "its sentences are not traced"),
    ],
)
def test_capability_lineage_says_what_is_not_known(
    lake: Lake, location, label, attributed, capability, reason
):
    lake.add_models([model(role) for role in ROLES])
    if label is not None:
        rows = [
            candidate("teacher", 1, 0.2, 0.4, is_attributed=attributed),
            candidate("teacher-2", 2, 0.1, 0.4, is_attributed=attributed),
        ]
        attribute(lake, "a", label, rows)
        status = read.mart("teacher_attribution", location)["share_status"].to_list()
        assert status == ["not clear", "not clear"]
    add_lineage(lake)
    row = read.mart("lineage", location).row(0, named=True)
    assert (row["capability_lineage"], row["capability_lineage_reason"]) == (capability, reason)


@pytest.mark.parametrize(
    "broken",
    [
        [candidate("teacher", 1, 0.1, 0.2), candidate("teacher-2", 2, 0.5, 0.6)],
        [candidate("teacher", 1, 0.1, 0.2, share=0.9)],
        [candidate("teacher", 1, 0.1, 0.2, share=None)],
    ],
)
def test_a_broken_ranking_is_found(lake: Lake, location, broken):
    attribute(lake, "a", "NOT ENOUGH", broken)
    assert checks.run(location)["attribution_out_of_range"].height > 0
