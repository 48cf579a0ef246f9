"""A GGUF file against the safetensors folder that holds the same weights."""

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import pre_tokenizers

from measure import models, sources
from measure.errors import BadInput
from measure.gguf_header import hidden_size, quantisation
from tests.conftest import EOS, N_TOKENS, SIZES

# Rows to spare for the special tokens that transformers adds to a GGUF vocabulary.
ROWS = N_TOKENS + 7
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    for ours, theirs in NAMES.items():
        name = name.replace(ours, theirs)
    return name.replace("model.layers.", "blk.")


def permuted(weights, n_heads):
    """GGUF keeps the two halves of each rotary pair side by side."""
    n_rows = weights.shape[0]
    pairs = weights.reshape(n_heads, 2, n_rows // n_heads // 2, weights.shape[1])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(weights.shape))


@pytest.fixture(scope="module")
def gguf_file(model_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny-0.5B.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tags(["one", "two"])
    writer.add_array("test.numbers", [1, 2, 3])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_1)
    writer.add_context_length(512)
    writer.add_embedding_length(SIZES["hidden_size"])
    writer.add_block_count(SIZES["num_hidden_layers"])
    writer.add_feed_forward_length(SIZES["intermediate_size"])
    writer.add_head_count(SIZES["num_attention_heads"])
    writer.add_head_count_kv(SIZES["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(ROWS)
    writer.add_tokenizer_model("gpt2")
    # A BPE wants a merge: its token takes the place of the last byte, which no text here has.
    writer.add_token_list([*sorted(pre_tokenizers.ByteLevel.alphabet())[:-1], "ab", EOS])
    writer.add_token_types([1] * (N_TOKENS - 1) + [3])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(N_TOKENS - 1)
    writer.add_bos_token_id(N_TOKENS - 1)
    for name, tensor in load_file(
        model_folder("llama", vocab_size=ROWS) / "model.safetensors"
    ).items():
        weights = tensor.numpy()
        if "q_proj" in name:
            weights = permuted(weights, SIZES["num_attention_heads"])
        if "k_proj" in name:
            weights = permuted(weights, SIZES["num_key_value_heads"])
        writer.add_tensor(gguf_name(name), weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_file_gives_the_states_of_the_folder_with_its_weights(model_folder, gguf_file):
    source = sources.find(str(gguf_file))
    assert (source.kind, source.label) == ("gguf", "tiny-0.5B")
    ours = models.load(source, device="cpu")
    theirs = models.load(sources.find(str(model_folder("llama", vocab_size=ROWS))), device="cpu")
    assert ours.card.family == "Llama" and ours.card.n_params == theirs.card.n_params
    assert ours.card.weight_dtype == "GGUF Q4_1"
    batch = theirs.pad([list(range(40, 80))])
    torch.testing.assert_close(
        ours.logits(ours.states(batch).after_norm),
        theirs.logits(theirs.states(batch).after_norm),
        rtol=1e-3, atol=1e-3,
    )  # fmt: skip


def test_a_gguf_file_brings_its_own_tokenizer(gguf_file):
    model = models.load(sources.find(str(gguf_file)), device="cpu")
    ids, starts = model.encode_with_starts("xaby")
    assert [model.tokenizer.convert_ids_to_tokens(i) for i in ids][-3:] == ["x", "ab", "y"]
    assert starts[-3:] == [0, 1, 3]


def test_the_header_says_quantisation_and_width(gguf_file, tmp_path):
    assert quantisation(gguf_file) == "Q4_1"
    assert hidden_size(gguf_file) == SIZES["hidden_size"]
    whole = gguf_file.read_bytes()
    names = ("cut", "silent", "newer", "endless")
    cut, silent, newer, endless = files = [tmp_path / name for name in names]
    at = whole.index(b"general.file_type")
    cut.write_bytes(whole[:at])
    silent.write_bytes(whole.replace(b"general.file_type", b"general.file_kind"))
    value = at + len(b"general.file_type") + 4
    newer.write_bytes(whole[:value] + (999).to_bytes(4, "little") + whole[value + 4 :])
    # The key claims a length of 2^64 - 1 bytes.
    endless.write_bytes(whole[: at - 8] + b"\xff" * 8 + whole[at:])
    assert [quantisation(path) for path in files] == [None] * 4


def test_a_base_of_another_width_is_refused_though_its_tokens_are_the_same(gguf_file, tmp_path):
    wider = tmp_path / "wider.gguf"
    key = b"llama.embedding_length"
    whole = gguf_file.read_bytes()
    at = whole.index(key) + len(key) + 4
    wider.write_bytes(
        whole[:at] + (2 * SIZES["hidden_size"]).to_bytes(4, "little") + whole[at + 4 :]
    )
    ours, base = sources.find(str(gguf_file)), sources.find(str(wider))
    models.refuse_unlike_base(ours, ours, ["one"])
    with pytest.raises(BadInput, match="has width 32, model .* 16"):
        models.refuse_unlike_base(ours, base, ["one"])
