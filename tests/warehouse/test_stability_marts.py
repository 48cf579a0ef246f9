"""The marts of stability proxies on rows that can be worked out, and checks that find faults."""

import json

import pytest
from making import measurement, model
from provenance_rows import rollout
from stability_rows import STEPS, component, hypothesis, limit, point, region, step, trajectory

from warehouse import checks, read
from warehouse.lake import Lake

TESTED = {"prompt_set": "set test", "prompt_set_sha256": "7e57"}
CALIBRATED = {"prompt_set": "set calibration", "prompt_set_sha256": "ca1"}


def add(lake, name, method, models, tables, inputs=None, **over):
    options = json.dumps({"inputs": inputs or {}})
    given = {"options": options, **TESTED, **over}
    lake.plan(measurement(name, method, 1, **given), models)
    lake.append_unit(name, "all", tables, 1.0)


def add_read(lake, name, teacher="t", steps=None):
    """A model's rollout, its region, and its steps against its teacher's limits."""
    lake.add_models([model(name)])
    add(lake, f"r-{name}", "rollout", {"model": name}, {"rollout": [rollout(0, 0, "Ab. Cd. Ef. ")]})
    tables = {"stability_region": [region()], "stability_limit": [limit(u) for u in range(10)]}
    add(lake, f"l-{name}", "stability_limits", {"model": name}, tables, **CALIBRATED)
    inputs = {"region": f"l-{name}", "limits": f"l-{teacher}", "rollouts": f"r-{name}"}
    roles = {"model": name, "teacher": teacher}
    add(lake, f"b-{name}", "step_burden", roles, steps or STEPS, inputs)


def conclude(lake, name, students, **over):
    roles = {"teacher": "t"} | {f"student-{i}" if i > 1 else "student": s
                                for i, s in enumerate(students, 1)}  # fmt: skip
    tables = {
        "stability_profile": [
            component("teacher", "satisfaction", 0.75),
            component("teacher", "mean load", 0.25, kind="beside"),
        ],
        "coupling_point": [point(role) for role in roles if role != "teacher"],
        "hypothesis": [hypothesis(h) for h in ("H1", "H2", "H3", "H4", "coupling")],
    }
    for role in roles:
        if role != "teacher":
            tables["stability_profile"] += [
                component(role, "satisfaction", 0.5),
                component(role, "dependence", 0.5, null_value=0.25),
                component(role, "mean load", 0.375, kind="beside"),
            ]
    inputs = {role: f"b-{model_id}" for role, model_id in roles.items()}
    add(lake, name, "stability", roles, tables, inputs, **over)


@pytest.fixture
def concluded(lake: Lake):
    for name in ("t", "a", "b"):
        add_read(lake, name)
    conclude(lake, "s1", ["a", "b"])
    return lake


def test_students_beside_their_teacher(concluded, location):
    found = read.mart("stability_student", location).sort("role")
    assert found["student"].to_list() == ["A", "B"] and set(found["teacher"]) == {"T"}
    assert found.select("load", "teacher_load").rows() == [(0.375, 0.25)] * 2
    assert found["family"].to_list() == ["llama", "llama"]
    assert found["prompt_set"].to_list() == ["set test"] * 2


def test_components_beside_their_teacher_s(concluded, location):
    rows = {
        (r["model"], r["component"]): r
        for r in read.mart("stability_component", location).iter_rows(named=True)
    }
    assert len(rows) == 2 + 2 * 3
    assert rows["T", "satisfaction"]["is_teacher"]
    own = rows["A", "satisfaction"]
    assert (own["value"], own["teacher_value"], own["is_teacher"]) == (0.5, 0.75, False)
    assert rows["A", "dependence"]["is_above_null"] is True
    assert rows["A", "satisfaction"]["is_above_null"] is None


def test_the_newest_of_a_teacher_counts(concluded, location):
    conclude(concluded, "s2", ["b"])
    found = read.mart("stability_student", location)
    assert found["student"].to_list() == ["B"] and found["role"].to_list() == ["student"]
    assert read.mart("stability_hypothesis", location).height == 5
    conclude(concluded, "s3", ["a"], prompt_set_sha256="0")  # other problems stand beside them
    assert read.mart("stability_student", location).height == 2


def test_a_plain_teacher_has_students_of_its_own(lake, location):
    for name in ("t", "a", "p"):
        add_read(lake, name)
    add_read(lake, "c", teacher="p")
    roles = {"teacher": "t", "student": "a", "plain-teacher": "p", "plain-student": "c"}
    tables = {
        "stability_profile": [
            component("teacher", "satisfaction", 0.75),
            component("plain-teacher", "satisfaction", 0.25),
            component("plain-student", "satisfaction", 0.5),
        ],
        "coupling_point": [point("student"), point("plain-student", teacher_role="plain-teacher")],
        "hypothesis": [hypothesis("H1", "supported", estimate=0.5)],
    }
    inputs = {role: f"b-{model_id}" for role, model_id in roles.items()}
    add(lake, "s", "stability", roles, tables, inputs)
    students = dict(read.mart("stability_student", location).select("student", "teacher").rows())
    assert students == {"A": "T", "C": "P"}
    found = read.mart("stability_component", location).filter(role="plain-student")
    assert found["teacher_value"].to_list() == [0.25]
    row = read.mart("stability_hypothesis", location).row(0, named=True)
    assert (row["teacher"], row["plain_teacher"], row["outcome"]) == ("T", "P", "supported")


def test_a_rollout_and_its_steps(concluded, location):
    listed = read.mart("stability_rollout", location)
    assert sorted(listed["model"]) == ["A", "B", "T"]
    row = listed.filter(model="A").row(0, named=True)
    assert (row["text"], row["n_violations"], row["horizon"]) == ("Ab. Cd. Ef. ", 1, "short")
    steps = read.mart("stability_step", location, model_id="a").sort("t")
    assert steps["text"].to_list() == ["Cd. ", "Ef. "]
    assert steps["is_violation"].to_list() == [False, True]
    assert steps["slack"].to_list() == [0.5, 0.5]


def test_nothing_is_shown_before_it_is_concluded(lake, location):
    add_read(lake, "t")
    for name in ("student", "component", "hypothesis", "rollout", "step"):
        assert read.mart(f"stability_{name}", location).is_empty()
    assert read.newest("stability_student", location) is None


def test_good_rows_pass_every_check(concluded, location):
    broken = {name: rows.to_dicts() for name, rows in checks.run(location).items() if rows.height}
    assert broken == {}


STEP, WHOLE, OTHER = (
    "step_burden_out_of_range", "trajectory_stability_differs", "stability_out_of_range",
)  # fmt: skip


@pytest.mark.parametrize(
    ("check", "tables"),
    [
        (STEP, {"step_burden": [step(0, 2.5, 2.5)]}),
        (STEP, {"step_burden": [step(0, 0.5, 0.5, is_violation=True)]}),  # at its limit
        (STEP, {"step_burden": [step(0, 0.25, 0.25, is_outside=True)]}),
        (STEP, {"step_burden": [step(0, 0.75, 0.75), step(1, 0.25, 0.5)]}),  # load falls
        (STEP, {"step_burden": [step(0, 0.25, 0.5)]}),  # load is not the sum
        (STEP, {"step_burden": [step(0, 0.25, 0.25, decile=1)]}),
        (STEP, {"step_burden": [step(0, 0.25, 0.25, attn_conc=None)]}),  # and no reason
        (STEP, {"step_burden": [step(0, 0.25, 0.25, n_states=1)]}),
        (WHOLE, {**STEPS, "trajectory_stability": [trajectory(n_violations=2, v_rate=1.0)]}),
        (WHOLE, {**STEPS, "trajectory_stability": [trajectory(path_load=0.5)]}),
        (WHOLE, {**STEPS, "trajectory_stability": [trajectory(n_states=4)]}),
        (WHOLE, {"trajectory_stability": [trajectory()]}),  # without its steps
        (WHOLE, {"trajectory_stability": [trajectory(n_violations=None, v_rate=None,
            n_outside=None, n_both=None, path_load=None)]}),
        (OTHER, {"stability_profile": [component("student", "satisfaction", 1.5)]}),
        (OTHER, {"stability_profile": [component("student", "satisfaction", None, reason=None)]}),
        (OTHER, {"stability_profile": [component("student", "horizon", 0.5, null_value=0.5)]}),
        (OTHER, {"coupling_point": [point("student", delta_r=0.05, ci_low_delta_r=0.05,
            ci_high_delta_r=0.05)]}),  # asymmetric within the noise
        (OTHER, {"coupling_point": [point("student", proposition="COUNTER-EXAMPLE")]}),
        (OTHER, {"coupling_point": [point("student", delta_k_plus=0.5)]}),
        (OTHER, {"hypothesis": [hypothesis("H1", "supported")]}),
    ],
)  # fmt: skip
def test_checks_find_what_is_broken(lake, location, check, tables):
    lake.add_models([model("t")])
    add(lake, "m", "any", {"model": "t"}, tables)
    assert checks.run(location)[check].height == 1


@pytest.mark.parametrize(
    ("over", "n"),
    [({"prompt_set_sha256": "ca1"}, 2), ({}, 0)],
)
def test_calibrating_on_what_is_tested_is_found(lake, location, over, n):
    add_read(lake, "t")
    inputs = {"region": "l-t", "limits": "l-t", "rollouts": "r-t"}
    add(lake, "bad", "step_burden", {"model": "t", "teacher": "t"}, STEPS, inputs, **over)
    assert checks.run(location)["calibrated_on_what_is_tested"].height == n


def test_limits_of_another_model_are_found(lake, location):
    for name in ("t", "a"):
        add_read(lake, name)
    inputs = {"region": "l-t", "limits": "l-t", "rollouts": "r-a"}  # the region is not a's own
    add(lake, "bad", "step_burden", {"model": "a", "teacher": "t"}, STEPS, inputs, replicate=1)
    found = checks.run(location)["calibrated_on_what_is_tested"]
    assert found.rows() == [("bad", "region")]
