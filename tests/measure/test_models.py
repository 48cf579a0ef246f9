import pytest
import torch

from measure import models, sources
from measure.errors import BadInput
from tests.conftest import ARCHITECTURES, N_TOKENS

TEXT = "the quick brown fox jumps over the lazy dog"


def load(folder):
    return models.load(sources.find(str(folder)), device="cpu")


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_our_head_equals_the_models_own_fp32_logits(model_folder, architecture):
    model = load(model_folder(architecture))
    batch = model.pad([model.encode(TEXT), model.encode(TEXT[:7])])
    with torch.inference_mode():
        own = model.model(input_ids=batch.ids, attention_mask=batch.mask.long()).logits
    ours = model.logits(model.states(batch).after_norm)
    torch.testing.assert_close(ours[batch.mask], own[batch.mask], rtol=1e-5, atol=1e-5)


def test_scale_and_soft_cap_do_something(model_folder):
    """Else the test above would pass with a head that ignores them."""
    for architecture in ("gemma2", "cohere", "granite"):
        model = load(model_folder(architecture))
        states = model.states(model.pad([model.encode(TEXT)])).after_norm
        plain = states @ model.model.get_output_embeddings().weight.detach().T
        assert (model.logits(states) - plain).abs().max() > 0.1, architecture


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2"])
def test_the_sites_lie_on_both_sides_of_the_final_norm(model_folder, architecture):
    model = load(model_folder(architecture))
    states = model.states(model.pad([model.encode(TEXT)]))
    with torch.inference_mode():
        normed = model.final_norm(states.before_norm)
    torch.testing.assert_close(states.after_norm, normed)
    assert (states.before_norm - states.after_norm).abs().max() > 0.1


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_padding_changes_nothing_on_either_side(model_folder, architecture):
    model = load(model_folder(architecture))
    short, long = model.encode("a short one"), model.encode(TEXT)
    alone = model.states(model.pad([short])).after_norm[0]
    right = model.states(model.pad([short, long])).after_norm[0, : len(short)]
    left = model.states(model.pad([short, long], side="left")).after_norm[0, -len(short) :]
    torch.testing.assert_close(right, alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(left, alone, rtol=1e-4, atol=1e-4)


def test_top_logits_in_chunks_equal_all_at_once(model_folder, monkeypatch):
    model = load(model_folder())
    states = model.states(model.pad([model.encode(TEXT)])).after_norm[0]
    whole = model.logits(states).topk(21)
    monkeypatch.setattr(models, "MAX_LOGITS", 3 * N_TOKENS)
    values, indices = model.top_logits(states, 21)
    torch.testing.assert_close(values, whole.values)
    assert torch.equal(indices, whole.indices)


def test_a_continuation_keeps_the_blanks_at_the_seam(model_folder):
    model = load(model_folder())
    prompt, more = model.encode("one"), model.encode(" two")
    assert model.continuation(prompt, more) == " two"


def test_token_starts_are_character_indices(model_folder):
    model = load(model_folder())
    ids, starts = model.encode_with_starts("aé b")
    # One token a byte; é has two bytes and both begin at character 1.
    assert len(ids) == 5
    assert starts == [0, 1, 1, 2, 3]


def test_the_card_says_what_the_files_hold(model_folder):
    folder = model_folder("qwen2")
    card = load(folder).card
    assert card.family == "Qwen"
    assert card.architecture == "Qwen2ForCausalLM"
    assert (card.n_layers, card.hidden_size, card.vocab_size) == (2, 16, N_TOKENS)
    assert card.weight_dtype == "F32"
    # Embedding (tied) 257*16; per layer: q 16*16+16, k and v 16*8+8 each, o 16*16, MLP 3*16*32,
    # two norms of 16; final norm 16.
    per_layer = (16 * 16 + 16) + 2 * (16 * 8 + 8) + 16 * 16 + 3 * 16 * 32 + 2 * 16
    assert card.n_params == 257 * 16 + 2 * per_layer + 16


def test_a_base_of_another_width_is_refused(model_folder):
    wide = sources.find(str(model_folder("llama", hidden_size=32)))
    narrow = sources.find(str(model_folder("llama")))
    with pytest.raises(BadInput, match="has width 32, model .* 16"):
        models.refuse_unlike_base(narrow, wide, [TEXT])


def test_a_base_with_the_same_tokens_is_taken(model_folder):
    one, other = (sources.find(str(model_folder("llama", seed))) for seed in (0, 1))
    models.refuse_unlike_base(one, other, [TEXT])


def test_a_head_of_unknown_arithmetic_is_refused(model_folder, monkeypatch):
    """Gemma's cap hidden from our head stands for an architecture nobody has met yet."""
    monkeypatch.setattr(
        models.CausalLM,
        "logits",
        lambda self, states: states @ self.model.get_output_embeddings().weight.detach().T,
    )
    with pytest.raises(BadInput, match="makes its logits in a way not known here"):
        load(model_folder("gemma2"))
