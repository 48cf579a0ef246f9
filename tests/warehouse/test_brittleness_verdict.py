"""The verdict on brittleness in SQL is that of `measure.circuit_verdicts`, case by case."""

from itertools import product

import pytest
from making import measurement, model

from measure.circuit_verdicts import Interval, more_brittle
from warehouse import read
from warehouse.lake import Lake

# Of the student's mean drop: above the teacher's 4 to 6, across it, unknown; the differences.
STUDENTS = ((7.0, 9.0), (5.0, 9.0), None)
DIFFERENCES = ((1.0, 3.0), (-1.0, 3.0), None)
CONTROLS = ((0.5, 2.0), (-0.5, 2.0), None)
NO_CONTROL = "no control"


def known(ends, name: str) -> dict[str, float | None]:
    low, high = ends or (None, None)
    value = None if ends is None else (low + high) / 2
    return {name: value, f"ci_low_{name}": low, f"ci_high_{name}": high}


def baseline(ends) -> dict[str, list[dict[str, object]]]:
    names = ("top5_drop_pct", "gini_drop", "tail_score", "share_over_10_pct", "share_over_20_pct")
    drops = {
        **known(ends, "mean_drop_pct"),
        **dict.fromkeys(f"{start}{n}" for n in names for start in ("", "ci_low_", "ci_high_")),
    }
    reason = "cannot" if ends is None else None
    row = {
        "n_components": 3, "n_prompts": 9, **drops, "prompt_ci_low_mean_drop_pct": None,
        "prompt_ci_high_mean_drop_pct": None, "floor_mean_drop_pct": None, "reason": reason,
    }  # fmt: skip
    task = {
        "n_prompts": 9, "mean_ld": 1.0, "ci_low_mean_ld": 0.9, "ci_high_mean_ld": 1.1,
        "answer_share": 1.0, "reason": reason,
    }  # fmt: skip
    return {"task_baseline": [task], "brittleness": [row]}


def difference(ends, against: str, *, is_paper: bool = False) -> dict[str, object]:
    return {
        "against": against, "is_paper_mode": is_paper, "n_components_student": 3,
        "n_components_other": 6, "n_prompts": 9, **known(ends, "difference_pct"),
        "prompt_ci_low_difference_pct": None, "prompt_ci_high_difference_pct": None,
        "compression": None, **known(None, "beta"), **known(None, "per_tenth"),
        "reason": "cannot" if ends is None else None,
    }  # fmt: skip


def add(lake: Lake, name: str, method: str, sha: str, models, records, inputs: str = "{}") -> None:
    over = {"prompt_set": "numerals", "prompt_set_sha256": sha, "options": inputs, "seeds": []}
    lake.plan(measurement(name, method, 1, **over), models)
    lake.append_unit(name, "all", records, 1.0)


@pytest.fixture
def cases(lake: Lake) -> dict[str, tuple]:
    """A set of prompts a case; the student reads other tokens, so its prompts are others."""
    lake.add_models([model("teacher"), model("student")])
    found: dict[str, tuple] = {}
    for i, case in enumerate(product(STUDENTS, DIFFERENCES, (*CONTROLS, NO_CONTROL))):
        student, apart, control = case
        sha = f"theirs-{i}"
        found[sha] = case
        add(lake, f"t{i}", "component", sha, {"model": "teacher"}, baseline((4.0, 6.0)))
        add(lake, f"s{i}", "component", f"ours-{i}", {"model": "student"}, baseline(student))
        add(lake, f"a{i}", "ablation", f"ours-{i}", {"model": "student"}, {})
        rows = [difference(apart, "teacher"), difference((9.0, 9.5), "teacher", is_paper=True)]
        if control != NO_CONTROL:
            rows.append(difference(control, "size-matched control"))
        models = {"teacher": "teacher", "student": "student"}
        options = f'{{"inputs":{{"student":"a{i}"}}}}'
        add(lake, f"p{i}", "alignment", sha, models, {"brittleness_difference": rows}, options)
    return found


def test_every_case_has_the_verdict_of_the_function(cases, location):
    def interval(ends) -> Interval:
        low, high = ends or (None, None)
        return Interval(low=low, high=high)

    rows = read.mart("brittleness_verdict", location)
    assert rows.height == len(cases) == 3 * 3 * 4
    labels: set[str] = set()
    for row in rows.iter_rows(named=True):
        student, apart, control = cases[row["prompt_set_sha256"]]
        wanted = more_brittle(
            Interval(low=4.0, high=6.0),
            interval(student),
            interval(apart),
            None if control == NO_CONTROL else interval(control),
        )
        assert row["verdict"] == wanted.label, (student, apart, control)
        labels.add(wanted.label)
    assert labels == {"more brittle", "more brittle, by its size", "not more brittle", "unknown"}


def test_the_student_s_own_prompts_are_found_where_the_tokens_differ(cases, location):
    row = read.mart("brittleness_verdict", location, prompt_set_sha256="theirs-0").row(
        0, named=True
    )
    assert row["student_prompts_sha256"] == "ours-0"
    assert (row["mean_drop_student"], row["mean_drop_teacher"]) == (8.0, 5.0)
    assert (row["is_apart"], row["is_above_zero"], row["is_beyond_control"]) == (True, True, True)
