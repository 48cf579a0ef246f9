import dataclasses
import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from measure import models, sources, stiffness, tensors
from tests.conftest import ARCHITECTURES


def written(folder, weights, **config):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"} | config))
    save_file(weights, folder / "model.safetensors")
    return sources.find(str(folder))


def by_hand():
    """Gains 1 and -3; rows (1, 3) and (5, 7) of the head; an o of 0, 0, 4, 4."""
    return {
        "model.embed_tokens.weight": torch.tensor([[0.0, 0], [0, 8]]),
        "model.norm.weight": torch.tensor([1.0, -3]),
        "lm_head.weight": torch.tensor([[1.0, 3], [5, 7]]),
        "model.layers.0.self_attn.o_proj.weight": torch.tensor([[9.0, 0], [0, 0]]),
        "model.layers.1.self_attn.o_proj.weight": torch.tensor([[0.0, 0], [4, 4]]),
    }


def test_closed_form(tmp_path):
    found = stiffness.measure(written(tmp_path / "m", by_hand()))
    assert found.gamma_mean == 2  # (1 + 3) / 2
    assert found.gamma_rms == pytest.approx(math.sqrt((1 + 9) / 2))
    # Head: mean 4, squares 9 + 1 + 1 + 9 over 4 entries; each row spreads by 1.
    assert found.sigma_w == pytest.approx(math.sqrt(5))
    assert found.sigma_w_row_mean == pytest.approx(1)
    assert found.sigma_o == pytest.approx(2)  # of the last block
    assert found.stiffness == pytest.approx(2 * math.sqrt(5))
    assert found.stiffness_rms == pytest.approx(math.sqrt(5) * math.sqrt(5))
    assert (found.stiffness_row_mean, found.stiffness_o) == pytest.approx((2, 4))
    assert (found.tied, found.n_rows, found.reason) == (False, 2, None)


def test_gemma_adds_one_to_its_gain(tmp_path):
    found = stiffness.measure(written(tmp_path / "m", by_hand(), model_type="gemma2"))
    assert found.gamma_mean == 2  # |1 + 1| and |1 - 3|


def test_a_tied_head_is_the_embedding(tmp_path):
    """By a missing head, and by a configuration that ties although one is stored."""
    without = {name: w for name, w in by_hand().items() if name != "lm_head.weight"}
    for source in (
        written(tmp_path / "a", without),
        written(tmp_path / "b", by_hand(), tie_word_embeddings=True),
    ):
        found = stiffness.measure(source)
        assert found.tied
        assert found.sigma_w == pytest.approx(
            math.sqrt(12)
        )  # 0, 0, 0, 8: 16 - 4 over the mean of 2


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_equals_torch_on_the_loaded_model(model_folder, architecture, tmp_path):
    """The gain by what the norm does to a vector, so that 1 + w is not taken on trust."""
    folder = shutil.copytree(model_folder(architecture), tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    name = next(n for n in weights if n.endswith(("model.norm.weight", "ln_f.weight")))
    generator = torch.Generator().manual_seed(0)
    weights[name] = torch.randn(16, generator=generator)  # else every gain is 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = models.load(sources.find(str(folder)), device="cpu")
    x = torch.randn(16, generator=generator)
    with torch.inference_mode():
        out = model.final_norm(x) - model.final_norm(torch.zeros(16))  # less LayerNorm's bias
    centred = x - x.mean() if architecture in ("gpt2", "cohere") else x
    gain = out * centred.square().mean().sqrt() / centred
    head = model.model.get_output_embeddings().weight.detach()
    found = stiffness.measure(sources.find(str(folder)))
    assert found.gamma_mean == pytest.approx(gain.abs().mean().item(), rel=1e-4)
    assert found.gamma_rms == pytest.approx(gain.square().mean().sqrt().item(), rel=1e-4)
    assert found.sigma_w == pytest.approx(head.std(correction=0).item(), rel=1e-5)
    rows = head.std(dim=1, correction=0).mean().item()
    assert found.sigma_w_row_mean == pytest.approx(rows, rel=1e-5)
    last = model.decoder.h[-1].attn.c_proj if architecture == "gpt2" else None
    o = (last or model.decoder.layers[-1].self_attn.o_proj).weight.detach()
    assert found.sigma_o == pytest.approx(o.std(correction=0).item(), rel=1e-5)
    assert found.tied == bool(model.model.config.tie_word_embeddings)


def test_chunks_change_nothing_but_the_memory(model_folder, monkeypatch):
    source = sources.find(str(model_folder("llama")))
    whole = stiffness.measure(source)
    monkeypatch.setattr(tensors, "MAX_VALUES", 3 * 16)
    sizes = [len(chunk) for chunk in tensors.Weights(source).chunks(_head(source))]
    assert (max(sizes), sum(sizes)) == (3, 257)
    found = stiffness.measure(source)
    for field in ("sigma_w", "sigma_w_row_mean", "stiffness"):
        assert getattr(found, field) == pytest.approx(getattr(whole, field), rel=1e-12)


def _head(source):
    return tensors.Weights(source).get(None, "head")


def test_a_spread_far_from_0_keeps_its_digits():
    rows = 1e6 + torch.arange(12, dtype=torch.float64).reshape(4, 3)
    # 0 .. 11 have variance (12^2 - 1) / 12; each row of three (3^2 - 1) / 12.
    found = stiffness.spread(iter(rows.split(1)))
    assert found == pytest.approx((math.sqrt(143 / 12), math.sqrt(8 / 12)), rel=1e-9)


def test_bf16_and_shards_are_read_as_they_are(tmp_path):
    weights = {name: w.bfloat16() for name, w in by_hand().items()}  # small integers: exact
    source = written(tmp_path / "m", {n: w for n, w in weights.items() if "layers" not in n})
    save_file({n: w for n, w in weights.items() if "layers" in n}, tmp_path / "m/b.safetensors")
    assert stiffness.measure(source).stiffness_o == pytest.approx(4)


def reason_alone(found):
    """Why there is no number; where the model lies is never said."""
    assert {v for k, v in dataclasses.asdict(found).items() if k != "reason"} == {None}
    return found.reason


def test_gguf_and_quantised_weights_have_none_and_say_why(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    reason = reason_alone(stiffness.measure(sources.find(str(tmp_path / "m.gguf"))))
    assert reason.startswith("the model is a GGUF file") and str(tmp_path) not in reason
    weights = by_hand() | {"lm_head.weight": torch.zeros((2, 2), dtype=torch.int8)}
    reason = reason_alone(stiffness.measure(written(tmp_path / "m", weights)))
    assert reason.startswith("the model stores 'lm_head.weight' as I8")


def test_a_missing_final_norm_is_named(tmp_path):
    weights = {name: w for name, w in by_hand().items() if name != "model.norm.weight"}
    reason = reason_alone(stiffness.measure(written(tmp_path / "m", weights)))
    assert reason.startswith("the model stores no final norm")


def test_broken_weights_have_no_stiffness(tmp_path):
    weights = by_hand() | {"model.norm.weight": torch.tensor([1.0, math.nan])}
    found = stiffness.measure(written(tmp_path / "m", weights))
    assert reason_alone(found) == "a weight is not finite"


# Published S, and the middle of the published range of non-max scars (Coslett 2026).
PUBLISHED = {"Mistral": (0.0165, 7967.0), "Llama": (0.0334, 1982.0), "Qwen": (0.0445, 482.0)}


def test_three_families_in_inverse_order_are_never_significant():
    found = stiffness.inverse_order(PUBLISHED)
    assert found.label == "inverse order"
    assert found.p == found.p_attainable == pytest.approx(1 / 6)
    assert not found.is_significant
    assert "no order can have a p below 1/6" in found.reasons[0]


def test_another_order_is_none_and_says_where():
    found = stiffness.inverse_order(PUBLISHED | {"Llama": (0.0334, 100.0)})
    assert found.label == "no inverse order"
    assert found.reasons[0] == "S rises from Llama to Qwen and the scar does not fall"
    # 2 of 3 pairs are inverse: of 3! orders, 1 has 3 inversions and 2 have 2.
    assert found.p == pytest.approx(3 / 6)


def test_ties_and_missing_values_are_no_inverse_order():
    tied = stiffness.inverse_order({"a": (1.0, 2.0), "b": (1.0, 1.0)})
    assert (tied.label, tied.p) == ("no inverse order", 1.0)
    lacking = stiffness.inverse_order({"a": (1.0, None), "b": (1.0, 1.0)})
    assert (lacking.label, lacking.p) == ("not comparable", None)
    assert lacking.reasons[0] == "a lacks S or scar"


def test_p_is_the_share_of_orders():
    """Against all 4! and 5! orders, counted one by one."""
    from itertools import combinations, permutations

    for n in (4, 5):
        for n_inverse in range(n * (n - 1) // 2 + 1):
            at_least = sum(
                sum(a > b for a, b in combinations(order, 2)) >= n_inverse
                for order in permutations(range(n))
            )
            share = at_least / math.factorial(n)
            assert stiffness._share_of_orders(n, n_inverse) == pytest.approx(share)
