"""`cicatrix stability` on embedded models: what it stores, that it goes on, and what it refuses."""

import json
import subprocess
import sys

import polars as pl
import pytest

from flows import cli
from flows.stability_run import Assessment, Assessor
from measure import retune, rollouts, step_burdens, variants
from measure.errors import BadInput
from warehouse import checks, read
from warehouse.lake import Lake

pytestmark = pytest.mark.slow  # models run, or pages are drawn: minutes in all

TEACHER, STUDENT, DIRECT = "zoo:teacher-forward", "zoo:qwen2-distilled", "zoo:qwen2-sft-direct"
SHORT = {"problems": "zoo-variants12", "n_samples": 2, "max_new_tokens": 160}
N_TEST = len(variants.load("zoo-variants12").test.problems)
N_CALIBRATION = len(variants.load("zoo-variants12").calibration.problems)


def arguments(*more):
    return [
        "stability", "--teacher", TEACHER, "--students", STUDENT, DIRECT, "--problems",
        "zoo-variants12", "--samples", "2", "--max-new-tokens", "160", *more,
    ]  # fmt: skip


def run_all(lake, **over):
    """The whole of it, without the scheduler."""
    assessor = Assessor(
        lake, Assessment(**{"teacher": TEACHER, "students": [STUDENT], **SHORT, **over}), "cpu"
    )
    assessor.complete()
    return assessor


def test_the_command_measures_and_does_nothing_twice(home, capsys):
    Lake.open().close()  # one that is there is not given the zoo's records
    # A process of its own: Prefect's client stays with the first server that a process met.
    command = [sys.executable, "-m", "flows", *arguments()]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert f"limits from {N_CALIBRATION} clean problems, tested on {N_TEST} problems" in ran.stdout
    assert "publishes no numbers to check it against" in ran.stdout
    assert "H1: not run" in ran.stdout
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}
    students = read.mart("stability_student").sort("role")
    assert students["student"].to_list() == ["qwen2-distilled", "qwen2-sft-direct"]
    # Few stories decide nothing, whatever the numbers.
    assert set(students["proposition"]) == {"NOT ENOUGH"}
    # A student that answers at once has no trajectory, and says so.
    direct = students.row(1, named=True)
    assert direct["components"] == "perturbation, horizon" and direct["load_ratio"] is None
    reasons = read.mart("stability_component").filter(model="qwen2-sft-direct")
    assert "3 sentences or more" in reasons.filter(component="satisfaction")["reason"].item()
    n_steps = read.table("step_burden").height
    assert cli.main(arguments("--json")) == 0
    answer = capsys.readouterr()
    assert "no model has to run" in answer.err
    found = json.loads(answer.out)
    assert {row["hypothesis"] for row in found["hypotheses"]} == {
        "H1",
        "H2",
        "H3",
        "H4",
        "coupling",
    }
    assert len(found["students"]) == 2 and len(found["components"]) == 33
    assert read.table("step_burden").height == n_steps


def test_steps_are_held_against_other_problems_and_the_teacher(home):
    with Lake.open() as lake:
        run_all(lake)
    rows = read.mart("stability_rollout")
    assert rows.group_by("model").len().sort("model")["len"].to_list() == [2 * N_TEST] * 2
    steps = read.mart("stability_step").sort("model", "problem_id", "sample", "t")
    # Each step's sentence stands in the text where it says.
    whole = rows.select("model", "problem_id", "sample", whole="text")
    joined = steps.join(whole, on=["model", "problem_id", "sample"])
    assert joined.height == steps.height > 100
    for row in joined.iter_rows(named=True):
        assert row["text"] == row["whole"][row["char_start"] : row["char_end"]]
    # Both models are held against one set of limits: the teacher's.
    limits = steps.group_by("decile").agg(pl.col("b_limit").n_unique())
    assert set(limits["b_limit"]) == {1}
    tested = set(rows["problem_id"])
    raw = read.table("rollout")
    calibrated = set(raw["problem_id"]) - tested
    assert len(calibrated) == N_CALIBRATION
    stories = {one.split()[0] for one in tested}
    assert not stories & {one.split()[0] for one in calibrated}


def test_an_interrupted_run_goes_on_where_it_was(home, monkeypatch):
    monkeypatch.setattr(rollouts, "ROLLOUTS_PER_UNIT", 16)
    calls: list[str] = []
    own = step_burdens.measure_unit

    def counted(model, texts, unit, *rest):
        calls.append(unit)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return own(model, texts, unit, *rest)

    monkeypatch.setattr(step_burdens, "measure_unit", counted)
    n_units = -(-2 * N_TEST // 16)
    assert n_units > 2
    with Lake.open() as lake:
        with pytest.raises(KeyboardInterrupt):
            run_all(lake)
        assert not run_all(lake).failures
        # The unit that broke is done again, none that was committed is.
        assert len(calls) == 2 * n_units + 1
        calls.clear()
        again = run_all(lake)
        assert calls == [] and again.is_complete() and not again.conclude()


def test_a_plain_family_is_read_against_its_own_teacher(home):
    other = "zoo:teacher-gains-first"
    with Lake.open() as lake:
        run_all(lake, plain_teacher=other, plain_students=["zoo:qwen2-distilled-gains-first"])
    students = dict(read.mart("stability_student").select("student", "teacher").rows())
    assert students == {
        "qwen2-distilled": "teacher-forward",
        "qwen2-distilled-gains-first": "teacher-gains-first",
    }
    found = read.mart("stability_hypothesis").row(0, named=True)
    assert (found["n_students"], found["n_plain_students"]) == (1, 1)
    assert checks.run()["calibrated_on_what_is_tested"].is_empty()


def test_a_fine_tune_leaves_its_mark_beside_the_proxies(home, monkeypatch):
    monkeypatch.setattr(retune, "N_STEPS", 3)
    with Lake.open() as lake:
        assert run_all(lake, retune="zoo-narratives").is_complete()
        assert run_all(lake).is_complete()  # without it: another conclusion, no model has to run
        units = lake.query("select count(*) as n from unit join measurement using (measurement_id) "
                           "where method = 'retune'")  # fmt: skip
        assert units["n"].item() == 2
    rows = read.table("stability_profile").filter(component="retune", role="teacher")
    assert rows["value"].null_count() == 1 and rows.height == 2
    assert rows["reason"].drop_nulls().to_list() == ["no fine-tune was asked for"]
    assert rows["n_problems"].max() == N_TEST // 4  # stories
    assert checks.run()["calibrated_on_what_is_tested"].is_empty()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--problems", "nothing.jsonl"], "problem set 'nothing.jsonl' does not exist"),
        (["--problems", "zoo-variants1"], "1 stories of 'zoo-variants1' leave none for"),
        (["--samples", "0"], "give at least 1 sample"),
        (["--retune", "nothing.jsonl"], "texts 'nothing.jsonl' do not exist"),
        (["--epsilon-k", "2"], "--epsilon-k 2.0 cannot be"),
        (["--plain-prompt", "none"], "must say once where the problem goes"),
        (["--students", STUDENT, TEACHER], "stands twice among a teacher and its students"),
        (["--plain-students", DIRECT], "--plain-students without --plain-teacher"),
        (["--from-internals", "zoo:llama-base"], "is no student here"),
        (["--teacher", "zoo:unheard-of"], "unheard-of"),
        (["--device", "cuda:77"], "cannot be used here"),
    ],
)
def test_what_cannot_be_is_one_line(home, capsys, more, said):
    assert cli.main(arguments() + more) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_a_teacher_that_solves_nothing_is_told_so(home):
    with (
        Lake.open() as lake,
        pytest.raises(BadInput, match="'zoo:gpt2-base' has fewer than 20 steps in right answers"),
    ):
        run_all(lake, teacher="zoo:gpt2-base", students=[STUDENT])


def test_the_estimate_measures_nothing(home, capsys):
    assert cli.main(arguments("--dry-run")) == 0
    n = 2 * (N_TEST + N_CALIBRATION)
    assert f"{3 * n} completions of at most 160 tokens of 3 models" in capsys.readouterr().out
    assert read.mart("stability_student").is_empty()
