"""Sentence scores: a model whose token probabilities are chosen, and one pass against many."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from measure import models, sentence_scores, sentences, sources
from measure.records import Rollout
from measure.sentence_scores import Texts


def load(folder):
    return models.load(sources.find(str(folder)), device="cpu")


def rollout(text, problem="Why?", sample=0):
    return Rollout(
        problem_id="p", sample=sample, category="", problem=problem, gold=None, text=text,
        n_tokens=None, finish="imported", answer=None, is_correct=None, reason="none",
    )  # fmt: skip


def scored(model, texts, plain="{problem}", batch_size=64):
    given = tuple(rollout(text, sample=i) for i, text in enumerate(texts))
    asked = Texts("set", "5e7", given, plain)
    found = [
        record
        for unit in asked.units
        for record in sentence_scores.measure_unit(model, asked, unit, batch_size, lambda _: None)
    ]
    return {(r.sample, r.sentence): r for r in found}


def unigram(folder: Path, probabilities: dict[str, float], merges=()) -> Path:
    """A Llama that gives every token its own probability, whatever came before.

    All blocks add nothing and every embedding is the same: the state is (1, 1, ...) always. Tokens
    not named share what is left.
    """
    text = (folder / "tokenizer.json").read_text()
    if merges:
        state = json.loads(text)
        state["model"]["merges"] = [list(pair) for pair in merges]
        state["model"]["vocab"] |= {"".join(pair): 257 + i for i, pair in enumerate(merges)}
        (folder / "tokenizer.json").write_text(json.dumps(state))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    weights = load_file(folder / "model.safetensors")
    weights = {name: torch.zeros_like(value) for name, value in weights.items()}
    weights["model.embed_tokens.weight"] += 1
    weights["model.norm.weight"] += 1
    n_tokens = len(weights["lm_head.weight"])
    rest = (1 - sum(probabilities.values())) / (n_tokens - len(probabilities))
    weights["lm_head.weight"][:, 0] = math.log(rest)
    for piece, p in probabilities.items():
        token = tokenizer.token_to_id(piece)
        assert token is not None, piece
        weights["lm_head.weight"][token, 0] = math.log(p)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def toy(model_folder, tmp_path):
    def make(name, probabilities, merges=()):
        import shutil

        source = model_folder("llama", vocab_size=257 + len(merges))
        shutil.copytree(source, tmp_path / name)
        return load(unigram(tmp_path / name, probabilities, merges))

    return make


SPACE = "Ġ"  # the byte-level alphabet's blank


def test_known_token_probabilities(toy):
    model = toy("plain", {"a": 0.25, "b": 0.125, ".": 0.1, SPACE: 0.2})
    found = scored(model, ["ab. abb.", "a"])
    # "ab. " is one of a, b, ., blank; "abb." one a, two b, one stop.
    first = math.log(0.25 * 0.125 * 0.1 * 0.2)
    second = math.log(0.25 * 0.125**2 * 0.1)
    assert found[0, 0].n_tokens == found[0, 1].n_tokens == 4
    assert found[0, 0].sum_logprob == pytest.approx(first, abs=1e-5)
    assert found[0, 1].sum_logprob == pytest.approx(second, abs=1e-5)
    assert found[1, 0].sum_logprob == pytest.approx(math.log(0.25), abs=1e-5)


def test_a_token_belongs_to_the_sentence_of_its_first_character(toy):
    # ". a" would cross a boundary; here the blank and the next letter are one token.
    model = toy("merged", {"a": 0.25, f"{SPACE}b": 0.1, ".": 0.2}, merges=[(SPACE, "b")])
    found = scored(model, ["aaa. baa"])
    # Tokens a a a . | " b" begins with the blank of the first sentence, then a a.
    assert (found[0, 0].char_end, found[0, 1].char_start) == (5, 5)
    assert (found[0, 0].n_tokens, found[0, 1].n_tokens) == (5, 2)
    assert found[0, 0].sum_logprob == pytest.approx(math.log(0.25**3 * 0.2 * 0.1), abs=1e-5)


def test_a_sentence_without_a_token_is_null_with_its_reason(toy):
    model = toy(
        "swallows", {"a": 0.25}, merges=[(SPACE, "b"), (f"{SPACE}b", "c"), (f"{SPACE}bc", "d")]
    )
    found = scored(model, ["aaa. bcd"])
    assert found[0, 1].n_tokens == 0 and found[0, 1].sum_logprob is None
    assert found[0, 1].reason == "no token of the model begins in it"
    assert found[0, 0].sum_logprob is not None


def test_a_rollout_beyond_the_context_is_null_and_the_rest_is_not(model_folder):
    model = load(model_folder("gpt2"))
    found = scored(model, ["Short. Yes.", "x" * 600 + ". End.", ""])
    assert found[0, 0].sum_logprob is not None
    assert found[1, 0].reason == "610 tokens with the prompt, 512 fit the model"  # 4 + 606
    assert found[1, 0].sum_logprob is None and found[1, 1].sum_logprob is None
    assert all(key[0] != 2 for key in found)  # an empty text has no sentence


TEXT = (
    " <think> First, 3 + 4 = 7. But then, 7 - 2 = 5 é漢字. See e.g. Fig. 2 for it, and so on "
    "until the end of a longer sentence.\n\nSo $x = 5$. </think> 5\n"
)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "mistral", "gemma2", "gpt2"])
def test_one_pass_gives_what_a_pass_a_sentence_gives(model_folder, architecture):
    model = load(model_folder(architecture))
    texts = [TEXT, "One. Two. Three.", TEXT + TEXT]
    found = scored(model, texts, plain="Q: {problem}\nA:")
    n_seen = 0
    for number, text in enumerate(texts):
        for index, sentence in enumerate(sentences.segment(text)):
            record = found[number, index]
            # The model's own logits on the text up to this sentence's end, nothing batched.
            prompt = "Q: Why?\nA:"
            ids, starts = model.encode_with_starts(prompt + text[: sentence.end])
            with torch.inference_mode():
                logits = model.model(input_ids=torch.tensor([ids])).logits[0].double()
            logprobs = logits.log_softmax(-1)
            inside = [
                p for p, s in enumerate(starts) if s >= len(prompt) + sentence.start and p > 0
            ]
            expected = sum(logprobs[p - 1, ids[p]].item() for p in inside)
            assert record.n_tokens == len(inside)
            assert record.sum_logprob == pytest.approx(expected, rel=1e-5, abs=1e-5)
            assert sum(record.span_logprobs) == pytest.approx(expected, rel=1e-5, abs=1e-4)
            assert sum(record.span_tokens) == len(inside)
            n_seen += 1
    assert n_seen == len(found)


def test_batches_change_nothing(model_folder):
    model = load(model_folder("qwen2"))
    texts = ["Short.", TEXT, "In between. Yes."]
    together, alone = scored(model, texts), scored(model, texts, batch_size=1)
    assert together.keys() == alone.keys()
    for key, record in together.items():
        assert record.sum_logprob == pytest.approx(alone[key].sum_logprob, abs=1e-5)


def test_logits_of_many_tokens_are_made_in_chunks(model_folder, monkeypatch):
    model = load(model_folder())
    states = torch.randn(50, 16)
    tokens = torch.arange(50)
    whole = model.token_logprobs(states, tokens)
    expected = model.logits(states).double().log_softmax(-1)[torch.arange(50), tokens]
    np.testing.assert_allclose(whole.numpy(), expected.numpy(), atol=1e-5)
    sizes: list[int] = []
    own = model.logits
    monkeypatch.setattr(models, "MAX_LOGITS", 257 * 8)
    monkeypatch.setattr(model, "logits", lambda rows: sizes.append(len(rows)) or own(rows))
    assert torch.equal(model.token_logprobs(states, tokens), whole)
    assert sizes == [8, 8, 8, 8, 8, 8, 2]
