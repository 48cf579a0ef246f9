"""A teacher and its students, planted: points, Proposition 1, and hypotheses that can fail."""

import numpy as np
import pytest

from measure import coupling, stability
from measure.stability_records import CouplingPoint, Hypothesis, StabilityProfile
from measure.students import student_roles
from tests.measure.trajectories import drawn, trajectory


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch):
    monkeypatch.setattr(stability, "N_RESAMPLES", 500)


def of(records, kind):
    return [one for one in records if isinstance(one, kind)]


def hypotheses(records):
    return {one.hypothesis: one for one in of(records, Hypothesis)}


def points(records):
    return {one.role: one for one in of(records, CouplingPoint)}


TEACHER = {"accuracy": 0.9, "v_wrong": 0.3}


def test_roles():
    assert student_roles(3) == ("student", "student-2", "student-3")
    assert student_roles(2, is_plain=True) == ("plain-student", "plain-student-2")


def test_points_of_planted_students():
    """One copies, one loses accuracy alone, one its proxies alone, one only carries more load."""
    records = coupling.measure(
        {
            "teacher": drawn(0, **TEACHER),
            "student": drawn(1, **TEACHER),
            "student-2": drawn(2, accuracy=0.5, v_wrong=0.3),
            "student-3": drawn(3, accuracy=0.9, v_right=0.5, v_wrong=0.5),
            "student-4": drawn(4, **TEACHER, load=1.5),
        }
    )
    found = points(records)
    copy = found["student"]
    assert (copy.asymmetry, copy.proposition) == ("NOT ASYMMETRIC", "COUNTER-EXAMPLE")
    assert copy.delta_r < copy.noise_r
    assert copy.ci_low_load_ratio < 1 < copy.ci_high_load_ratio
    weak = found["student-2"]
    assert weak.has_capability_gap and weak.proposition == "HOLDS"
    assert weak.delta_k == pytest.approx(0.4, abs=0.06) and weak.asymmetry == "NOT ASYMMETRIC"
    loose = found["student-3"]
    assert (loose.has_capability_gap, loose.has_stability_gap) == (False, True)
    assert loose.asymmetry == "ASYMMETRIC"
    burdened = found["student-4"]
    assert burdened.has_hidden_burden and not burdened.has_stability_gap
    assert burdened.load_ratio == pytest.approx(1.5, abs=0.02)
    assert hypotheses(records)["coupling"].outcome == "not run"  # 4 students
    assert [h.outcome for h in hypotheses(records).values()] == ["not run"] * 2 + [
        "not supported",
        "not run",
        "not run",
    ]


def test_profiles_say_what_they_are_over():
    given = drawn(0, n_stories=60, accuracy=0.8)
    profile = of(coupling.measure({"teacher": given}), StabilityProfile)
    kinds = ["capability"] * 4 + ["stability"] * 5 + ["beside"] * 2
    assert [one.kind for one in profile] == kinds
    assert profile.pop().reason == "no fine-tune was asked for"
    by_name = {one.component: one for one in profile}
    assert by_name["short clean"].n_problems == 60
    assert by_name["short clean"].n_values == 240
    assert by_name["satisfaction"].n_values == 60 * 4 * 2 * (6 + 12)
    for one in profile:
        assert one.reason is None and one.ci_low_value <= one.value <= one.ci_high_value
        assert (one.null_value is not None) == (one.component == "dependence")


def test_a_student_that_does_not_reason_is_compared_in_what_it_has():
    silent = [
        trajectory(one.story, one.horizon, one.condition, one.sample, v=None, answer=one.answer,
                   is_correct=one.is_correct)
        for one in drawn(1, **TEACHER)
    ]  # fmt: skip
    records = coupling.measure({"teacher": drawn(0, **TEACHER), "student": silent})
    point = points(records)["student"]
    assert point.components == "perturbation, horizon"
    assert point.load_ratio is None and "load ratio" in point.reason
    missing = {r.component: r.reason for r in of(records, StabilityProfile) if r.value is None}
    assert missing["satisfaction"] == "no trajectory of 3 sentences or more"
    assert set(missing) == {
        "satisfaction", "feasibility", "dependence", "mean load", "retune",
    }  # fmt: skip


def test_a_fine_tune_s_change_by_hand():
    # Clean problems: 1 violation of 8 steps before, 4 of 8 after; perturbed ones do not count.
    before = [trajectory(f"s{i}", v=[i == 0, 0]) for i in range(4)]
    before += [trajectory(f"s{i}", condition="perturbed", v=[1, 1]) for i in range(4)]
    after = [trajectory(f"s{i}", v=[1, 0]) for i in range(4)]
    records = coupling.measure({"teacher": before}, retuned={"teacher": after})
    (row,) = [one for one in of(records, StabilityProfile) if one.component == "retune"]
    assert (row.kind, row.value) == ("beside", 4 / 8 - 1 / 8)
    assert (row.n_problems, row.n_values) == (4, 8)
    # Of the four stories one had a violation before: the change is 1/2 or 0 a story.
    assert 0 <= row.ci_low_value < row.value < row.ci_high_value <= 0.5
    silent = [trajectory(v=None)]
    records = coupling.measure({"teacher": before}, retuned={"teacher": silent})
    (row,) = [one for one in of(records, StabilityProfile) if one.component == "retune"]
    assert row.reason == "before or after it no trajectory of 3 sentences or more"


def test_few_stories_decide_nothing():
    given = {"teacher": drawn(0, n_stories=20), "student": drawn(1, n_stories=20)}
    records = coupling.measure(given)
    assert points(records)["student"].proposition == "NOT ENOUGH"
    assert {one.outcome for one in hypotheses(records).values()} == {"not run"}
    assert all(
        "50 are needed" in h.reasons for n, h in hypotheses(records).items() if n != "coupling"
    )


def test_five_coupled_students_are_coupled_and_five_others_are_not():
    # Each loses accuracy and, where coupled, violates the more.
    lost = [0.0, 0.1, 0.2, 0.3, 0.4]

    def students(v_of):
        return {
            role: drawn(10 + i, accuracy=0.9 - x, v_right=v_of(x), v_wrong=v_of(x))
            for i, (role, x) in enumerate(zip(student_roles(5), lost, strict=True))
        }

    teacher = {"teacher": drawn(0, accuracy=0.9)}
    coupled = hypotheses(coupling.measure(teacher | students(lambda x: 0.05 + x)))["coupling"]
    assert (coupled.outcome, coupled.n_students) == ("supported", 5)
    other = hypotheses(coupling.measure(teacher | students(lambda x: 0.45 - x)))["coupling"]
    assert other.outcome == "not supported"


def family(own, plain, **teachers):
    """Both teachers alike, students as given: keyword arguments of `drawn` by student."""
    made = {"teacher": drawn(0, accuracy=0.9), "plain-teacher": drawn(1, accuracy=0.9)} | teachers
    for prefix, given in (("student", own), ("plain-student", plain)):
        for i, kw in enumerate(given):
            role = prefix if i == 0 else f"{prefix}-{i + 1}"
            made[role] = drawn(100 * len(prefix) + i, **kw)
    return hypotheses(coupling.measure(made))


def loses(x, v=0.05):
    return {"accuracy": 0.9 - x, "v_right": v, "v_wrong": v}


COUPLED = [loses(x, 0.05 + 2 * x) for x in (0.0, 0.15, 0.3)]
UNCOUPLED = [loses(x) for x in (0.0, 0.15, 0.3)]


def test_h1_a_steeper_slope():
    found = family(COUPLED, UNCOUPLED)["H1"]
    assert found.outcome == "supported" and found.ci_low_estimate > 0
    assert family(UNCOUPLED, COUPLED)["H1"].outcome == "not supported"
    assert family(COUPLED[:2], UNCOUPLED)["H1"].outcome == "not run"


def test_h2_wider_gaps_of_output_only_students():
    hurt = {"accuracy": 0.9, "long_accuracy": 0.6, "perturbed_loss": 0.2}
    assert family([hurt], [loses(0)])["H2"].outcome == "supported"
    assert family([loses(0)], [hurt])["H2"].outcome == "not supported"
    # One gap alone is not enough.
    assert family([hurt | {"perturbed_loss": 0.0}], [loses(0)])["H2"].outcome == "not supported"
    # Alone it is held against its own teacher; of what learnt from internals nothing is asked.
    given = {"teacher": drawn(0, accuracy=0.9), "student": drawn(1, **hurt)}
    assert hypotheses(coupling.measure(given))["H2"].outcome == "supported"
    inner = hypotheses(coupling.measure(given, frozenset({"student"})))["H2"]
    assert (inner.outcome, inner.reasons) == (
        "not run",
        "no student that learnt from outputs alone",
    )


def test_h3_less_accuracy_and_no_more_of_r():
    found = family([loses(0.3)], [loses(0)])["H3"]
    assert found.outcome == "supported" and found.ci_high_estimate < 0
    assert found.estimate == pytest.approx(-0.3, abs=0.06)
    assert family([loses(0)], [loses(0)])["H3"].outcome == "not supported"
    # Less accurate, but higher proxies: that was paid for something.
    dearer = family([loses(0.3, 0.0)], [loses(0, 0.9)])["H3"]
    assert dearer.outcome == "not supported"
    apart = family([loses(0.3)], [loses(0)], **{"plain-teacher": drawn(1, accuracy=0.7)})["H3"]
    assert apart.outcome == "not run" and "not matched" in apart.reasons


def test_h4_smaller_distance_in_r():
    found = family([loses(0)], [loses(0, 0.6)])["H4"]
    assert found.outcome == "supported" and found.ci_high_estimate < 0
    assert family([loses(0, 0.6)], [loses(0)])["H4"].outcome == "not supported"
    far = family([loses(0.4)], [loses(0)])["H4"]
    assert (far.outcome, far.reasons) == ("not run", "0 and 1 students with delta K <= 0.05")


def test_no_hypothesis_is_supported_by_copies():
    found = family([loses(0)] * 3, [loses(0)] * 3)
    assert "supported" not in {one.outcome for name, one in found.items() if name != "coupling"}


def test_without_a_plain_teacher_three_are_not_run():
    found = hypotheses(coupling.measure({"teacher": drawn(0), "student": drawn(1)}))
    for name in ("H1", "H3", "H4"):
        assert found[name].outcome == "not run" and "no plain teacher" in found[name].reasons
    assert found["H2"].outcome == "not supported"


def test_the_plan_names_what_can_change_a_number():
    def planned(**over):
        given = {
            "models": {"teacher": "t", "student": "s"}, "inputs": {"teacher": "1", "student": "2"},
            "prompts": ("set", "5e7"), "from_internals": frozenset[str](),
            "thresholds": coupling.Thresholds(),
        } | over  # fmt: skip
        return coupling.plan(**given).measurement_id

    changed = [
        planned(models={"teacher": "t", "student": "u"}),
        planned(inputs={"teacher": "1", "student": "3"}),
        planned(from_internals=frozenset({"student"})),
        planned(thresholds=coupling.Thresholds(epsilon_k=0.1)),
    ]
    assert len({planned(), *changed}) == 5
    assert np.unique([planned(), planned()]).size == 1
