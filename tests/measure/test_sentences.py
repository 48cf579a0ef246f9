"""Segmentation: examples worked by hand, and an exact partition of any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measure import sentences


def pieces(text: str) -> list[str]:
    return [text[s.start : s.end] for s in sentences.segment(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("One. Two? Three!", ["One. ", "Two? ", "Three!"]),
        ("x is 3.14 and a.b is whole. Yes.", ["x is 3.14 and a.b is whole. ", "Yes."]),
        ("See e.g. Fig. 3 vs. Eq. 4. Then stop.", ["See e.g. Fig. 3 vs. Eq. 4. ", "Then stop."]),
        ("He met Dr. No. They left.", ["He met Dr. No. They left."]),  # "No." is an abbreviation
        ("Casino. It closed.", ["Casino. ", "It closed."]),  # ends in letters of one, is none
        ("1. Add them.\n2. Halve it.", ["1. Add them.\n", "2. Halve it."]),
        ("iv) fourth\nB. last", ["iv) fourth\n", "B. last"]),
        ('He said "stop." Then (he left.) Fine', ['He said "stop." ', "Then (he left.) ", "Fine"]),
        ("a line\n\n  next line", ["a line\n\n  ", "next line"]),
        ("今天很好。 我们走吧！」\n好的", ["今天很好。 ", "我们走吧！」\n", "好的"]),
        (
            "今天很好。我们走吧！",
            ["今天很好。我们走吧！"],
        ),  # a stop needs a blank after it, by the rule
        ("Ok. A. Sure thing.", ["Ok. ", "A. Sure thing."]),
        ("I. Go on.", ["I. Go on."]),
        ("The sum\n=\n4 in all.", ["The sum\n", "=\n4 in all."]),  # too short for itself
        (r"So $x = \frac{1}{2}$. Hence.", [r"So $x = \frac{1}{2}$. ", "Hence."]),
        ("def f(x):\n    return x.y\n", ["def f(x):\n    ", "return x.y\n"]),
    ],
)
def test_examples_worked_by_hand(text: str, expected: list[str]):
    assert pieces(text) == expected


def test_marks_of_reasoning_stand_alone():
    text = " <think> We start with 3. So it is 6. </think> 6\n"
    found = sentences.segment(text)
    assert [(text[s.start : s.end], s.is_special) for s in found] == [
        (" <think> ", True),
        ("We start with 3. ", False),
        ("So it is 6. ", False),
        ("</think> ", True),
        ("6\n", False),  # short, with nothing after it to join
    ]


def test_a_short_piece_does_not_cross_a_mark():
    text = "7\n<think>Then more."
    assert pieces(text) == ["7\n", "<think>", "Then more."]


def test_blank_text_is_one_sentence():
    assert pieces("  \n ") == ["  \n "]


PARTS = st.sampled_from(
    [". ", "! ", "? ", ".\n", "\n\n", "<think>", "</think>\n", "e.g. ", "1. ", " ", "。", "”", ")",
     "word", "3.14", "x", r"\frac{1}{2}", "$", "é", "漢字", "\t", "\u2028", "\r\n"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(PARTS | st.text(max_size=4), max_size=30).map("".join))
def test_sentences_and_spans_partition_any_text(text: str):
    found = sentences.segment(text)
    assert "".join(text[s.start : s.end] for s in found) == text
    assert all(s.end > s.start for s in found)
    assert [s.start for s in found[1:]] == [s.end for s in found[:-1]]
    for sentence in found:
        cut = sentences.spans(text, sentence)
        assert cut[0][0] == sentence.start
        assert cut[-1][1] == sentence.end
        assert [start for start, _ in cut[1:]] == [end for _, end in cut[:-1]]
        assert all(end > start for start, end in cut)
        is_mark = text[sentence.start : sentence.end].strip() in ("<think>", "</think>")
        assert sentence.is_special == is_mark


def test_spans_have_four_words_and_the_last_the_rest():
    text = "one two three four five six seven eight nine ten eleven"
    (sentence,) = sentences.segment(text)
    cut = [text[start:end] for start, end in sentences.spans(text, sentence)]
    assert cut == ["one two three four ", "five six seven eight nine ten eleven"]
    (short,) = sentences.segment("only three words")
    assert sentences.spans("only three words", short) == [(0, 16)]
