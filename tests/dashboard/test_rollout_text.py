"""A rollout as HTML: nothing of it is markup, nothing of it is lost."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from dashboard import charts, rollout_text

ATTACKS = (
    "<script>alert(1)</script>", "</span></div><b>", "\"' onfocus=alert(1) x=\"", "&lt;b&gt;",
    "**bold** [x](javascript:alert(1)) $x^2$ `code`", "<!-- ", "line\n\n  two\ttabs",
    "\u202eright to left",
)  # fmt: skip


class Seen(HTMLParser):
    """Tags, attributes and text as a browser takes them."""

    def __init__(self, body: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.says: list[str] = []
        self.text = ""
        self.feed(body)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.says += [value or "" for name, value in attrs if name == "data-says"]

    def handle_data(self, data: str) -> None:
        self.text += data


def sentence(text: str, label: str | None = "Teacher", number: int = 0, **other: Any) -> dict:
    return {
        "sentence": number, "text": text, "label4": label, "boosted": None, "reason": None,
        "is_special": False, "rel_pos": 0.5, "p_teacher": 0.5, "p_student": 0.25,
        "p_distilled": None,
    } | other  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_is_text(attack):
    plain = Seen(rollout_text.plain(attack))
    assert plain.tags == {"div", "span"} and plain.text == attack
    row = sentence(attack, label=None, reason=attack)
    marked = Seen(rollout_text.marked([row], None))
    assert marked.tags == {"div", "span"} and marked.text == attack
    assert marked.attributes == {"class", "tabindex", "data-says"}
    assert len(marked.says) == 1 and f"no label: {attack}" in marked.says[0]


def test_each_label_has_a_letter_a_line_and_a_colour_of_its_own():
    labels = list(rollout_text.LABEL_COLOURS)
    assert len(set(rollout_text.LABEL_COLOURS.values())) == len(labels) == 4
    assert len(set(rollout_text.LETTERS.values())) == 4
    rules = {label: re.search(rf"\.cx-{label} {{border-bottom: 3px (\w+)", rollout_text.STYLE)
             for label in labels}  # fmt: skip
    assert len({rule.group(1) for rule in rules.values() if rule}) == 4
    assert rollout_text.LABEL_COLOURS["Shared"] == charts.GREY
    legend = Seen(rollout_text.legend()).text
    assert all(f"{rollout_text.LETTERS[label]}{label}: " in legend for label in labels)


def test_the_first_divergence_is_marked_before_its_sentence():
    rows = [sentence("A. ", number=4), sentence("B.", "Boosted", 7, boosted="boosted_up")]
    seen = Seen(rollout_text.marked(rows, 7))
    assert seen.text == "TA. parts from the teacher ▸BB."
    assert "parts from" not in Seen(rollout_text.marked(rows, None)).text
    assert seen.says[1] == (
        "Sentence 8, 50.0\u00a0% into the rollout · Boosted (boosted up)\n"
        "probability: teacher 0.500 · base 0.250 · distilled –"
    )


def test_a_mark_of_reasoning_has_no_probabilities():
    row = sentence("<think>", None, is_special=True, rel_pos=None)
    assert Seen(rollout_text.marked([row], None)).says == [
        "a mark of reasoning: no statistic counts it"
    ]


def test_a_sentence_without_an_end_is_cut_and_says_so():
    text = "x" * (rollout_text.MOST_CHARS + 1_500)
    seen = Seen(rollout_text.plain(text)).text
    assert seen == "x" * rollout_text.MOST_CHARS + " … (1,500 more characters)"
