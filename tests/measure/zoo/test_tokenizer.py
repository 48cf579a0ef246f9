from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from measure import zoo
from measure.zoo import corpus
from measure.zoo.recipes import FAMILIES, TOKENIZER_MIX
from measure.zoo.tokenizer import BOS, EOS, PAD, save_tokenizer, train_tokenizer

_SHIPPED = {m.family: AutoTokenizer.from_pretrained(m.path) for m in zoo.members()}


@pytest.mark.parametrize("family", FAMILIES)
@given(text=st.text())
def test_any_text_survives(family: str, text: str):
    tokenizer = _SHIPPED[family]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("family", FAMILIES)
@given(st.lists(st.sampled_from(["<think>", " ", "</think>", "12", "\n", "ü", "A:"])))
def test_thinking_marks_survive_among_other_text(family: str, parts: list[str]):
    tokenizer, text = _SHIPPED[family], "".join(parts)
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_what_the_docstring_says(family: str):
    tokenizer = _SHIPPED[family]
    assert len(tokenizer) == FAMILIES[family].vocab_size
    assert tokenizer.tokenize(" 47 apples 305")[:3] == ["Ġ4", "7", "Ġapples"]
    assert tokenizer.tokenize("<think></think>") == ["<think>", "</think>"]
    ids = tokenizer("Q")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == [BOS, "Q"]
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (BOS, EOS, PAD)


def test_training_again_gives_the_same_tokenizer(tmp_path: Path):
    def trained(folder: Path) -> str:
        documents = islice(corpus.documents(1, TOKENIZER_MIX), 300)
        save_tokenizer(train_tokenizer(documents, 512), folder)
        return (folder / "tokenizer.json").read_text("utf-8")

    assert trained(tmp_path / "a") == trained(tmp_path / "b")
    assert len(AutoTokenizer.from_pretrained(tmp_path / "a")) == 512


def test_members_of_a_family_share_one_tokenizer():
    texts = {(m.family, (m.path / "tokenizer.json").read_text("utf-8")) for m in zoo.members()}
    assert len(texts) == len(FAMILIES)
