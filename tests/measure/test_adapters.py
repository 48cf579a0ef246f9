"""Adapters applied to their base: by hand, as peft merges them, and one that changes nothing."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from measure import adapters
from measure.errors import BadInput

MODULE = "model.layers.0.self_attn.q_proj"


def write(folder, factors, **config):
    folder.mkdir()
    said = {"peft_type": "LORA", "r": 1, "lora_alpha": 3, "bias": "none"} | config
    (folder / adapters.CONFIG).write_text(json.dumps(said))
    save_file(factors, folder / adapters.WEIGHTS)
    return folder


def factors(a, b, module=MODULE):
    name = f"base_model.model.{module}.lora_"
    return {f"{name}A.weight": torch.tensor(a), f"{name}B.weight": torch.tensor(b)}


def tiny_base(tmp_path, name=MODULE):
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    weights = {f"{name}.weight": torch.eye(2, dtype=torch.bfloat16), "other": torch.ones(1)}
    save_file(weights, base / "model.safetensors")
    return base


def merged(tmp_path, adapter, base):
    folder = adapters.merge("a", adapter, base, tmp_path / "merged" / "x")
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 3.0),  # alpha 3 over rank 1
        ({"alpha_pattern": {"q_proj": 5}}, 5.0),
        ({"alpha_pattern": {"proj": 5}}, 3.0),  # a pattern names whole parts of a name
        ({"use_rslora": True}, 3.0),  # the root of 1
    ],
)
def test_by_hand(tmp_path, config, scale):
    # B A = (1, 2)^T (3, 4) = [[3, 4], [6, 8]], on the identity
    adapter = write(tmp_path / "a", factors([[3.0, 4.0]], [[1.0], [2.0]]), **config)
    found = merged(tmp_path, adapter, tiny_base(tmp_path))
    wanted = torch.eye(2) + scale * torch.tensor([[3.0, 4.0], [6.0, 8.0]])
    assert torch.equal(found[f"{MODULE}.weight"], wanted)
    assert found[f"{MODULE}.weight"].dtype == torch.float32
    assert torch.equal(found["other"], torch.ones(1))


def test_transposed_as_gpt2_stores_it_and_without_the_decoders_name(tmp_path):
    adapter = write(
        tmp_path / "a", factors([[3.0, 4.0]], [[1.0], [2.0]], "transformer.h.0.attn.c_attn"),
        lora_alpha=1, fan_in_fan_out=True,
    )  # fmt: skip
    found = merged(tmp_path, adapter, tiny_base(tmp_path, "h.0.attn.c_attn"))
    assert found["h.0.attn.c_attn.weight"].tolist() == [[4.0, 6.0], [4.0, 9.0]]


def test_a_zero_factor_changes_nothing(tmp_path):
    adapter = write(tmp_path / "a", factors([[3.0, 4.0]], [[0.0], [0.0]]))
    found = merged(tmp_path, adapter, tiny_base(tmp_path))
    assert torch.equal(found[f"{MODULE}.weight"], torch.eye(2))


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_as_peft_merges_it(model_folder, tmp_path, architecture):
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    base = model_folder(architecture)
    torch.manual_seed(3)
    target = ["q_proj", "down_proj"] if architecture == "llama" else ["c_attn"]
    config = LoraConfig(
        r=2, lora_alpha=6, target_modules=target, init_lora_weights=False,
        fan_in_fan_out=architecture == "gpt2", task_type="CAUSAL_LM",
    )  # fmt: skip
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(
        tmp_path / "a"
    )
    ours = AutoModelForCausalLM.from_pretrained(
        adapters.merge("a", tmp_path / "a", base, tmp_path / "m" / "x")
    )
    own = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "a")
    theirs = own.merge_and_unload()
    ids = torch.arange(10)[None]
    off = (ours(ids).logits - theirs(ids).logits).abs().max().item()
    plain = AutoModelForCausalLM.from_pretrained(base)(ids).logits
    assert off < 1e-4 < (plain - theirs(ids).logits).abs().max().item()


@pytest.mark.parametrize(
    ("module", "a", "said"),
    [
        ("model.layers.9.self_attn.q_proj", [[3.0, 4.0]], "which its base does not have"),
        (MODULE, [[3.0, 4.0, 5.0]], "by a matrix of (2, 3), its base has (2, 2)"),
    ],
)
def test_one_of_another_base_is_refused_and_leaves_nothing(tmp_path, module, a, said):
    adapter = write(tmp_path / "a", factors(a, [[1.0], [2.0]], module))
    with pytest.raises(BadInput) as caught:
        merged(tmp_path, adapter, tiny_base(tmp_path))
    assert said in str(caught.value)
    assert not list((tmp_path / "merged").iterdir())


def test_what_is_no_low_rank_factor_is_refused(tmp_path):
    adapter = write(tmp_path / "a", {"base_model.model.lm_head.weight": torch.ones(1)})
    with pytest.raises(BadInput, match="no low-rank factor"):
        merged(tmp_path, adapter, tiny_base(tmp_path))
