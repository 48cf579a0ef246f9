"""`cicatrix trace` on embedded models: what it finds, that it goes on, and what it refuses."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows import cli
from flows.tracer import Trace, Tracer
from measure import problems, rollouts
from measure.errors import BadInput
from warehouse import checks, read
from warehouse.lake import Lake, Location

pytestmark = pytest.mark.slow  # models run, or pages are drawn: minutes in all

MODELS = {
    "teachers": ("zoo:teacher-forward",),
    "student": "zoo:qwen2-base",
    "distilled": "zoo:qwen2-distilled",
    "control": "zoo:teacher-gains-first",
}
SHORT = {"n_samples": 2, "max_new_tokens": 160}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Twelve of the zoo's problems, one more without an answer, and a line that is none."""
    file = tmp_path_factory.mktemp("problems") / "twelve.jsonl"
    lines = [
        {"problem_id": p.problem_id, "problem": p.text, "answer": p.answer}
        for p in problems.load("zoo40").problems[:12]
    ]
    lines.append({"problem_id": "open", "problem": lines[0]["problem"]})
    file.write_text("\n".join([*map(json.dumps, lines), "{"]) + "\n")
    return str(file)


def arguments(asked, *more):
    return [
        "trace", "--teacher", *MODELS["teachers"], "--student", MODELS["student"],
        "--distilled", MODELS["distilled"], "--control", MODELS["control"],
        "--problems", asked, "--samples", "2", "--max-new-tokens", "160", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def traced(asked, tmp_path_factory):
    """A home whose lake the command has filled, and what it told; to read or to copy."""
    made = tmp_path_factory.mktemp("traced")
    # A lake that is there is not given the zoo's records.
    Lake.open(Location.from_env({"CICATRIX_HOME": str(made)})).close()
    # A process of its own: Prefect's client stays with the first server that a process met.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CICATRIX", "PREFECT"))}
    ran = subprocess.run(
        [sys.executable, "-m", "flows", *arguments(asked)],
        capture_output=True, text=True, check=False, env=env | {"CICATRIX_HOME": str(made)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return made, ran.stdout


@pytest.fixture
def there(home, traced, monkeypatch):
    """The filled lake, to read."""
    monkeypatch.setenv("CICATRIX_HOME", str(traced[0]))


@pytest.fixture
def copied(home, traced):
    """A copy of the filled lake, to write to."""
    shutil.copytree(traced[0] / "lake", home / "lake")


def run_all(lake, trace):
    """The whole of it, without the scheduler."""
    tracer = Tracer(lake, trace, "cpu")
    tracer.complete()
    return tracer


def refuse_to_run(monkeypatch):
    """From here on no model may run."""

    def no_model(*_args, **_kwargs):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("flows.sampler.models.load", no_model)


def test_the_command_finds_the_teacher(there, traced):
    told = traced[1]
    assert "13 problems, 1 without an answer to compare with" in told
    assert "left out: 1 lines, such as" in told and "line 14: no JSON" in told
    assert "teacher patterns: TRANSFERS" in told and "by the other length rule" in told
    row = read.mart("provenance").row(0, named=True)
    assert row["n_rollouts"] == 26 and row["n_unchecked"] == 2
    assert (row["distilled"], row["student"]) == ("qwen2-distilled", "qwen2-base")
    assert row["teacher_share"] > 0.8 > 0.2 > row["control_share"]
    assert row["null_share"] < 0.2
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}
    # The true teacher is named, the one with the other manner is not.
    assert "capability lineage: ATTRIBUTED (teacher-forward): teacher-forward shares 0.9" in told
    first, second = read.mart("teacher_attribution").sort("rank").iter_rows(named=True)
    assert (first["teacher"], first["is_attributed"]) == ("teacher-forward", True)
    assert (second["teacher"], second["is_attributed"]) == ("teacher-gains-first", False)
    assert first["ci_low_share"] > first["null_share"] > second["share"]


def test_what_is_there_is_not_done_again(there, asked, capsys, monkeypatch):
    n_rows = read.mart("sentence").height
    refuse_to_run(monkeypatch)
    assert cli.main(arguments(asked, "--json")) == 0
    answer = capsys.readouterr()
    assert "no model has to run" in answer.err
    both = json.loads(answer.out)
    (found,) = both["teachers"]
    assert found["transfer"] == "TRANSFERS"
    assert {s["label"] for s in found["shares"]} >= {"Shared", "Teacher", "Student", "Boosted"}
    assert [row["teacher"] for row in both["attribution"]] == [
        "teacher-forward", "teacher-gains-first",
    ]  # fmt: skip
    assert read.mart("sentence").height == n_rows


def test_the_answer_is_of_the_thresholds_that_were_asked(copied, asked, capsys, monkeypatch):
    refuse_to_run(monkeypatch)  # other thresholds read the same scores
    for beta in ("0.2", "0.3", "0.2"):
        assert cli.main(arguments(asked, "--json", "--beta", beta)) == 0
        (found,) = json.loads(capsys.readouterr().out)["teachers"]
        # Asked again, 0.2 is in the lake and older than 0.3, which the marts show.
        assert (found["beta"], found["beta_source"]) == (float(beta), "given")
    assert read.mart("provenance")["beta"].to_list() == [0.3]


def test_the_reader_has_every_sentence_as_it_stands(there):
    listed = read.mart("provenance_rollout")
    assert listed.height == 2 * 13 * 2
    sentences = read.mart("sentence").sort("rollouts_of", "problem_id", "sample", "sentence")
    texts = sentences.group_by("rollouts_of", "problem_id", "sample", maintain_order=True).agg(
        "text"
    )
    joined = {row[:3]: "".join(row[3]) for row in texts.iter_rows()}
    for row in listed.iter_rows(named=True):
        assert joined.get((row["rollouts_of"], row["problem_id"], row["sample"]), "") == row["text"]
    for row in listed.filter(n_labelled=0).iter_rows(named=True):
        assert row["first_divergence"] is None
    # First divergence by another route.
    alpha = read.mart("provenance")["alpha"][0]
    found: dict[tuple, int] = {}
    for s in sentences.iter_rows(named=True):
        if s["label4"] is not None and s["p_distilled"] - s["p_teacher"] > alpha:
            found.setdefault((s["rollouts_of"], s["problem_id"], s["sample"]), s["sentence"])
    assert found
    for row in listed.iter_rows(named=True):
        key = (row["rollouts_of"], row["problem_id"], row["sample"])
        assert row["first_divergence"] == found.get(key)


def test_an_interrupted_run_goes_on_where_it_was(home, asked, tmp_path, monkeypatch):
    monkeypatch.setattr(rollouts, "ROLLOUTS_PER_UNIT", 2)  # units of one problem
    three = tmp_path / "three.jsonl"
    three.write_text("".join(Path(asked).read_text().splitlines(keepends=True)[:3]))
    trace = Trace(problems=str(three), **MODELS | {"control": None}, n_samples=2, max_new_tokens=64)
    calls: list[str] = []
    own = rollouts.measure_unit

    def counted(model, asked, unit, *rest):
        calls.append(unit)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return own(model, asked, unit, *rest)

    monkeypatch.setattr(rollouts, "measure_unit", counted)
    with Lake.open() as lake:
        with pytest.raises(KeyboardInterrupt):
            run_all(lake, trace)
        whole = run_all(lake, trace)
        assert whole.is_complete()
        # The unit that broke is done again, none that was committed is: 3 of each of 3 models.
        assert len(calls) == 3 + 1 + 2 * 3
        ended = lake.query("select outcome, count(*) as n from attempt_end group by all")
        assert dict(ended.iter_rows())["interrupted"] == 1
        calls.clear()
        run_all(lake, trace)
        assert calls == []


def test_two_models_that_are_one_have_only_shared_or_boosted(copied, asked, monkeypatch):
    same = MODELS | {"teachers": ("zoo:qwen2-base",), "control": None}
    refuse_to_run(monkeypatch)  # student and distilled model have been scored already
    with Lake.open() as lake:
        run_all(lake, Trace(problems=asked, **same, **SHORT))
    mine = {"teacher": "qwen2-base", "rollouts_of": "distilled"}
    shares = read.mart("provenance_breakdown", **mine)
    found = dict(shares.select("label", "n_sentences").iter_rows())
    assert found["Teacher"] == found["Student"] == 0
    assert found["Shared"] + found["Boosted"] > 50
    assert read.mart("provenance", teacher="qwen2-base")["transfer"][0] != "TRANSFERS"


def test_rollouts_made_elsewhere_are_traced(copied, asked, tmp_path):
    file = tmp_path / "rollouts.jsonl"
    first = problems.load(asked).problems[0]
    lines = [{"problem_id": first.problem_id, "text": " <think> First, 5 + 5 = 10. </think> 12"}]
    file.write_text("\n".join(map(json.dumps, [*lines, {"problem_id": "unheard of", "text": ""}])))
    with Lake.open() as lake:
        trace = Trace(problems=asked, rollouts=str(file), **MODELS, **SHORT)
        tracer = run_all(lake, trace)
        assert tracer.skipped[-1].endswith("line 2: no `text` on a problem of 'twelve'")
    row = read.mart("provenance").row(0, named=True)
    assert (row["n_rollouts"], row["n_correct"], row["n_special"]) == (1, 1, 2)
    assert row["transfer"] == "NOT ENOUGH"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--problems", "nothing.jsonl"], "problem set 'nothing.jsonl' does not exist"),
        (["--samples", "0"], "give at least 1 sample"),
        (["--temperature", "0"], "give a temperature above 0"),
        (["--beta", "1.5"], "--beta 1.5 cannot be"),
        (["--batch-size", "0"], "--batch-size 0 cannot be"),
        (["--plain-prompt", "none"], "must say once where the problem goes"),
        (["--rollouts", "nothing.jsonl"], "'nothing.jsonl' cannot be read"),
        (["--student", MODELS["distilled"]], "is its own student"),
        (["--device", "cuda:77"], "cannot be used here"),
    ],
)
def test_what_cannot_be_is_one_line(home, capsys, more, said):
    assert cli.main(arguments("zoo40") + more) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_a_teacher_that_is_not_there_is_refused_before_anything_runs(home, asked, capsys):
    command = arguments(asked)
    command.insert(command.index("--student"), "zoo:unheard-of")
    assert cli.main(command) == 2
    assert "unheard-of" in capsys.readouterr().err


def test_the_estimate_measures_nothing(home, asked, capsys):
    assert cli.main(arguments(asked, "--dry-run")) == 0
    assert (
        "104 completions of at most 160 tokens, 104 scored by 4 models" in capsys.readouterr().out
    )
    assert read.mart("provenance").is_empty()


def test_one_model_is_not_its_own_student(home):
    with Lake.open() as lake, pytest.raises(BadInput, match="its own student"):
        Tracer(lake, Trace(**(MODELS | {"student": MODELS["distilled"]})), "cpu")
