"""`cicatrix select` on embedded models: what is written, that it goes on, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter

import pytest

from flows import cli, selecting
from flows.selector import Choice, Selector
from flows.tracer import Trace, Tracer
from measure import problems, rollouts, selection, zoo
from measure.errors import BadInput
from measure.selection import CRITERIA
from warehouse import checks, read
from warehouse.lake import Lake, Location

pytestmark = pytest.mark.slow  # models run, or pages are drawn: minutes in all

TEACHER, STUDENT = "zoo:teacher-forward", "zoo:qwen2-base"
FEW = {"problems": "zoo-train4", "n_samples": 3, "max_new_tokens": 128}


def arguments(out, *more, teacher=TEACHER, student=STUDENT):
    few = ["--problems", "zoo-train4", "--samples", "3", "--max-new-tokens", "128"]
    models = ["--teacher", teacher, "--student", student]
    return ["select", *models, "--out", str(out), *few, *more]


def run(out, *more, **models):
    return cli.main(arguments(out, *more, **models))


def complete(**over):
    """Sample and score without the scheduler; the command then needs no model."""
    with Lake.open() as lake:
        Selector(
            lake, Choice(**{"teacher": TEACHER, "student": STUDENT} | FEW | over), "cpu"
        ).complete()


def lines(out):
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def selected(tmp_path_factory):
    """A home whose lake the command has filled, the file it wrote, and what it told."""
    made = tmp_path_factory.mktemp("selected")
    # A lake that is there is not given the zoo's records.
    Lake.open(Location.from_env({"CICATRIX_HOME": str(made)})).close()
    # A process of its own: Prefect's client stays with the first server that a process met.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CICATRIX", "PREFECT"))}
    ran = subprocess.run(
        [sys.executable, "-m", "flows", *arguments(made / "chosen.jsonl")],
        capture_output=True, text=True, check=False, env=env | {"CICATRIX_HOME": str(made)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return made, ran.stdout


@pytest.fixture
def there(home, selected, monkeypatch):
    """The filled lake, to read: no model may run."""
    monkeypatch.setenv("CICATRIX_HOME", str(selected[0]))

    def no_model(*_args, **_kwargs):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("flows.sampler.models.load", no_model)


def test_a_file_is_ready_to_train_on(selected):
    made, said = selected
    asked = {p.problem_id: p for p in problems.load("zoo-train4").problems}
    found = lines(made / "chosen.jsonl")
    # Of each question one, in the order they were asked.
    chosen = [line["problem_id"] for line in found]
    assert found and chosen == [problem_id for problem_id in asked if problem_id in chosen]
    for line in found:
        # What an embedded model has read of questions, and an answer that is right.
        assert line["prompt"] == f"Q: {asked[line['problem_id']].text}\nA:"
        assert line["completion"].startswith(" <think> ")
        answer = line["completion"].rpartition("</think>")[2].strip()
        assert answer == asked[line["problem_id"]].answer and line["is_correct"]
        assert line["criterion"] == "max-count"
        assert 0 < line["n_teacher_sentences"] <= line["n_sentences"] < line["n_student_tokens"]
        assert line["beta"] == 0.10 or line["beta_source"] == "mirror"
        assert line["teacher"] != line["student"]
    for beta in selection.REPORTED_BETAS:
        assert f"at beta {beta:.2f}: " in said
    assert f"of 12 responses are candidates, on {len(found)} of 4 questions" in said
    assert not list(made.glob("*.unfinished"))


def test_responses_and_scores_are_kept(there, selected):
    (sampled,) = lines(selected[0] / "chosen.jsonl")[:1]
    kept = read.table("rollout", measurement_id=sampled["rollouts"])
    assert kept.height == 12 and (kept["is_correct"].sum() or 0) > 0
    (own,) = kept.filter(problem_id=sampled["problem_id"], sample=sampled["sample"])["text"]
    assert own == sampled["completion"]
    methods = read.mart("run").filter(state="complete")["method"].to_list()
    assert sorted(methods) == ["rollout", "sentence_score", "sentence_score"]
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}


def test_criteria_choose_of_one_pool(there, tmp_path, capsys):
    """What was sampled once serves all: the longest are no shorter than any others."""
    lengths = {}
    for criterion in ("longest", "min-count"):
        assert run(tmp_path / criterion, "--criterion", criterion, "--beta", "0.1") == 0
        lengths[criterion] = {
            line["problem_id"]: line["n_student_tokens"] for line in lines(tmp_path / criterion)
        }
    assert capsys.readouterr().out.count("no model has to run") == 2
    longest, fewest = lengths.values()
    assert longest.keys() == fewest.keys()
    assert all(longest[problem] >= fewest[problem] for problem in longest)
    assert sum(longest.values()) > sum(fewest.values())


def test_an_interrupted_selection_goes_on_where_it_was(home, monkeypatch):
    monkeypatch.setattr(rollouts, "ROLLOUTS_PER_UNIT", 3)  # units of one problem
    calls: list[str] = []
    own = rollouts.measure_unit

    def counted(model, asked, unit, *rest):
        calls.append(unit)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return own(model, asked, unit, *rest)

    monkeypatch.setattr(rollouts, "measure_unit", counted)
    with pytest.raises(KeyboardInterrupt):
        complete(max_new_tokens=32)
    complete(max_new_tokens=32)
    assert calls == [f"problems-{i:05d}-{i:05d}" for i in (0, 1, 2, 2, 3)]


def test_what_a_trace_has_sampled_is_not_sampled_again(home, tmp_path, capsys):
    one = {"problems": "zoo-train1", "n_samples": 2, "max_new_tokens": 128, "temperature": 0.6}
    traced = Trace(teachers=(TEACHER,), student=STUDENT, distilled="zoo:qwen2-sft-direct", **one)
    with Lake.open() as lake:
        Tracer(lake, traced, "cpu").complete()
    more = ("--problems", "zoo-train1", "--samples", "2", "--temperature", "0.6", "--keep-wrong")
    assert run(tmp_path / "chosen.jsonl", *more) == 0
    assert "no model has to run" in capsys.readouterr().out
    assert len(lines(tmp_path / "chosen.jsonl")) == 1


def test_responses_made_elsewhere_are_chosen_from(home, tmp_path, capsys):
    first, second = problems.load("zoo-train2").problems
    file = tmp_path / "responses.jsonl"
    made = [
        {"problem_id": first.problem_id, "text": f" <think> We start. </think> {first.answer}"},
        {"problem": second.text, "text": " <think> We start. </think> no idea"},
        {"problem_id": "unheard of", "text": "5"},
    ]
    file.write_text("\n".join(map(json.dumps, made)))
    complete(problems="zoo-train2", rollouts=str(file))
    out = tmp_path / "chosen.jsonl"
    assert run(out, "--problems", "zoo-train2", "--rollouts", str(file)) == 0
    (line,) = lines(out)
    assert (line["problem_id"], line["completion"]) == (first.problem_id, made[0]["text"])
    said = capsys.readouterr().out
    assert "left out: 1 lines" in said and "line 3: no `text` on a problem" in said
    assert "1 of 2 responses are candidates, on 1 of 2 questions" in said


def test_the_command_offers_every_criterion():
    parser = cli._parser()._subparsers._group_actions[0].choices["select"]
    (offered,) = (a.choices for a in parser._actions if "--criterion" in a.option_strings)
    assert offered == CRITERIA


def with_template(folder, member, template):
    shutil.copytree(zoo.member(member).path, folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(config | {"chat_template": template}), "utf-8")
    return str(folder)


def test_chat_models_get_messages_and_the_opening_their_teachers_template_wrote(home, tmp_path):
    asks = "Q: {{ messages[0]['content'] }}\nA:"
    teacher = with_template(tmp_path / "teacher", "teacher-forward", asks + " <think>")
    student = with_template(tmp_path / "student", "qwen2-base", asks)
    complete(teacher=teacher, student=student)
    assert run(tmp_path / "chat.jsonl", teacher=teacher, student=student) == 0
    asked = {p.problem_id: p.text for p in problems.load("zoo-train4").problems}
    found = lines(tmp_path / "chat.jsonl")
    assert found
    for line in found:
        assert line["prompt"] == [{"role": "user", "content": asked[line["problem_id"]]}]
        (reply,) = line["completion"]
        assert reply["role"] == "assistant"
        assert reply["content"].startswith("<think> We start with ")
        assert Counter(reply["content"].split())["<think>"] == 1


def test_a_mark_of_reasoning_in_the_plain_prompt_is_not_written_twice(home, tmp_path):
    more = {"problems": "zoo-train1", "plain_prompt": "Q: {problem}\nA: <think>"}
    complete(**more, only_right=False)
    given = ["--problems", "zoo-train1", "--plain-prompt", more["plain_prompt"], "--keep-wrong"]
    assert run(tmp_path / "open.jsonl", *given) == 0
    (line,) = lines(tmp_path / "open.jsonl")
    assert line["prompt"].endswith("A: <think>") and "<think>" not in line["completion"]


def test_what_exists_is_written_anew_only_by_force(there, tmp_path, capsys):
    out = tmp_path / "chosen.jsonl"
    out.write_text("mine")
    assert run(out) == 2
    assert "`--force`" in capsys.readouterr().err and out.read_text() == "mine"
    assert run(out, "--force") == 0
    assert lines(out)


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()  # made while the models ran
    with pytest.raises(BadInput, match="cannot be written"):
        selecting._write(taken, iter([{"prompt": "Q"}]))
    assert list(tmp_path.iterdir()) == [taken]


def test_nothing_is_written_where_nothing_can_be_chosen(home, tmp_path, capsys):
    asked = tmp_path / "unanswerable.jsonl"
    asked.write_text(json.dumps({"problem": "Ada has 2 pens. How many?", "answer": "777"}) + "\n[]")
    out = tmp_path / "none.jsonl"
    complete(problems=str(asked))
    assert run(out, "--problems", str(asked)) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "3 not answered right" in said and "`--keep-wrong`" in said
    assert not out.exists()
    assert run(out, "--problems", str(asked), "--keep-wrong") == 0
    (line,) = lines(out)
    assert not line["is_correct"]
    assert "left out: 1 lines, such as" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--samples", "0"], "0 samples"),
        (["--temperature", "0"], "temperature 0"),
        (["--beta", "2"], "--beta 2.0 cannot be"),
        (["--batch-size", "0"], "--batch-size 0 cannot be"),
        (["--plain-prompt", "none"], "must say once where the problem goes"),
        (["--rollouts", "nothing.jsonl"], "'nothing.jsonl' cannot be read"),
        (["--teacher", "zoo:unheard-of"], "unheard-of"),
        (["--problems", "nowhere.jsonl"], "'nowhere.jsonl' does not exist"),
        (["--device", "cuda:99"], "'cuda:99' cannot be used"),
        (["--student", TEACHER], "is teacher and student"),
        (["--out", "/nowhere/x.jsonl"], "'/nowhere' is no folder"),
        (["--out", "/", "--force"], "'/' is a folder"),
    ],
)
def test_mistakes_are_told_in_one_line(home, tmp_path, capsys, more, what):
    assert run(tmp_path / "x.jsonl", *more) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and what in said[0]
    assert not (tmp_path / "x.jsonl").exists()
