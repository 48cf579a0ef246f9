"""`cicatrix select` on embedded models: what is written, and what is refused at once."""

import json
import shutil
from collections import Counter

import pytest

from flows import cli, selecting
from measure import problems, selection, zoo
from measure.errors import BadInput
from measure.selection import CRITERIA

TEACHER, STUDENT = "zoo:teacher-forward", "zoo:qwen2-base"


def run(out, *more, teacher=TEACHER, student=STUDENT):
    few = ["--problems", "zoo-train4", "--samples", "3", "--max-new-tokens", "128"]
    return cli.main(
        ["select", "--teacher", teacher, "--student", student, "--out", str(out), *few, *more]
    )


def lines(out):
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()]


def test_a_file_is_ready_to_train_on(home, tmp_path, capsys):
    out = tmp_path / "chosen.jsonl"
    assert run(out) == 0
    asked = {p.problem_id: p for p in problems.load("zoo-train4").problems}
    found = lines(out)
    assert found and len({line["problem_id"] for line in found}) == len(found)
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
    said = capsys.readouterr().out
    for beta in selection.REPORTED_BETAS:
        assert f"at beta {beta:.2f}: " in said
    assert f"of 12 responses are candidates, on {len(found)} of 4 questions" in said
    assert not (home / "lake").exists()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["chosen.jsonl"]


def test_criteria_choose_of_one_pool(home, tmp_path):
    """The same seed samples the same responses: the longest are no shorter than any others."""
    lengths = {}
    for criterion in ("longest", "min-count"):
        assert run(tmp_path / criterion, "--criterion", criterion, "--beta", "0.1") == 0
        lengths[criterion] = {
            line["problem_id"]: line["n_student_tokens"] for line in lines(tmp_path / criterion)
        }
    longest, fewest = lengths.values()
    assert longest.keys() == fewest.keys()
    assert all(longest[problem] >= fewest[problem] for problem in longest)
    assert sum(longest.values()) > sum(fewest.values())


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


def test_what_exists_is_written_anew_only_by_force(home, tmp_path, capsys):
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
    assert run(out, "--problems", str(asked)) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "3 not answered right" in said and "`--keep-wrong`" in said
    assert not out.exists()
    assert run(out, "--problems", str(asked), "--keep-wrong") == 0
    (line,) = lines(out)
    assert not line["is_correct"]
    assert "1 lines were no problem: line 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--samples", "0"], "0 samples"),
        (["--temperature", "0"], "temperature 0"),
        (["--beta", "2"], "beta 2.0 is not between"),
        (["--batch-size", "0"], "batch size 0"),
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
