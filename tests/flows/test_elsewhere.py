"""A trace on a machine with torch alone, taken here: the same records as one that ran here."""

import json
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from flows import cli
from flows.tracer import Trace, Tracer
from measure import __main__ as alone
from measure import models, problems, traces
from tests.conftest import write_model
from warehouse import checks, read
from warehouse.lake import Lake, Location

pytestmark = pytest.mark.slow  # models run, or pages are drawn: minutes in all

TABLES = (
    "rollout", "sentence_score", "provenance_sentence", "provenance_share", "provenance_area",
    "provenance_summary", "attribution_candidate", "attribution",
)  # fmt: skip
SAMPLING = {"max_new_tokens": 40, "temperature": 1.0}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Eleven problems, one of them without an answer, and a line that is none."""
    file = tmp_path_factory.mktemp("problems") / "sums.jsonl"
    lines = [{"problem_id": f"p{i}", "problem": f"{i} + 1?", "answer": i + 1} for i in range(10)]
    lines.append({"problem_id": "open", "problem": "Why?"})
    file.write_text("\n".join([*map(json.dumps, lines), "{"]))
    return str(file)


@pytest.fixture(scope="module")
def request_of(asked, model_folder):
    """Models by role with random weights, and few short samples."""
    names = ("teachers", "student", "distilled", "control")
    refs = dict(zip(names, (str(model_folder("llama", seed)) for seed in range(4)), strict=True))
    return {**refs, "teachers": [refs["teachers"]], "problems": asked, "samples": 2, **SAMPLING}


@pytest.fixture(scope="module")
def written(request_of, tmp_path_factory):
    """The file that `python -m measure` writes of it."""
    folder = tmp_path_factory.mktemp("elsewhere")
    return write(folder, request_of)


def write(folder, request, code=0):
    path, out = folder / "request.json", folder / "out.jsonl"
    path.write_text(json.dumps(request))
    assert alone.main([str(path), "--out", str(out)]) == code
    return out


def here(request, home):
    """The same traced here, without the scheduler."""
    options = {k: v for k, v in request.items() if k != "samples"}
    with Lake.open(Location.from_env({"CICATRIX_HOME": str(home)})) as lake:
        Tracer(lake, Trace(**options, n_samples=request["samples"]), "cpu").complete()


def tables(home):
    location = Location.from_env({"CICATRIX_HOME": str(home)})
    frames = {name: read.table(name, location) for name in TABLES}
    return {name: sorted(frame.rows(), key=repr) for name, frame in frames.items()}


def test_what_is_taken_is_what_is_traced_here(home, request_of, written, tmp_path, capsys):
    assert cli.main(["take", str(written)]) == 0
    assert "2 labellings and rankings computed" in capsys.readouterr().out
    here(request_of, tmp_path / "other")
    taken, traced = tables(home), tables(tmp_path / "other")
    assert {name: len(rows) for name, rows in taken.items() if not rows} == {}
    assert taken == traced
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}
    # It is all there: no model has to run here, and taking it again adds nothing.
    models_, options = ["--teacher", *request_of["teachers"]], ["--samples", "2"]
    for role in ("student", "distilled", "control", "problems"):
        models_ += [f"--{role}", request_of[role]]
    options += ["--max-new-tokens", "40", "--temperature", "1"]
    assert cli.main(["trace", *models_, *options]) == 0
    assert "no model has to run" in capsys.readouterr().out
    assert cli.main(["take", str(written)]) == 0
    assert "took 0 units (0 records), 20 were there" in capsys.readouterr().out


def test_a_file_that_was_torn_is_taken_up_again(request_of, written, tmp_path):
    whole = written.read_bytes()
    out = tmp_path / "out.jsonl"
    out.write_bytes(whole[: len(whole) // 2])
    kept = whole[: len(whole) // 2].rpartition(b"\n")[0] + b"\n"
    write(tmp_path, request_of)
    again = out.read_bytes()
    assert again.startswith(kept)

    def content(text):
        lines = map(json.loads, text.decode().splitlines())
        return [{k: v for k, v in line.items() if k != "duration_s"} for line in lines]

    # A model that goes on says again who it is, which the file knows already.
    assert content(again) == content(whole)
    write(tmp_path, request_of)
    assert out.read_bytes() == again


def test_answers_are_read_here_where_nothing_could_read_them_there(
    home, request_of, written, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "math_verify", None)
    out = write(tmp_path, request_of)
    assert problems.UNREAD in out.read_text()
    monkeypatch.delitem(sys.modules, "math_verify")
    assert cli.main(["take", str(out)]) == 0
    unread = tables(home)
    monkeypatch.setenv("CICATRIX_HOME", str(tmp_path / "other"))
    assert cli.main(["take", str(written)]) == 0
    assert unread == tables(tmp_path / "other")


def test_a_teacher_that_fails_leaves_the_others(home, request_of, tmp_path, capsys):
    broken = write_model(tmp_path / "broken", seed=9)
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    few = request_of | {"samples": 1, "control": None}
    out = write(tmp_path, few | {"teachers": [str(broken), *request_of["teachers"]]}, code=1)
    assert "NaN or infinite weights" in capsys.readouterr().err
    assert cli.main(["take", str(out)]) == 0
    assert "1 failures noted" in capsys.readouterr().out
    assert read.mart("provenance").height == read.mart("teacher_attribution").height == 1
    # Without the student nothing can be said of anybody.
    without = tmp_path / "without"
    without.mkdir()
    out = write(without, few | {"student": str(broken)}, code=1)
    assert '"line": "trace"' not in out.read_text()


@pytest.mark.parametrize("what", ["scores", "rollouts"])
def test_a_trace_that_names_what_is_not_its_own_is_refused(home, written, tmp_path, capsys, what):
    lines = [json.loads(line) for line in written.read_text().splitlines()]
    trace = lines[-1]
    if what == "scores":
        first, second = trace["scores"][:2]
        first[2], second[2] = second[2], first[2]
    else:
        one, other = list(trace["rollouts"])[:2]
        trace["rollouts"][one] = trace["rollouts"][other]
    file = tmp_path / "changed.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert cli.main(["take", str(file)]) == 2
    (said,) = capsys.readouterr().err.strip().splitlines()
    assert f"line {len(lines)}: {what} '" in said and "give the file of its --out" in said


def test_out_of_memory_starts_again_at_half_the_batch(home, request_of, tmp_path, monkeypatch):
    own = models.CausalLM.token_logprobs

    def small(model, states, tokens):
        if len(tokens) > 400:
            raise torch.OutOfMemoryError("no room")
        return own(model, states, tokens)

    monkeypatch.setattr(models.CausalLM, "token_logprobs", small)
    out = write(tmp_path, request_of | {"control": None})
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {line["line"] for line in lines} >= {"discard", "trace"}
    assert cli.main(["take", str(out)]) == 0
    assert read.mart("provenance").height == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"teachers": "one"}, "teachers 'one' is no list of models"),
        ({"teachers": []}, "teachers [] is no list of models"),
        ({"samples": 0}, "give at least 1 sample"),
        ({"samples": "many"}, "samples 'many' cannot be: give such as 16"),
        ({"seed": True}, "seed True cannot be"),
        ({"top_p": 2}, "give a temperature above 0"),
        ({"alpha": 3}, "alpha 3 cannot be: give one between 0 and 1"),
        ({"beta": "big"}, "beta 'big' cannot be"),
        ({"length_rule": "long"}, "length_rule 'long' is none of"),
        ({"batch_size": 0}, "batch_size 0 is under 1"),
        ({"dtype": "int3"}, "dtype 'int3' is unknown"),
        ({"device": "cuda:77"}, "'cuda:77' cannot be used here"),
        ({"problems": "nowhere.jsonl"}, "'nowhere.jsonl' does not exist"),
        ({"rollouts": "nowhere.jsonl"}, "'nowhere.jsonl' cannot be read"),
        ({"plain_prompt": "none"}, "must say once where the problem goes"),
        ({"control": "zoo:unheard-of"}, "unheard-of"),
        ({"bank": "bank512"}, "unknown key 'bank'"),
    ],
)
def test_a_request_that_cannot_be_is_one_line(request_of, tmp_path, capsys, change, said):
    path = tmp_path / "request.json"
    path.write_text(json.dumps(request_of | change))
    assert alone.main([str(path), "--out", str(tmp_path / "out.jsonl")]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_a_model_is_not_its_own_student(request_of, tmp_path, capsys):
    with pytest.raises(models.BadInput, match="its own student"):
        traces.parse(request_of | {"student": request_of["distilled"]})
