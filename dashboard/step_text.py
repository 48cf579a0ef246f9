"""A rollout as HTML, the sentences marked at which a step is over its limit or outside its region.

Every text is untrusted input.
"""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from dashboard import rollout_text
from dashboard.words import number

VIOLATION, OUTSIDE = "#D55E00", "#0072B2"  # of Okabe and Ito; each has a letter and a line, too
LETTERS = {"V": "burden above the teacher's limit", "O": "arrives outside the model's own region"}
STYLE = f"""<style>
.cx-v {{border-bottom: 3px solid {VIOLATION}; background: {VIOLATION}2b}}
.cx-o {{border-bottom: 3px dashed {OUTSIDE}; background: {OUTSIDE}2b}}
.cx-v.cx-o {{border-bottom: 5px double {VIOLATION}; background: {VIOLATION}2b}}
.cx-l.cx-v {{background: {VIOLATION}; color: #000; border: 0}}
.cx-l.cx-o {{background: {OUTSIDE}; color: #fff; border: 0}}
</style>"""


def legend() -> str:
    """What the two letters mean."""
    keys = (
        f"<span>{_letter(letter)}<span class='cx-s cx-{letter.lower()}'>{meaning}</span></span>"
        for letter, meaning in LETTERS.items()
    )
    return f"<div class='cx-key'>{''.join(keys)}</div>"


def marked(text: str, steps: Iterable[Mapping[str, Any]]) -> str:
    """A completion with its steps, rows of `stability_step` in order; the rest as it stands."""
    parts: list[str] = []
    at = 0
    for step in steps:
        parts.append(_plain(text[at : step["char_start"]]))
        parts.append(_step(text[step["char_start"] : step["char_end"]], step))
        at = step["char_end"]
    return f"<div class='cx-text'>{''.join(parts)}{_plain(text[at:])}</div>"


def _plain(text: str) -> str:
    return f"<span class='cx-none'>{escape(rollout_text.cut(text))}</span>" if text else ""


def _step(text: str, step: Mapping[str, Any]) -> str:
    letters = [
        letter for letter, column in (("V", "is_violation"), ("O", "is_outside")) if step[column]
    ]
    kinds = "".join(f" cx-{letter.lower()}" for letter in letters)
    return (
        f"<span class='cx-s{kinds}' tabindex='0' data-says=\"{escape(_says(step))}\">"
        f"{''.join(map(_letter, letters))}{escape(rollout_text.cut(text))}</span>"
    )


def _says(step: Mapping[str, Any]) -> str:
    """What is known of a step, in two lines."""
    first = (
        f"Step {step['t'] + 1} · burden {number(step['b'])}, limit {number(step['b_limit'])} · "
        f"load {number(step['path_load'])}"
    )
    if step["distance"] is None:
        return f"{first}\n{step['reason'] or 'no region'}"
    return f"{first}\ndistance {number(step['distance'])}, radius {number(step['radius'])}"


def _letter(letter: str) -> str:
    return f"<span class='cx-l cx-{letter.lower()}'>{letter}</span>"
