"""Masked models as a user would have them: small, of words, and taught to count if need be."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch.nn import functional as F
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertForMaskedLM,
    PreTrainedModel,
)

from measure import task_words as words

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = list(
    dict.fromkeys(
        [*SPECIALS, ".", *words.NUMERALS, "in", "done", "lost", "born"]
        + [word.lower() for word in (*words.NAMES, *words.NOUNS)]
    )
)
_N = len(VOCABULARY)
MASKED: dict[str, Callable[..., PreTrainedModel]] = {
    "bert": lambda n_layers=2: BertForMaskedLM(
        BertConfig(
            vocab_size=_N, hidden_size=16, num_hidden_layers=n_layers, num_attention_heads=4,
            intermediate_size=32, max_position_embeddings=64, initializer_range=0.5,
        )
    ),
    "distilbert": lambda n_layers=2: DistilBertForMaskedLM(
        DistilBertConfig(
            vocab_size=_N, dim=16, n_layers=n_layers, n_heads=4, hidden_dim=32,
            max_position_embeddings=64, initializer_range=0.5,
        )
    ),
}  # fmt: skip


def word_tokenizer() -> Tokenizer:
    """A token a word, in lower case, between [CLS] and [SEP]."""
    ids = {word: index for index, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.add_special_tokens(SPECIALS)
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, ids[name]) for name in ("[CLS]", "[SEP]")]
    )
    return tokenizer


def write_masked(folder: Path, architecture: str, *, n_steps: int = 0, n_layers: int = 2) -> Path:
    """A masked model's folder; with steps, it has learnt which number is missing from 1 to 5."""
    torch.manual_seed(0)
    model = MASKED[architecture](n_layers=n_layers)
    tokenizer = word_tokenizer()
    if n_steps:
        _teach(model, tokenizer, n_steps)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast", "cls_token": "[CLS]",
                "sep_token": "[SEP]", "mask_token": "[MASK]", "unk_token": "[UNK]",
                "pad_token": "[PAD]",
            }
        )
    )  # fmt: skip
    return folder


def _teach(model: PreTrainedModel, tokenizer: Tokenizer, n_steps: int) -> None:
    """Five numbers in order from another beginning each time, the last under the mask."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    mask = tokenizer.token_to_id("[MASK]")
    nouns = itertools.cycle(words.NOUNS)
    for step in range(n_steps):
        rows, wanted = list[list[int]](), list[int]()
        for first in range(1, 9):
            numbers = [str(first + index) for index in range(5)]
            said = [f"{next(nouns)} done in {number}." for number in numbers[:4]]
            text = " ".join([*said, f"{next(nouns)} done in [MASK]"])
            rows.append(tokenizer.encode(text).ids)
            wanted.append(tokenizer.token_to_id(numbers[4]))
        ids = torch.tensor(rows)
        logits = model(input_ids=ids).logits[ids == mask]
        loss = F.cross_entropy(logits, torch.tensor(wanted))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == n_steps - 1:
            model.eval()
