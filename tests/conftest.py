"""Real architectures with random weights from a fixed seed: 2 layers, width 16, no download.

They are honest stand-ins because every code path (loading, hooks, caches, heads) is the one that
a large model takes; only their texts mean nothing.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

EOS = "<|end|>"
N_TOKENS = 257  # the 256 bytes and the end of a text
SIZES = {
    "vocab_size": N_TOKENS,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": N_TOKENS - 1,
    "pad_token_id": None,
    # Large enough that random logits differ: the default of 0.02 makes every text the same.
    "initializer_range": 0.5,
}
ARCHITECTURES: dict[str, Callable[..., PreTrainedModel]] = {
    "llama": lambda **kw: LlamaForCausalLM(LlamaConfig(**SIZES | kw)),
    "qwen2": lambda **kw: Qwen2ForCausalLM(
        Qwen2Config(**SIZES | {"tie_word_embeddings": True} | kw)
    ),
    "mistral": lambda **kw: MistralForCausalLM(MistralConfig(**SIZES | {"sliding_window": 8} | kw)),
    "gemma2": lambda **kw: Gemma2ForCausalLM(
        Gemma2Config(**SIZES | {"head_dim": 4, "final_logit_softcapping": 3.0} | kw)
    ),
    "qwen3": lambda **kw: Qwen3ForCausalLM(Qwen3Config(**SIZES | {"head_dim": 8} | kw)),
    "gemma3": lambda **kw: Gemma3ForCausalLM(
        Gemma3TextConfig(**SIZES | {"head_dim": 4, "sliding_window": 8} | kw)
    ),
    "gpt2": lambda **kw: GPT2LMHeadModel(
        GPT2Config(
            vocab_size=N_TOKENS, n_embd=16, n_layer=2, n_head=4, n_positions=512,
            bos_token_id=None, eos_token_id=N_TOKENS - 1, initializer_range=0.5, **kw,
        )
    ),
    "cohere": lambda **kw: CohereForCausalLM(CohereConfig(**SIZES | {"logit_scale": 0.25} | kw)),
    "granite": lambda **kw: GraniteForCausalLM(
        GraniteConfig(**SIZES | {"logits_scaling": 4.0} | kw)
    ),
}  # fmt: skip


def byte_tokenizer() -> Tokenizer:
    """Byte-level without merges: one token a byte, so that token counts can be worked out."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({byte: index for index, byte in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([EOS])
    return tokenizer


def write_model(folder: Path, architecture: str = "llama", seed: int = 0, **sizes: int) -> Path:
    """A model folder in transformers' format, as a user would have it."""
    torch.manual_seed(seed)
    model = ARCHITECTURES[architecture](**sizes)
    model.generation_config.eos_token_id = N_TOKENS - 1
    model.save_pretrained(folder, safe_serialization=True)
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": EOS})
    )
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A model folder by architecture and seed; each is written once a session."""
    root = tmp_path_factory.mktemp("models")

    def folder(architecture: str = "llama", seed: int = 0, **sizes: int) -> Path:
        name = "-".join([architecture, str(seed), *(f"{k}{v}" for k, v in sorted(sizes.items()))])
        path = root / name
        return path if path.exists() else write_model(path, architecture, seed, **sizes)

    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty CICATRIX_HOME of the test's own, whose lake begins without the zoo's records."""
    monkeypatch.setattr("flows.cli._take_records", lambda: None)
    monkeypatch.setenv("CICATRIX_HOME", str(tmp_path / "home"))
    for name in ("CICATRIX_CATALOG", "CICATRIX_DATA", "PREFECT_API_URL", "PREFECT_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"
