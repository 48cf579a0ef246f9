"""Cutting a text into sentences, and sentences into spans of a few words.

Both are exact partitions: joined again they are the text, to the character. A boundary ends the
sentence before it, its blanks with it; a full stop ends one only before blanks, so that decimals
and `a.b` stay whole. The published pattern is not known (arXiv 2512.20908); this is the project's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

# A mark of reasoning; a line break; or a stop, its closing quotes, and blanks or the end.
_BOUNDARY = re.compile(
    r"(?P<special></?think>\s*)|\n+\s*|(?<=[.!?。！？])[\"'”’)\]}]*(?:[ \t]+|\Z)"
)
_ABBREVIATION = re.compile(
    r"(?<!\w)(?:e\.g|i\.e|etc|vs|cf|al|approx|Fig|Eq|No|Dr|Mr|Mrs|Ms|Prof|St)\.\Z"
)
_ENUMERATOR = re.compile(r"^\s*(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})[.)]\Z")
MIN_CHARACTERS = 3  # that are no blanks; a shorter piece belongs to what follows it
LONG_TOKENS = 512
SPAN_WORDS = 4


@dataclass(frozen=True, slots=True)
class Sentence:
    """Characters `start` to `end` (not included) of a text."""

    start: int
    end: int
    is_special: bool  # a mark of reasoning, no sentence


def segment(text: str) -> list[Sentence]:
    """The sentences of a text, in order; they partition it. An empty text has none."""
    pieces = [piece for piece in _pieces(text) if piece.end > piece.start]
    return _without_short(text, _without_blank(text, pieces))


def spans(text: str, sentence: Sentence) -> list[tuple[int, int]]:
    """A sentence cut before every fourth word, as (start, end); they partition it.

    The last has four to seven words; a sentence of fewer than eight is one span.
    """
    words = [
        found.start() for found in re.compile(r"\S+").finditer(text, sentence.start, sentence.end)
    ]
    n_spans = max(1, len(words) // SPAN_WORDS)
    cuts = [sentence.start, *(words[SPAN_WORDS * i] for i in range(1, n_spans)), sentence.end]
    return list(pairwise(cuts))


def _pieces(text: str) -> Iterator[Sentence]:
    """Cut after every boundary that is one; pieces may be blank or empty."""
    last = 0
    for found in _BOUNDARY.finditer(text):
        if found["special"] is not None:
            yield Sentence(last, found.start(), is_special=False)
            yield Sentence(found.start(), found.end(), is_special=True)
        elif "\n" not in found[0] and _is_no_end(text[last : found.start()]):
            continue
        else:
            yield Sentence(last, found.end(), is_special=False)
        last = found.end()
    yield Sentence(last, len(text), is_special=False)


def _is_no_end(before: str) -> bool:
    """Whether a stop belongs to an abbreviation or numbers an item of a list."""
    return bool(_ABBREVIATION.search(before) or _ENUMERATOR.match(before))


def _without_blank(text: str, pieces: list[Sentence]) -> list[Sentence]:
    """Blank pieces belong to the one before; at the beginning, to the one after."""
    kept: list[Sentence] = []
    start = 0
    for piece in pieces:
        if text[piece.start : piece.end].strip():
            kept.append(Sentence(start, piece.end, piece.is_special))
        elif kept:
            kept[-1] = Sentence(kept[-1].start, piece.end, kept[-1].is_special)
        else:
            continue  # the next one begins where this one did
        start = piece.end
    if not kept and text:
        return [Sentence(0, len(text), is_special=False)]
    return kept


def _without_short(text: str, pieces: list[Sentence]) -> list[Sentence]:
    """Short pieces join the sentence after them; before a mark or the end they stay."""
    kept: list[Sentence] = []
    for piece in pieces:
        before = kept[-1] if kept else None
        joins = before is not None and not before.is_special and not piece.is_special
        if before is not None and joins and _is_short(text[before.start : before.end]):
            kept[-1] = Sentence(before.start, piece.end, is_special=False)
        else:
            kept.append(piece)
    return kept


def _is_short(piece: str) -> bool:
    return len("".join(piece.split())) < MIN_CHARACTERS
