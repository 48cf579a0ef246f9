"""Running text to harvest activations on: a .jsonl file of one's own, or the zoo's corpus.

`zoo-corpus` is what the embedded models can read: half of it problems worked out in the manners of
both teachers, half of it what a base has read; made of stories that no model was trained on. It has
no end. A file's lines are `{"text": ...}`; it ends.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from measure.errors import BadInput
from measure.request import sha256_of
from measure.zoo import corpus

ZOO_CORPUS = "zoo-corpus"
_ZOO_SEED = 41  # of held-out documents; the zoo's scores and its sets of problems use others
_ZOO_MIX = {
    "forward": 0.25, "gains-first": 0.25, "narrative": 0.2, "direct": 0.14, "worked": 0.1,
    "sums": 0.06,
}  # fmt: skip
_HASHED_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class TextSource:
    """Texts in order, under a name; `texts(n)` gives them from number n on."""

    name: str
    sha256: str
    texts: Callable[[int], Iterator[str]]


def load(name: str) -> TextSource:
    """`zoo-corpus`, or the path of a .jsonl file.

    Raises:
        BadInput: no such file, or a line of it without text.
    """
    if name == ZOO_CORPUS:
        return TextSource(name, sha256_of([_ZOO_SEED, _ZOO_MIX]), _zoo_texts)
    path = Path(name).expanduser()
    if not name.endswith(".jsonl") or not path.is_file():
        raise BadInput(
            f'text {name!r} is neither a .jsonl file of {{"text": ...}} lines nor {ZOO_CORPUS!r}: '
            "give the path of one"
        )
    return TextSource(path.name, _file_sha256(path), lambda first: _lines(path, first))


def _zoo_texts(first: int) -> Iterator[str]:
    return corpus.documents(_ZOO_SEED, _ZOO_MIX, is_held_out=True, first=first)


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASHED_AT_ONCE):
            digest.update(chunk)
    return digest.hexdigest()


def _lines(path: Path, first: int) -> Iterator[str]:
    with path.open("rb") as file:  # JSON may hold other line separators: only a newline ends one
        for number, line in enumerate(file):
            if number >= first:
                yield _text_of(path, number, line)


def _text_of(path: Path, number: int, line: bytes) -> str:
    try:
        text = json.loads(line)["text"]
        text.encode()  # half of a surrogate pair is no text
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f'{str(path)!r}, line {number + 1} is no {{"text": ...}}: give a text in each line'
        ) from error
    return text
