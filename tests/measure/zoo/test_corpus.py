import re
from itertools import islice

import pytest

from measure.zoo import corpus, problems
from measure.zoo.recipes import TOKENIZER_MIX


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


def test_problems_come_in_both_horizons_and_all_conditions():
    told = [corpus.told_problem(2, i, is_held_out=False) for i in range(600)]
    shares = {c: sum(p.condition == c for p in told) / 600 for c in problems.CONDITIONS}
    # Four standard errors of a share of 600 are at most 0.082.
    assert shares["clean"] == pytest.approx(0.55, abs=0.082)
    assert all(shares[c] == pytest.approx(0.15, abs=0.06) for c in problems.CONDITIONS[1:])
    assert sum(p.horizon == "long" for p in told) / 600 == pytest.approx(0.5, abs=0.082)
    asked = [
        corpus.told_problem(2, i, is_held_out=False, horizon="short", is_clean=True)
        for i in range(50)
    ]
    assert {(p.horizon, p.condition) for p in asked} == {("short", "clean")}


def test_sums_are_true():
    for text in islice(corpus.documents(4, {"sums": 1.0}), 300):
        sums = re.findall(r"(\d+) ([+-]) (\d+) = (\d+)", text)
        assert len(sums) == 4
        for left, sign, operand, result in sums:
            assert int(left) + int(sign + operand) == int(result)
            assert 0 <= int(result) <= problems.MAX_VALUE


def test_stories_fill_every_slot_and_vary():
    stories = [corpus.narrative(2, i) for i in range(400)]
    assert len(set(stories)) == 400
    assert not [s for s in stories if "{" in s or "}" in s]
    assert all(s.endswith("\n") and s[0].isupper() for s in stories)


def test_no_training_document_asks_a_held_out_question():
    told = [problems.story(9, i, is_held_out=True) for i in range(500)]
    held_out = {
        problems.problem(story, horizon, condition).question
        for story in told
        for horizon in problems.HORIZONS
        for condition in problems.CONDITIONS
    }
    assert len(held_out) > 3500
    for kind in ("direct", "forward", "gains-first", "plain"):
        for text in islice(corpus.documents(9, {kind: 1.0}), 500):
            assert text.removeprefix("Q: ").split("\nA:")[0] not in held_out
    told_in = {q.rsplit(" How many ", 1)[0] for q in held_out}
    for kind, end in (("ledger", r" \d+ [+-] "), ("worked", " <think>")):
        for text in islice(corpus.documents(9, {kind: 1.0}), 500):
            assert re.split(end, text.removeprefix("Worked: "))[0] not in told_in


def test_worked_problems_reason_and_answer_no_question():
    for text in islice(corpus.documents(3, {"worked": 1.0}), 100):
        found = re.fullmatch(r"Worked: (.+) <think> (.+)\. </think> (\d+)\n", text)
        assert found
        assert "?" not in text and "A:" not in text
        assert found[2].rsplit(" = ", 1)[1] == found[3]
