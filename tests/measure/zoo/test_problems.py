import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measure.zoo import problems, words
from measure.zoo.problems import CONDITIONS, HORIZONS, MAX_VALUE

_N = 400
_STORIES = [problems.story(5, i, is_held_out=False) for i in range(_N)]
_COMES = r"^{who} finds (\d+)\.$|^{who} buys (\d+)\.$|^{who} gets (\d+) from"
_GOES = r"^{who} lends (\d+) to|^{who} loses (\d+)\.$|^{who} sells (\d+)\.$"


def _sentences(made: problems.Problem) -> list[str]:
    return made.question.split(". ")


def _read(question: str) -> int:
    """Work the answer out from the words alone, by patterns of its own."""
    asked = re.search(r"How many (\w+) does (\w+) have now\?$", question)
    assert asked is not None
    many, who = asked.groups()
    total = 0
    for sentence in re.split(r"(?<=\.) ", question)[:-1]:
        start = re.search(rf"^(?:At first )?{who} (?:has|had) (\d+) {many}\.$", sentence)
        if start is not None:
            total += int(start[1])
        elif (gone := re.search(_GOES.format(who=who), sentence)) is not None:
            total -= next(int(n) for n in gone.groups() if n)
        elif (come := re.search(_COMES.format(who=who), sentence)) is not None:
            total += next(int(n) for n in come.groups() if n)
        else:
            assert re.fullmatch(r"\w+ has \d \w+\.", sentence), sentence  # the irrelevant one
            assert f" {many}." not in sentence
    return total


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("horizon", HORIZONS)
def test_every_answer_is_what_the_words_say(horizon: str, condition: str):
    for told in _STORIES:
        made = problems.problem(told, horizon, condition)  # pyright: ignore[reportArgumentType]
        assert made.answer == _read(made.question), made.question


def test_variants_of_a_story_are_linked_and_keep_their_answer():
    for told in _STORIES:
        for horizon in HORIZONS:
            variants = [problems.problem(told, horizon, c) for c in CONDITIONS]
            assert len({made.story_id for made in variants}) == 1
            assert len({made.answer for made in variants}) == 1
            assert len({made.question for made in variants}) == len(CONDITIONS)
            assert len({tuple(sorted(made.changes)) for made in variants}) == 1


def test_conditions_change_what_they_say():
    for told in _STORIES:
        clean, order, renamed, irrelevant = (problems.problem(told, "long", c) for c in CONDITIONS)
        assert {order.who, irrelevant.who} == {clean.who}
        assert order.question.index("At first") > 0  # another premise comes first
        assert renamed.who in words.RARE_PEOPLE
        assert renamed.many != clean.many
        assert renamed.changes == irrelevant.changes == clean.changes
        assert len(_sentences(irrelevant)) == len(_sentences(clean)) + 1
        assert set(_sentences(clean)) < set(_sentences(irrelevant))
        events = [set(_sentences(p)[:-1]) for p in (clean, order)]
        # All but the opening, which says "At first ... had" where it may stand anywhere.
        assert len(events[0] ^ events[1]) <= 2


def test_the_long_problem_goes_on_from_the_short_one_and_is_at_least_twice_as_long():
    lengths: Counter[int] = Counter()
    for told in _STORIES:
        short, long = (problems.problem(told, horizon, "clean") for horizon in HORIZONS)
        assert long.changes[: len(short.changes)] == short.changes
        assert len(long.changes) == len(short.changes) + 2 >= 2 * len(short.changes)
        lengths[len(short.changes)] += 1
    assert set(lengths) == {1, 2}


def test_sums_stay_in_range_in_every_order():
    for told in _STORIES:
        for condition in CONDITIONS:
            made = problems.problem(told, "long", condition)
            gains_first = sorted(made.changes, key=lambda change: change < 0)
            for changes in (made.changes, gains_first):
                results = [s.result for s in problems.steps_of(made.start, changes)]
                assert min(results) >= 0
                assert max(results) <= MAX_VALUE
                assert results[-1] == made.answer


def test_steps_are_written_as_true_sums():
    for made in problems.problems(6, _N, is_held_out=False, horizon="long"):
        value = made.start
        for step in made.steps:
            left, sign, operand, result = re.fullmatch(
                r"(\d+) ([+-]) (\d+) = (\d+)", step.sum_text
            ).groups()  # pyright: ignore[reportOptionalMemberAccess]
            assert int(left) == value
            value = int(result)
            assert value == int(left) + int(sign + operand)


def test_an_item_depends_on_its_index_only():
    ten = problems.problems(3, 10, is_held_out=False)
    assert problems.problems(3, 100, is_held_out=False)[:10] == ten
    assert problems.problems(4, 10, is_held_out=False) != ten


def test_no_story_stands_in_both_splits():
    train, held_out = (
        {p.question for p in problems.problems(1, 2000, is_held_out=is_held_out)}
        for is_held_out in (False, True)
    )
    assert len(held_out) > 1500
    assert not train & held_out


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
    assert problems.extract_answer(text) == answer


@given(st.integers(-999, 999))
def test_any_whole_number_is_read(n: int):
    assert problems.extract_answer(f" {n}\n") == n
    assert problems.extract_answer(f" <think> {n + 1} </think> {n}") == n
