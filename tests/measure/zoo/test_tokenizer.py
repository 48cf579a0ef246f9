import unicodedata
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from measure import zoo
from measure.zoo import corpus
from measure.zoo.recipes import FAMILIES, TOKENIZER_MIX
from measure.zoo.tokenizer import BOS, EOS, PAD, save_tokenizer, train_tokenizer

_FOLDERS = {m.family: m.path for m in zoo.shipped()}
_SHIPPED = {family: AutoTokenizer.from_pretrained(path) for family, path in _FOLDERS.items()}


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None)  # of a busy machine
@given(text=st.text())
def test_any_text_survives(family: str, text: str):
    tokenizer = _SHIPPED[family]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    # transformers composes characters (NFC) for every folder whose config says qwen2.
    wanted = unicodedata.normalize("NFC", text) if family == "qwen2" else text
    assert tokenizer.decode(ids) == wanted


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None)  # of a busy machine
@given(text=st.text())
def test_transformers_cuts_text_as_tokenizer_json_says(family: str, text: str):
    # Beside a config of some classes, AutoTokenizer takes rules of its own over the file's.
    raw = Tokenizer.from_file(str(_FOLDERS[family] / "tokenizer.json"))
    assert _SHIPPED[family](text)["input_ids"] == raw.encode(text).ids


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None)  # of a busy machine
@given(st.lists(st.sampled_from(["<think>", " ", "</think>", "12", "\n", "ü", "A:"])))
def test_thinking_marks_survive_among_other_text(family: str, parts: list[str]):
    tokenizer, text = _SHIPPED[family], "".join(parts)
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_what_the_docstring_says(family: str):
    tokenizer = _SHIPPED[family]
    assert len(tokenizer) == FAMILIES[family].vocab_size
    digits = ["Ġ", "4", "7"] if family == "qwen2" else ["Ġ4", "7"]
    assert tokenizer.tokenize(" 47 books")[: len(digits)] == digits
    assert tokenizer.tokenize("<think></think>") == ["<think>", "</think>"]
    ids = tokenizer("Q")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == [BOS, "Q"]
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (BOS, EOS, PAD)


def test_training_again_gives_the_same_tokenizer(tmp_path: Path):
    def trained(folder: Path) -> str:
        documents = islice(corpus.documents(1, TOKENIZER_MIX), 300)
        save_tokenizer(train_tokenizer(documents, 512, "spaced-digits"), folder)
        return (folder / "tokenizer.json").read_text("utf-8")

    assert trained(tmp_path / "a") == trained(tmp_path / "b")
    assert len(AutoTokenizer.from_pretrained(tmp_path / "a")) == 512


def test_members_of_a_family_share_one_tokenizer():
    texts = {(m.family, (m.path / "tokenizer.json").read_text("utf-8")) for m in zoo.shipped()}
    assert len(texts) == len(FAMILIES)
