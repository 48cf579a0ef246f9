import re
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measure.zoo import corpus
from measure.zoo.recipes import TOKENIZER_MIX

_ASKED = range(1500)


def _read(question: str) -> int:
    """Work the answer out from the words alone, by patterns of its own (no `Step` is read)."""
    boxes = re.fullmatch(
        r"\w+ has (\d+) \w+ with (\d+) \w+ in each\. How many .* in all\?", question
    )
    if boxes:
        return int(boxes[1]) * int(boxes[2])
    compared = re.search(r"has (\d+) \w+\. \w+ has (\d+) (more|fewer) than", question)
    if compared:
        left, n = int(compared[1]), int(compared[2])
        right = left + n if compared[3] == "more" else left - n
        return left + right if "together" in question else right
    start, *rest = re.findall(r"\d+(?: more)?", question)
    signed = [int(n.split()[0]) * (1 if n.endswith("more") else -1) for n in rest]
    return int(start) + sum(signed)


def test_every_answer_is_what_the_words_say():
    for held_out in (False, True):
        for made in corpus.problems(5, len(_ASKED), is_held_out=held_out):
            assert made.answer == _read(made.question), made.question


def test_steps_follow_from_each_other_and_stay_small():
    for made in corpus.problems(6, len(_ASKED), is_held_out=False):
        for step in made.steps:
            left, sign, operand, result = re.fullmatch(
                r"(\d+) ([+-]) (\d+) = (\d+)", step.sum_text
            ).groups()  # pyright: ignore[reportOptionalMemberAccess]
            assert int(result) == int(left) + int(sign + operand)
            assert 0 <= int(result) <= 60
        pairs = zip(made.steps, made.steps[1:], strict=False)
        assert all(before.result == after.left for before, after in pairs)


def test_all_forms_and_both_step_counts_occur():
    made = corpus.problems(6, len(_ASKED), is_held_out=False)
    steps = Counter(len(p.steps) for p in made)
    assert set(steps) == {1, 2, 3}
    endings = Counter(p.question.rsplit(" ", 1)[1] for p in made)
    assert set(endings) == {"now?", "have?", "together?", "all?"}


def test_an_item_depends_on_its_index_only():
    ten = corpus.problems(3, 10, is_held_out=False)
    assert corpus.problems(3, 200, is_held_out=False)[:10] == ten
    assert corpus.problem(3, 7, is_held_out=False) == ten[7]
    assert corpus.problems(4, 10, is_held_out=False) != ten


def test_documents_are_the_same_again_and_other_seeds_differ():
    def first(seed: int) -> list[str]:
        return list(islice(corpus.documents(seed, TOKENIZER_MIX), 40))

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_a_kind_keeps_its_documents_when_the_mix_changes():
    # Document i of a mix is document i of its kind, whatever else is in the mix.
    alone = list(islice(corpus.documents(1, {"narrative": 1.0}), 60))
    mixed = list(islice(corpus.documents(1, {"narrative": 0.5, "direct": 0.5}), 60))
    shared = [a == b for a, b in zip(alone, mixed, strict=True)]
    assert 15 <= sum(shared) <= 45


def test_traces_take_their_share_in_order_and_start_again():
    mix = {"traces": 0.5, "direct": 0.5}
    made = list(islice(corpus.documents(1, mix, traces=["a", "b", "c"]), 40))
    traces = [d for d in made if len(d) == 1]
    assert 10 <= len(traces) <= 30
    assert "".join(traces) == ("abc" * 40)[: len(traces)]
    with pytest.raises(ValueError, match="wants traces and none were given"):
        next(corpus.documents(1, mix))


def test_no_training_question_is_held_out():
    train = {p.question for p in corpus.problems(1, 3000, is_held_out=False)}
    held_out = {p.question for p in corpus.problems(1, 3000, is_held_out=True)}
    assert len(held_out) > 2500
    assert not train & held_out


def test_stories_fill_every_slot_and_vary():
    stories = [corpus.narrative(2, i) for i in range(400)]
    assert len(set(stories)) == 400
    assert not [s for s in stories if "{" in s or "}" in s]
    assert all(s.endswith("\n") and s[0].isupper() for s in stories)


@pytest.mark.parametrize("manner", corpus.MANNERS)
def test_rendered_answers_are_read_back(manner: str):
    for made in corpus.problems(8, 300, is_held_out=False):
        for text in (corpus.render_direct(made), corpus.render_reasoned(made, manner)):
            assert text.startswith(made.prompt)
            assert corpus.is_right(made, text)
            # A model's continuation comes without its prompt.
            assert corpus.is_right(made, text[len(made.prompt) :])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" 12\n", 12),
        (" -3\n", -3),
        (" 9.", 9),
        (" 9 pears, and 4 more", 9),
        ("Q: 2 boxes?\nA: 8\n", 8),
        (" <think> 7 + 5 = 12. </think> 12\n", 12),
        ("Q: x\nA: <think> 1 + 1 = 2. </think> 3\nQ: y\nA: 5", 3),
        ("", None),
        (" twelve", None),
        (" the answer is 12", None),
        (" 12.5", None),
        (" 1,200", None),
        (" <think> 7 + 5 = 12.", None),
        (" <think> 7 + 5 = 12. </think>", None),
        (" <think> 7 + 5 = 12. </think> so", None),
    ],
)
def test_extract_answer(text: str, answer: int | None):
    assert corpus.extract_answer(text) == answer


@given(st.integers(-999, 999))
def test_any_whole_number_is_read(n: int):
    assert corpus.extract_answer(f" {n}\n") == n
    assert corpus.extract_answer(f" <think> {n + 1} </think> {n}") == n
