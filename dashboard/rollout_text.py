"""A rollout as HTML: each sentence marked by where it comes from. Every text is untrusted input."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from dashboard.words import number, percent

# Okabe & Ito's and a grey: of their fours the ones that lie farthest apart in every common kind of
# colour vision. Each also has a letter and a line of its own.
LABEL_COLOURS = {
    "Teacher": "#D55E00",
    "Boosted": "#56B4E9",
    "Shared": "#8A8F94",
    "Student": "#0072B2",
}
LETTERS = {"Teacher": "T", "Boosted": "B", "Shared": "=", "Student": "S"}
_LINES = {"Teacher": "solid", "Boosted": "double", "Shared": "dotted", "Student": "dashed"}
_LETTER_INK = {"Teacher": "#000", "Boosted": "#000", "Shared": "#000", "Student": "#fff"}
MEANINGS = {
    "Teacher": "likelier under the teacher than under the base",
    "Boosted": "teacher and base agree, the distilled model does not",
    "Shared": "alike under all three models",
    "Student": "likelier under the base than under the teacher",
}
MOST_CHARS = 4_000  # of one sentence or problem; the rest is in the download

STYLE = (
    """<style>
.cx-text {white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2; max-width: 46rem}
.cx-text span, .cx-key span {unicode-bidi: isolate}
.cx-key {display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; line-height: 1.6}
.cx-s {border-bottom: 3px solid transparent; border-radius: 2px; padding-bottom: 1px;
  margin-right: .15em}
.cx-s:hover, .cx-s:focus {outline: 2px solid currentColor; outline-offset: 1px}
.cx-none {opacity: .65}
.cx-l {display: inline-block; min-width: 1.15em; margin-right: .25em; padding: 0 .2em;
  border-radius: 3px; font: 700 .72rem/1.3 ui-monospace, monospace; text-align: center;
  vertical-align: .1em; white-space: nowrap}
.cx-d {background: #1d2329; color: #fff; border: 1px solid #8A8F94}
.cx-s:hover::after, .cx-s:focus::after {content: attr(data-says); white-space: pre-line;
  position: fixed; z-index: 1000; left: 50%; bottom: 1rem; transform: translateX(-50%);
  width: max-content; max-width: calc(100vw - 2rem); box-sizing: border-box; padding: .5rem .8rem;
  border: 1px solid #8A8F94; border-radius: 6px; background: #1d2329; color: #fff;
  font-size: .875rem; font-weight: 400; line-height: 1.5; text-align: left;
  pointer-events: none}
"""
    + "\n".join(
        f".cx-{label} {{border-bottom: 3px {_LINES[label]} {colour}; background: {colour}2b}}\n"
        f".cx-l.cx-{label} {{background: {colour}; color: {_LETTER_INK[label]}; border: 0}}"
        for label, colour in LABEL_COLOURS.items()
    )
    + "\n</style>"
)


def legend() -> str:
    """What the four letters and colours mean."""
    keys = (
        f"<span>{_letter(label)}<span class='cx-s cx-{label}'>{label}</span>: {meaning}</span>"
        for label, meaning in MEANINGS.items()
    )
    return f"<div class='cx-key'>{''.join(keys)}</div>"


def plain(text: str) -> str:
    """A text as it stands, line breaks kept."""
    return f"<div class='cx-text'><span>{escape(cut(text))}</span></div>"


def marked(sentences: Iterable[Mapping[str, Any]], first_divergence: int | None) -> str:
    """Rows of the mart `sentence` in their order; hover or the Tab key shows probabilities."""
    inside = "".join(_sentence(row, first_divergence) for row in sentences)
    return f"<div class='cx-text'>{inside}</div>"


def _sentence(row: Mapping[str, Any], first_divergence: int | None) -> str:
    mark = ""
    if row["sentence"] == first_divergence:
        mark = "<span class='cx-l cx-d'>parts from the teacher ▸</span>"
    label = row["label4"]
    letter, kind = (_letter(label), label) if label in LABEL_COLOURS else ("", "none")
    return (
        f"{mark}<span class='cx-s cx-{kind}' tabindex='0' data-says=\"{escape(_says(row))}\">"
        f"{letter}{escape(cut(row['text'] or ''))}</span>"
    )


def _says(row: Mapping[str, Any]) -> str:
    """What is known of a sentence, in two lines."""
    if row["is_special"]:
        return "a mark of reasoning: no statistic counts it"
    first = row["label4"] or "no label"
    if row["boosted"]:
        first += f" ({row['boosted'].replace('_', ' ')})"
    if row["reason"]:
        first += f": {row['reason']}"
    of_models = (f"{name} {number(row[column])}" for name, column in _MODELS.items())
    place = "" if row["rel_pos"] is None else f", {percent(row['rel_pos'])} into the rollout"
    return f"Sentence {row['sentence'] + 1}{place} · {first}\nprobability: {' · '.join(of_models)}"


_MODELS = {"teacher": "p_teacher", "base": "p_student", "distilled": "p_distilled"}


def _letter(label: str) -> str:
    return f"<span class='cx-l cx-{label}'>{LETTERS[label]}</span>"


def cut(text: str) -> str:
    """What is drawn of a text; of a long one its beginning, and how much is left out."""
    left_out = len(text) - MOST_CHARS
    return text if left_out <= 0 else f"{text[:MOST_CHARS]} … ({left_out:,} more characters)"
