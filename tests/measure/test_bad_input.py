"""Each bad model gets one line that says what was given, what was wanted and what to do."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from measure import models, prompts, sources
from measure.errors import BadInput
from measure.request import parse_seeds


@pytest.fixture
def folder(model_folder, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(model_folder("llama"), tmp_path / "model")


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(folder):
    with pytest.raises(BadInput) as caught:
        models.load(sources.find(str(folder)), device="cpu")
    line = str(caught.value)
    assert "\n" not in line and ":" in line
    assert str(folder) in line
    return line


def test_a_folder_without_safetensors(folder):
    (folder / "model.safetensors").unlink()
    assert "holds no safetensors file: give a folder with config.json" in refusal(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl"])
def test_a_pickle_checkpoint(folder, name):
    (folder / "model.safetensors").rename(folder / name)
    assert "holds only pickle checkpoints" in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_model_with_code_of_its_own(folder, name):
    edit_json(folder / name, auto_map={"AutoModelForCausalLM": "evil.Model"})
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    assert f"`auto_map` in {name}" in refusal(folder)


def test_nan_weights(folder):
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "NaN or infinite weights in 'model.layers.1.mlp.up_proj.weight'" in refusal(folder)


@pytest.mark.parametrize("keep", [4, 100, 5_000, -1])
def test_a_truncated_safetensors_file(folder, keep):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:keep])
    assert "is damaged or cut short" in refusal(folder)


def test_a_missing_tensor_is_not_filled_at_random(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.0.self_attn.q_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "(1 tensors missing, 0 of another shape" in refusal(folder)


def test_a_tensor_of_another_shape(folder):
    edit_json(folder / "config.json", intermediate_size=48)
    assert "weight files do not hold what its configuration wants" in refusal(folder)


def test_a_missing_shard(folder):
    index = {"metadata": {}, "weight_map": {"a": "model.safetensors", "b": "gone.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "lacks 'gone.safetensors'" in refusal(folder)


def test_a_tokenizer_that_does_not_fit_the_vocabulary(folder):
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"]["zz"] = 400
    (folder / "tokenizer.json").write_text(json.dumps(content))
    assert "token ids up to 400, its model only 257 embeddings" in refusal(folder)


def test_a_damaged_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{}")
    assert "the tokenizer of" in refusal(folder)


def test_an_encoder_only_model(folder):
    edit_json(folder / "config.json", architectures=["BertForMaskedLM"], model_type="bert")
    assert "is 'BertForMaskedLM', no decoder" in refusal(folder)


def test_an_encoder_under_a_decoders_name(folder):
    edit_json(folder / "config.json", architectures=["BertLMHeadModel"], model_type="bert")
    assert "no decoder that continues a text" in refusal(folder)


def test_an_encoder_decoder(folder):
    edit_json(folder / "config.json", architectures=["T5ForConditionalGeneration"])
    assert "no decoder" in refusal(folder)


def test_an_unknown_architecture(folder):
    edit_json(folder / "config.json", architectures=["XForCausalLM"], model_type="never-heard-of")
    assert "could not be loaded by transformers" in refusal(folder)


def test_a_configuration_that_is_no_json(folder):
    (folder / "config.json").write_text("{")
    assert "'config.json' is no valid JSON" in refusal(folder)


def test_a_folder_without_configuration(folder):
    (folder / "config.json").unlink()
    assert "has no config.json" in refusal(folder)


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("./not/here", "is no folder on this machine"),
        ("../x", "is no folder on this machine"),
        ("org/../../etc", "is no folder on this machine"),
        ("gone.gguf", "does not exist"),
        ("no such name", "is neither a folder"),
        ("zoo:unheard-of", "unheard-of"),
    ],
)
def test_references_to_nothing(tmp_path, monkeypatch, ref, said):
    monkeypatch.chdir(tmp_path)  # beside which nothing lies
    with pytest.raises(BadInput, match=said):
        sources.find(ref)


def test_a_gguf_file_that_is_none(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"not it")
    with pytest.raises(BadInput, match="GGUF magic number"):
        sources.find(str(tmp_path / "x.gguf"))


@pytest.mark.parametrize("seed", ["one", "1.5", "-1", True, "", None])
def test_a_seed_that_is_no_number(seed):
    with pytest.raises(BadInput, match="is not a whole number of 0 or more"):
        parse_seeds([0, seed])


def test_seeds_are_kept_in_order_and_once():
    assert parse_seeds(["2", 0, "2", 123]) == (2, 0, 123)
    with pytest.raises(BadInput, match="no seed was given"):
        parse_seeds([])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("{", "line 1"),
        ('{"text": "no id"}', "line 1"),
        ("[1]", "line 1"),
        ('{"prompt_id": "a", "text": "  "}', "the text of its prompt is empty"),
        ('{"prompt_id": "a", "text": "x"}\n{"prompt_id": "a", "text": "y"}', "the id 'a' twice"),
    ],
)
def test_prompt_sets_that_cannot_be_used(tmp_path, content, said):
    file = tmp_path / "own.jsonl"
    file.write_text(content)
    with pytest.raises(BadInput, match=said):
        prompts.load(str(file))


def test_a_prompt_set_that_does_not_exist():
    with pytest.raises(BadInput, match="give one of bank512, canonical40"):
        prompts.load("bank513")


def test_an_unknown_dtype(model_folder):
    with pytest.raises(BadInput, match="dtype 'int3' is unknown"):
        models.load(sources.find(str(model_folder())), device="cpu", dtype="int3")
