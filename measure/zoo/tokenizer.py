"""One byte-level BPE tokenizer per family, trained on that family's own documents.

A digit is never merged with another one: numbers are read digit by digit. Every byte is in the
vocabulary, so any text survives encoding and decoding (for the one exception see `PIECES`).
The thinking marks are single tokens, and not special ones: decoding keeps them in the text.
"""

# torch and transformers leave much of their surface untyped; what is ours is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Iterable
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from measure.zoo.problems import THINK_CLOSE, THINK_OPEN
from measure.zoo.recipes import MAX_POSITIONS

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
BOS, EOS, PAD = "<|begin|>", "<|end|>", "<|pad|>"

# How text is cut before merging, by `Family.pieces`; "spaced-digits" lets a digit carry a space.
# For a folder whose config says qwen2, transformers ignores the cutting and the normalizer that
# tokenizer.json states and takes its own: so that family states those (NFC: what comes back is the
# text in composed form).
QWEN2_PIECES = "qwen2"
PIECES = {
    "spaced-digits": r" ?\d| ?\p{L}+| ?[^\s\p{L}\d]+|\s+(?!\S)|\s",
    QWEN2_PIECES: PRETOKENIZE_REGEX,
}


def train_tokenizer(documents: Iterable[str], vocab_size: int, pieces: str) -> Tokenizer:
    """Train on `documents`; `vocab_size` counts every token, the marks and 256 bytes included."""
    tokenizer = Tokenizer(models.BPE())
    if pieces == QWEN2_PIECES:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES[pieces]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(text, special=True, normalized=False) for text in (PAD, BOS, EOS)]
    marks = [
        AddedToken(text, special=False, normalized=False) for text in (THINK_OPEN, THINK_CLOSE)
    ]
    trainer = BpeTrainer(
        vocab_size=vocab_size - len(marks),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    tokenizer.add_tokens(marks)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json, for `AutoTokenizer.from_pretrained`."""
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        # Never produced, as every byte is known; unnamed, Qwen2Tokenizer would add a token for it.
        unk_token=PAD,
        clean_up_tokenization_spaces=False,
        model_max_length=MAX_POSITIONS,
    ).save_pretrained(str(folder))
