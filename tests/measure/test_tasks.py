import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from measure import task_words, tasks
from measure.errors import BadInput
from tests.conftest import byte_tokenizer

# A token a byte: what is cut alike is what is equally long.
BYTES = PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer())
TERMS = {
    "numerals": task_words.NUMERALS,
    "number-words": task_words.NUMBER_WORDS,
    "months": task_words.MONTHS,
}


def _word_tokenizer() -> Any:
    """A token a word or mark, [CLS] before and [SEP] after: BERT's form."""
    texts = [
        *(item for group in TERMS.values() for item in group),
        *task_words.NAMES, *task_words.NOUNS, *task_words.PLACES, *task_words.THINGS,
        *" ".join(task_words.GIVING).split(), *task_words.FACT.split(), *task_words.FACTS,
        *" ".join(pair for pairs in task_words.FACTS.values() for pair in pairs).split(),
        "done", "lost", "born", "in", ".", ",", "the", "to",
    ]  # fmt: skip
    vocabulary = {
        word: i
        for i, word in enumerate(dict.fromkeys(["[UNK]", "[CLS]", "[SEP]", "[MASK]", *texts]))
    }
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", mask_token="[MASK]",
        cls_token="[CLS]", sep_token="[SEP]",
    )  # fmt: skip


WORDS = _word_tokenizer()


def _terms_of(text: str, terms: tuple[str, ...]) -> list[int]:
    return [terms.index(part.split(".")[0]) for part in text.split(" in ")[1:]]


def _at(tokenizer: Any, row: np.ndarray, where: tuple[int, ...]) -> str:
    return tokenizer.decode(row[list(where)].tolist()).strip()


@pytest.mark.parametrize("task", TERMS)
def test_every_first_term_comes_equally_often(task: str):
    found = tasks.task_set(WORDS, task, 1024, 0)
    firsts = Counter(_terms_of(item.clean, TERMS[task])[0] for item in found.items)
    assert firsts == dict.fromkeys(range(8), 128)  # 12 terms, 4 given and one asked for
    assert found.n_drawn == 1024
    # Five sentences of three words, four stops less the last term's and its stop; and [CLS]: the
    # fifth sentence ends before its term.
    assert found.clean.shape == found.corrupted.shape == (1024, 1 + 4 * 5 + 3)


def test_terms_that_a_tokenizer_cuts_alike_are_a_run():
    found = tasks.task_set(BYTES, "numerals", 100, 0)  # 10, 11 and 12 have two bytes
    firsts = Counter(_terms_of(item.clean, task_words.NUMERALS)[0] for item in found.items)
    assert firsts == dict.fromkeys(range(5), 20)
    asked = {
        _terms_of(item.corrupted, task_words.NUMERALS)[i] for item in found.items for i in (0, 3)
    }
    assert asked == set(range(9))
    # " 5" is a blank and a digit: the blank is the last token given, the digit the answer.
    assert {BYTES.decode(row[-1:]) for row in found.clean} == {" "}
    assert [BYTES.decode([i]) for i in found.answer] == [i.answer[1:] for i in found.items]
    assert [BYTES.decode([i]) for i in found.foil] == [i.foil[1:] for i in found.items]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), task=st.sampled_from(sorted(TERMS)), n=st.integers(1, 30))
def test_sequences_count_up_and_corrupted_ones_never_do(seed: int, task: str, n: int):
    terms = TERMS[task]
    found = tasks.task_set(WORDS, task, n, seed)
    for item in found.items:
        clean, corrupted = (_terms_of(text, terms) for text in (item.clean, item.corrupted))
        assert np.diff(clean).tolist() == [1, 1, 1]
        assert 1 not in np.diff(corrupted)
        assert (item.answer, item.foil) == (f" {terms[clean[3] + 1]}", f" {terms[clean[3]]}")
        # All but the terms is the same, and the subjects are five different ones.
        pairs = zip(item.clean.split(), item.corrupted.split(), strict=True)
        assert all(a == b or {a.strip("."), b.strip(".")} <= set(terms) for a, b in pairs)
        assert len(set(item.clean.split()[::4])) == 5
    again = tasks.task_set(WORDS, task, n + 5, seed)
    assert again.keys[:n] == found.keys
    assert np.array_equal(again.clean[:n], found.clean)


def test_corrupted_terms_are_uniform_over_what_stands_in_no_order():
    """The share of quadruples with a repeat, by counting all of them against those drawn."""
    allowed = [q for q in itertools.product(range(12), repeat=4) if 1 not in np.diff(q)]
    share = np.mean([len(set(q)) < 4 for q in allowed])
    drawn = [
        _terms_of(item.corrupted, task_words.MONTHS)
        for item in tasks.task_set(WORDS, "months", 3000, 5).items
    ]
    standard_error = np.sqrt(share * (1 - share) / len(drawn))
    assert abs(np.mean([len(set(q)) < 4 for q in drawn]) - share) < 4 * standard_error
    for at in range(4):
        wanted = Counter(q[at] for q in allowed)
        counts = Counter(q[at] for q in drawn)
        chi2 = sum(
            (counts[t] - e) ** 2 / e
            for t in range(12)
            for e in [wanted[t] / len(allowed) * len(drawn)]
        )
        assert chi2 < 31.3  # the 99.9 % quantile of 11 degrees of freedom


@pytest.mark.parametrize("tokenizer", [BYTES, WORDS], ids=["bytes", "words"])
def test_roles_stand_where_their_words_are(tokenizer: Any):
    found = tasks.task_set(tokenizer, "numerals", 40, 2)
    for item, clean, corrupted in zip(found.items, found.clean, found.corrupted, strict=True):
        for row, text in ((clean, item.clean), (corrupted, item.corrupted)):
            said = text.replace(".", "").split()  # subject, verb, in, term; and so on
            for i in range(1, 6):
                wanted = said[4 * (i - 1)]
                assert _at(tokenizer, row, found.roles[f"subject_{i}"]).replace(" ", "") == wanted
            for i in range(1, 5):
                assert _at(tokenizer, row, found.roles[f"term_{i}"]) == said[4 * i - 1]
    assert found.roles["final"] == (found.clean.shape[1] - 1,) == (found.position,)


def test_the_indirect_object_is_the_one_who_does_not_give():
    found = tasks.task_set(WORDS, "indirect-objects", 200, 3)
    people = ("name_1", "name_2", "giver")
    orders: set[bool] = set()
    for row, broken, item in zip(found.clean, found.corrupted, found.items, strict=True):
        first, second, giver = (
            _at(WORDS, row, found.roles[r]) for r in ("name_1", "name_2", "giver")
        )
        assert {item.answer.strip(), giver} == {first, second}
        assert item.foil == f" {giver}"
        others = {_at(WORDS, broken, found.roles[role]) for role in people}
        assert len(others) == 3
        assert not others & {first, second}
        for role in ("place", "thing"):
            assert _at(WORDS, row, found.roles[role]) == _at(WORDS, broken, found.roles[role])
        orders.add(giver == first)
    assert orders == {True, False}  # ABBA and BABA
    assert _at(WORDS, found.clean[0], found.roles["place"]) in task_words.PLACES


def test_prompts_whose_roles_stand_elsewhere_do_not_go_together(monkeypatch: pytest.MonkeyPatch):
    """Of two templates with equally many words, names one word apart, a set keeps one."""
    told = "{name_1} and {name_2} %s the {place} , {giver} gave the {thing} to"
    templates = (f"When {told % 'in'}", told % "passed through")
    monkeypatch.setattr(task_words, "GIVING", templates)
    found = tasks.task_set(WORDS, "indirect-objects", 40, 0)
    assert found.n_drawn > 40
    for row in found.clean:
        names = [_at(WORDS, row, found.roles[role]) for role in ("name_1", "name_2", "giver")]
        assert set(names) <= set(task_words.NAMES)


def test_facts_are_asked_once_and_their_foils_never():
    known = {
        (relation, pair.split()[0]): pair.split()[1]
        for relation, pairs in task_words.FACTS.items()
        for pair in pairs
    }
    found = tasks.task_set(WORDS, "facts", 100, 4)
    asked = [tuple(item.clean.split()[i] for i in (1, 3)) for item in found.items]
    instead = [tuple(item.corrupted.split()[i] for i in (1, 3)) for item in found.items]
    assert len(set(asked)) == 100
    assert not set(asked) & set(instead)
    for item, fact, other in zip(found.items, asked, instead, strict=True):
        assert item.answer.strip() == known[fact]
        assert fact[0] == other[0]
        assert len({item.answer.strip(), item.foil.strip(), known[other]}) == 3
    assert np.all(found.answer != found.foil)
    with pytest.raises(BadInput, match="only .* of 'facts' .* 1000 were wanted: ask for fewer"):
        tasks.task_set(WORDS, "facts", 1000)


def test_facts_are_well_formed():
    for relation, pairs in task_words.FACTS.items():
        subjects = [pair.split()[0] for pair in pairs]
        assert all(len(pair.split()) == 2 for pair in pairs), relation
        assert len(set(subjects)) == len(subjects), relation
    assert len(set(task_words.NAMES)) == len(task_words.NAMES) == 100
    assert len(task_words.PLACES) == len(task_words.THINGS) == 8
    assert len(set(task_words.GIVING)) == 15


def test_masked_sets_count_from_the_first_term_to_the_mask():
    found = tasks.task_set(WORDS, "numerals", 30, 0, is_masked=True)
    decoded = [WORDS.convert_ids_to_tokens(row.tolist()) for row in found.clean]
    for row in decoded:
        assert row[0] == "[CLS]"
        assert row[-2:] == ["[MASK]", "[SEP]"]
        assert [row[found.roles[f"term_{i}"][0]] for i in range(1, 5)] == ["1", "2", "3", "4"]
    assert found.position == len(decoded[0]) - 2
    assert {WORDS.decode([i]) for i in found.answer} == {"5"}
    assert {WORDS.decode([i]) for i in found.foil} == {"4"}
    with pytest.raises(BadInput, match="no mask token: give a masked model"):
        tasks.task_set(BYTES, "numerals", 3, is_masked=True)


def test_a_tokenizer_that_cuts_too_differently_is_refused():
    # Five months in a row are never equally long.
    with pytest.raises(BadInput, match="of 'January' to 'December' at most 2 are"):
        tasks.task_set(BYTES, "months", 5)


@pytest.mark.parametrize(
    ("name", "n", "message"),
    [
        ("letters", 3, "task 'letters' is unknown: give one of numerals, "),
        ("zoo-letters", 3, "task 'zoo-letters' is unknown"),
        ("numerals", 0, "0 prompts of 'numerals' were asked for"),
    ],
)
def test_what_does_not_exist_is_refused(name: str, n: int, message: str):
    with pytest.raises(BadInput, match=message):
        tasks.task_set(WORDS, name, n)


def test_the_zoo_has_sets_in_its_own_words():
    assert tasks.name_for("months", is_zoo=True) == "zoo-months"
    assert tasks.name_for("zoo-months", is_zoo=True) == "zoo-months"
    assert tasks.name_for("mine.jsonl", is_zoo=True) == "mine.jsonl"
    assert tasks.name_for("months", is_zoo=False) == "months"


def test_filtered_keeps_what_a_model_gets_right_by_far():
    given_ = tasks.task_set(WORDS, "numerals", 4, 0)
    top = given_.answer.copy()
    top[1] = given_.foil[1]
    # exp(0.69) = 1.994 is not twice as likely, exp(0.70) = 2.014 is.
    kept = tasks.filtered(given_, top, np.array([5.0, 5.0, 0.69, 0.70]), "org/teacher@1")
    assert kept.keys == (given_.keys[0], given_.keys[3])
    assert np.array_equal(kept.clean, given_.clean[[0, 3]])
    assert np.array_equal(kept.foil, given_.foil[[0, 3]])
    assert kept.items == (given_.items[0], given_.items[3])
    assert (kept.name, kept.filtered_by) == ("numerals-filtered", "org/teacher@1")
    everything = tasks.filtered(given_, given_.answer, np.full(4, 9.0), "org/teacher@1")
    other = tasks.filtered(given_, given_.answer, np.full(4, 9.0), "org/student@1")
    assert len({given_.sha256, everything.sha256, other.sha256, kept.sha256}) == 4
    with pytest.raises(BadInput, match="gets none of 4 prompts of 'numerals' right by far"):
        tasks.filtered(given_, given_.foil, np.full(4, 9.0), "org/teacher@1")


def _line(**changed: Any) -> str:
    fields = {"clean": "Ann saw Tom.", "corrupted": "Tom saw Ann.", "answer": " yes", "foil": " no"}
    return json.dumps(fields | changed)


def _file(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_own_prompts_with_roles(tmp_path: Path):
    lines = [_line(roles={"who": 0, "whom": 2}, prompt_id="a"), _line(roles={"who": 0, "whom": 2})]
    found = tasks.task_set(BYTES, _file(tmp_path, *lines, "no JSON, but not asked for"), 2)
    assert found.name == "mine"
    assert found.keys == ("a", "line-2")
    assert BYTES.decode(found.clean[0]) == "Ann saw Tom. "
    assert BYTES.decode(found.corrupted[0]) == "Tom saw Ann. "
    assert [BYTES.decode([i]) for i in (found.answer[0], found.foil[0])] == ["y", "n"]
    assert found.roles == {"who": (0, 1, 2), "whom": (8, 9, 10), "final": (12,)}
    assert found.position == 12


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"is empty: give one JSON object a line, \{\"clean\""),
        ([_line(), "{not json"], "line 2: no JSON"),
        ([_line(), '["a list"]'], "line 2: wants four texts"),
        ([_line(answer=" ")], "line 1: wants four texts"),
        ([_line(corrupted="Tom saw.")], "line 1: its clean prompt has 13 tokens and its corru.* 9"),
        ([_line(), _line(clean="Al saw.", corrupted="Al ran.")], "2: .* 8 tokens .* of line 1 13"),
        ([_line(foil=" yes")], "line 1: answer ' yes' and foil ' yes' begin with the same tokens"),
        ([_line(foil=" yesterday")], "begin with the same tokens"),
        ([_line(roles={"who": 3})], r"line 1: `roles` .* is no object of word numbers, 0 to 2"),
        ([_line(roles=["who"])], "line 1: `roles`"),
        ([_line(roles={"a": 0}), _line(roles={"a": 1})], "line 2: its roles stand at other tokens"),
        ([_line(prompt_id="a"), _line(prompt_id="a")], "line 2: the id 'a' stands there twice"),
    ],
)  # fmt: skip
def test_own_prompts_that_cannot_be_used(tmp_path: Path, lines: list[str], message: str):
    with pytest.raises(BadInput, match=message):
        tasks.task_set(BYTES, _file(tmp_path, *lines), 10)


def test_a_file_that_does_not_exist(tmp_path: Path):
    with pytest.raises(BadInput, match="nowhere.jsonl' does not exist: give one of numerals"):
        tasks.task_set(BYTES, str(tmp_path / "nowhere.jsonl"), 1)


def test_own_masked_prompts_want_one_token(tmp_path: Path):
    text = {"clean": "Ring lost in 1.", "corrupted": "Ring lost in 3."}
    good = _file(tmp_path, _line(**text, answer=" 2", foil=" 4"))
    found = tasks.task_set(WORDS, good, 1, is_masked=True)
    assert WORDS.decode(found.answer) == "2"
    bad = _file(tmp_path, _line(**text, answer=" 2 3", foil=" 4"))
    with pytest.raises(BadInput, match="line 1: answer ' 2 3' or foil ' 4' is not one token"):
        tasks.task_set(WORDS, bad, 1, is_masked=True)
    same = _file(tmp_path, _line(**text, answer=" 4", foil=" 4"))
    with pytest.raises(BadInput, match="line 1: answer ' 4' and foil ' 4' are the same token"):
        tasks.task_set(WORDS, same, 1, is_masked=True)
