from itertools import islice

import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from measure import zoo
from measure.errors import BadInput
from measure.task_items import Item
from measure.tasks import task_set
from measure.zoo import tasks, words
from tests.conftest import byte_tokenizer

_FAMILIES = {m.family: m.path for m in zoo.shipped()}
_N = 300


def _items(task: str) -> list[Item]:
    return list(islice(tasks.items(task, 3), _N))


@pytest.mark.parametrize(
    ("task", "terms"),
    [
        ("numerals", tuple("123456789")),
        ("number-words", words.NUMBER_WORDS),
        ("months", words.MONTHS),
    ],
)
def test_sequences_count_up_and_corrupted_ones_do_not(task: str, terms: tuple[str, ...]):
    firsts: set[int] = set()
    for item in _items(task):
        clean, corrupted = (
            [terms.index(part.split(".")[0]) for part in text.split(" in ")[1:]]
            for text in (item.clean, item.corrupted)
        )
        assert np.diff(clean).tolist() == [1, 1, 1]
        assert 1 not in np.diff(corrupted)
        assert item.answer == f" {terms[clean[-1] + 1]}"
        assert item.foil == f" {terms[clean[-1]]}"
        assert item.clean.endswith(" in")
        # All but the terms is the same.
        words_of = (text.replace(".", "").split() for text in (item.clean, item.corrupted))
        assert all(a == b or {a, b} <= set(terms) for a, b in zip(*words_of, strict=True))
        firsts.add(clean[0])
    assert firsts == set(range(len(terms) - 4))


def test_the_indirect_object_is_the_one_who_does_not_give():
    for item in _items("indirect-objects"):
        people = [word for word in item.clean.replace(".", "").replace(",", "").split()
                  if word in words.PEOPLE]  # fmt: skip
        assert len(people) == 3
        assert item.foil == f" {people[2]}"
        assert item.answer.strip() in people[:2]
        assert item.answer != item.foil
        corrupted = [word for word in item.corrupted.replace(".", "").replace(",", "").split()
                     if word in words.PEOPLE]  # fmt: skip
        assert len(set(corrupted)) == 3
        assert not set(corrupted) & set(people)


def test_facts_are_the_same_wherever_they_are_asked():
    known: dict[str, str] = {}
    for item in _items("facts"):
        assert known.setdefault(item.clean, item.answer) == item.answer
        assert item.foil != item.answer
        asked = item.corrupted.removeprefix("Q: What colour is the door of the ").split("?")[0]
        assert f" {tasks.DOORS[asked]}" != item.answer
    assert len(known) == len(words.PLACES)


@pytest.mark.parametrize("family", _FAMILIES)
@pytest.mark.parametrize("task", tasks.TASKS)
def test_a_set_has_its_words_at_the_same_positions(family: str, task: str):
    tokenizer = AutoTokenizer.from_pretrained(_FAMILIES[family])
    found = task_set(tokenizer, f"zoo-{task}", 100, 1)
    assert found.clean.shape == found.corrupted.shape
    assert found.clean.shape[0] == len(found.answer) == len(found.foil) == 100
    assert np.all(found.answer != found.foil)
    for clean, corrupted in zip(found.clean[:20], found.corrupted[:20], strict=True):
        cut = [
            [token.startswith(("Ġ", "Ċ")) for token in tokenizer.convert_ids_to_tokens(row)]
            for row in (clean.tolist(), corrupted.tolist())
        ]
        assert cut[0] == cut[1]


# A token a letter: hardly two prompts have words of the same lengths.
_LETTERS = PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer())


def test_a_tokenizer_that_cuts_too_differently_is_refused():
    with pytest.raises(BadInput, match="prompts of 'zoo-months' .* were wanted: ask for fewer"):
        task_set(_LETTERS, "zoo-months", 20, 1)


def test_a_set_scores_the_first_token_where_answer_and_foil_differ():
    found = task_set(_LETTERS, "zoo-numerals", 5, 1)
    made = {f"{item.clean} ": item for item in islice(tasks.items("numerals", 1), found.n_drawn)}
    kept = [made[_LETTERS.decode(row)] for row in found.clean]
    assert [_LETTERS.decode([i]) for i in found.answer] == [item.answer.strip() for item in kept]
    assert [_LETTERS.decode([i]) for i in found.foil] == [item.foil.strip() for item in kept]


def test_documents_are_clean_prompts_with_their_answers():
    for task in tasks.TASKS:
        text = tasks.document(task, 1, 4, is_held_out=False)
        assert text.endswith("\n")
        assert text != tasks.document(task, 1, 4, is_held_out=True)
        assert text == tasks.document(task, 1, 4, is_held_out=False)
