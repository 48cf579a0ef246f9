"""What a repository is, told without its weights; teachers as claims; cards as notes."""

import pytest

from measure.candidates import (
    Limits,
    card_note,
    claims,
    files_sha256,
    parameters_of,
    quantisation_of,
    state_of,
    why_not_applied,
)
from measure.hub import RemoteFile, Repository

LIMITS = Limits(max_params=1_000, max_download_bytes=10_000)
LLAMA = {"architectures": ["LlamaForCausalLM"], "torch_dtype": "bfloat16"}


def repository(*names, size=1_000, **over):
    names = names or ("model.safetensors", "config.json")
    files = tuple(
        RemoteFile(name=n, size=size, sha256="ab" if n.endswith("tensors") else None, git_sha1=None)
        for n in names
    )
    said = {
        "repo": "org/name", "sha": "0" * 40, "created_at": None, "modified_at": None,
        "is_gated": False, "is_disabled": False, "licence": "mit", "datasets": (), "tags": (),
        "n_params": None, "files": files,
    }  # fmt: skip
    return Repository(**said | over)


def state(found, config=LLAMA, relation="finetune", limits=LIMITS, may_read=True):
    return state_of(found, relation, config, limits, may_read=may_read)


def test_a_decoder_within_limits_is_queued():
    # 1,000 bytes of bf16 are 500 parameters.
    assert parameters_of(repository(), LLAMA) == 500
    assert state(repository()) == ("queued", None)


@pytest.mark.parametrize(
    ("found", "config", "wanted", "said"),
    [
        (repository("model.gguf", "a.bin"), LLAMA, "no safetensors", "it holds bin, gguf"),
        (repository("onnx/model.safetensors"), LLAMA, "no safetensors", "safetensors"),
        (repository(size=6_000), LLAMA, "too large", "GB, over"),
        (repository(n_params=2_000), LLAMA, "too large", "B parameters"),
        (repository(is_disabled=True), LLAMA, "unsupported", "disabled"),
        (repository("a/../../b.json"), LLAMA, "unsupported", "outside of its folder"),
        (repository(), None, "unsupported", "no config.json"),
        (repository(), LLAMA | {"auto_map": {"A": "b"}}, "unsupported", "its own code"),
        (repository(), {"architectures": ["BertModel"]}, "unsupported", "no decoder"),
        (
            repository(), LLAMA | {"quantization_config": {"quant_method": "aqlm"}},
            "unsupported", "needs the package 'aqlm'",
        ),
        (
            repository(), LLAMA | {"quantization_config": {"quant_method": "new"}},
            "unsupported", "nothing here can load",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_says_why(found, config, wanted, said):
    answer, reason = state(found, config)
    assert answer == wanted and said in (reason or "")


def test_a_licence_that_is_not_on_the_list_is_seen_and_left():
    limits = Limits(max_params=1_000, max_download_bytes=10_000, licences=("apache-2.0",))
    assert state(repository(), limits=limits)[0] == "seen"
    assert state(repository(licence=None), limits=limits)[1] == (
        "its licence is not named, not on the watchlist"
    )
    assert state(repository(licence="apache-2.0"), limits=limits)[0] == "queued"


def test_gated_comes_before_what_only_its_files_could_tell():
    assert state(repository(), None, may_read=False)[0] == "gated"


def test_only_adapters_of_plain_low_ranks_are_applied():
    lora = {"peft_type": "LORA", "r": 2}
    assert why_not_applied(lora) is None
    assert state(repository(), lora, relation="adapter") == ("queued", None)
    assert "IA3" in (why_not_applied({"peft_type": "IA3"}) or "")
    assert "DoRA" in (why_not_applied(lora | {"use_dora": True}) or "")
    assert "biases" in (why_not_applied(lora | {"bias": "all"}) or "")
    assert "whole modules" in (why_not_applied(lora | {"modules_to_save": ["lm_head"]}) or "")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, None),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "gptq 4-bit"),
        (
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
            "bitsandbytes 8-bit",
        ),
        ({"quantization_config": {"quant_method": "fp8"}}, "fp8"),
    ],
)
def test_quantised_weights_are_called_what_they_are(config, said):
    assert quantisation_of(config) == said


def test_the_same_weights_have_the_same_hash_whatever_stands_beside_them():
    one = files_sha256(repository("model.safetensors", "config.json"))
    assert one == files_sha256(repository("model.safetensors", "README.md"))
    assert one != files_sha256(repository("a.safetensors"))
    assert files_sha256(repository("config.json")) is None


def test_claims_are_read_where_they_stand():
    card = "---\nlicense: mit\nbase: gpt-4\n---\nDistilled from acme/Sage-70B. I like Gemini.\n"
    found = claims("org/tiny-QwQ", ["claude", "base_model:o1/x"], ["org/r1-traces"], card)
    assert {(c.teacher, c.read_in) for c in found} == {
        ("QwQ-32B", "name"), ("Claude", "tag"), ("DeepSeek-R1", "dataset"),
        ("acme/Sage-70B", "card"),
    }  # fmt: skip
    assert next(c.quote for c in found if c.read_in == "card") == "Distilled from acme/Sage-70B."


def test_no_card_claims_nothing():
    assert claims("org/llama-math", [], [], None) == []
    assert card_note(None) is None and card_note("---\na: b\n---\n") is None


def test_a_note_is_one_line_of_the_text():
    assert card_note("---\na: b\n---\n# T\n\nfirst\nsecond") == "# T first second"
    assert len(card_note("x" * 5_000) or "") == 600
