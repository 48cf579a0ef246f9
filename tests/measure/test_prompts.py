from collections import Counter

import pytest
from transformers import AutoTokenizer

from measure import prompts, zoo


def test_the_bank_is_the_one_that_was_measured_with():
    """Another hash is another bank: no earlier tau compares with it."""
    bank, canonical = prompts.load("bank512"), prompts.load("canonical40")
    assert bank.sha256 == "75e23ee0dcc5cce0445dca16fa4239f4b9ab9bde220dc705622f26a4f05fbc35"
    assert canonical.sha256 == "081ff771b06f30379bcc6acf8b206abdf1ece9794cce6f480259761b45cb0d5e"


def test_eight_categories_of_the_same_size():
    bank, canonical = prompts.load("bank512"), prompts.load("canonical40")
    assert Counter(Counter(p.category for p in bank.prompts).values()) == {64: 8}
    assert Counter(Counter(p.category for p in canonical.prompts).values()) == {5: 8}


def test_no_text_comes_twice():
    texts = [
        " ".join(p.text.lower().split())
        for name in ("bank512", "canonical40")
        for p in prompts.load(name).prompts
    ]
    assert len(set(texts)) == len(texts) == 552


@pytest.mark.parametrize("member", zoo.shipped(), ids=lambda member: member.name)
def test_every_prompt_has_12_to_64_tokens(member):
    tokenizer = AutoTokenizer.from_pretrained(member.path)
    texts = [prompt.text for prompt in prompts.load("bank512").prompts]
    counts = [len(ids) for ids in tokenizer(texts)["input_ids"]]
    assert min(counts) >= 12 and max(counts) <= 64
