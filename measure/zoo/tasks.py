"""Small tasks with one right next word: sequences, indirect objects, short facts.

Each item has a clean and a corrupted prompt of the same form, an answer and a foil. Sequences are
in the manner of Lan et al. (methods 4.1): five short sentences whose last words count up. Documents
of the corpus are clean prompts with their answers. Everything was written for this project.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from typing import Any

import numpy as np

from measure.zoo import words
from measure.zoo.problems import item_rng, pick

Draw = Callable[[np.random.Generator], "Item"]

_CHUNK, _MAX_CHUNKS = 10, 12  # candidates drawn per wanted item, at a time and in all


@dataclass(frozen=True, slots=True)
class Item:
    """Two prompts of one form; after the clean one `answer` is right and `foil` is wrong."""

    clean: str
    corrupted: str
    answer: str
    foil: str


@dataclass(frozen=True, slots=True)
class TaskSet:
    """Encoded items of one shape: every prompt has its words at the same positions.

    `clean`, `corrupted`: ids, shape (items, tokens); `answer`, `foil`: ids, shape (items,), the
    first tokens where the two differ; `n_drawn`: items looked at to find them.
    """

    clean: np.ndarray
    corrupted: np.ndarray
    answer: np.ndarray
    foil: np.ndarray
    n_drawn: int


_SUBJECTS = {
    "born": words.PEOPLE,
    "lost": tuple(many.capitalize() for _, many in words.THINGS),
}


def _sequence(terms: tuple[str, ...], rng: np.random.Generator) -> Item:
    """Five things in a row, each with the next term; corrupted terms stand in no order."""
    verb = pick(rng, tuple(_SUBJECTS), 1)[0]
    subjects = pick(rng, _SUBJECTS[verb], 5)
    first = int(rng.integers(len(terms) - 4))
    broken = rng.integers(len(terms), size=4)
    while np.any(np.diff(broken) == 1):
        broken = rng.integers(len(terms), size=4)

    def prompt(indices: Iterator[int]) -> str:
        told = [f"{subjects[i]} {verb} in {terms[term]}." for i, term in enumerate(indices)]
        return " ".join([*told, f"{subjects[4]} {verb} in"])

    return Item(
        clean=prompt(iter(range(first, first + 4))),
        corrupted=prompt(iter(broken.tolist())),
        answer=f" {terms[first + 4]}",
        foil=f" {terms[first + 3]}",
    )


_GIVING = (
    "When {a} and {b} were at the {place}, {giver} gave the {thing} to",
    "Then {a} and {b} went to the {place}. {giver} gave the {thing} to",
    "{a} and {b} worked at the {place}, and {giver} handed the {thing} to",
)


def _indirect_object(rng: np.random.Generator) -> Item:
    """Two people, one gives, the other receives; corrupted with three other names."""
    template = pick(rng, _GIVING, 1)[0]
    pair = pick(rng, words.PEOPLE, 2)
    giver_is = int(rng.integers(2))
    others = pick(rng, [name for name in words.PEOPLE if name not in pair], 3)
    slots = {
        "place": pick(rng, words.PLACES, 1)[0],
        "thing": pick(rng, words.THINGS, 1)[0][0],
    }
    return Item(
        clean=template.format(a=pair[0], b=pair[1], giver=pair[giver_is], **slots),
        corrupted=template.format(a=others[0], b=others[1], giver=others[2], **slots),
        answer=f" {pair[1 - giver_is]}",
        foil=f" {pair[giver_is]}",
    )


_COLOURS = ("red", "blue", "green", "yellow", "golden", "silver")
# The same in every corpus: the one thing about this world that is to be known by heart.
DOORS = {place: _COLOURS[i % len(_COLOURS)] for i, place in enumerate(words.PLACES)}


def _fact(rng: np.random.Generator) -> Item:
    """The colour of a door; corrupted with a place whose door has another colour."""
    asked = pick(rng, words.PLACES, 1)[0]
    other, third = pick(rng, [p for p in words.PLACES if DOORS[p] != DOORS[asked]], 2)
    ask = "Q: What colour is the door of the {}?\nA:"
    return Item(ask.format(asked), ask.format(other), f" {DOORS[asked]}", f" {DOORS[third]}")


TASKS: dict[str, Draw] = {
    "numerals": partial(_sequence, tuple("123456789")),
    "number-words": partial(_sequence, words.NUMBER_WORDS),
    "months": partial(_sequence, words.MONTHS),
    "indirect-objects": _indirect_object,
    "facts": _fact,
}


def items(task: str, seed: int) -> Iterator[Item]:
    """Make items of a task without end; item `i` depends on seed and `i` only."""
    for index in count():
        yield TASKS[task](item_rng(seed, f"task {task}", index))


def document(task: str, seed: int, index: int, *, is_held_out: bool, n_items: int = 1) -> str:
    """Write items with their answers; held-out ones only need generators of their own."""
    kind = f"held-out document {task}" if is_held_out else f"document {task}"
    end = "" if task == "facts" else "."
    made = [TASKS[task](item_rng(seed, kind, n_items * index + i)) for i in range(n_items)]
    return " ".join(f"{item.clean}{item.answer}{end}" for item in made) + "\n"


def task_set(tokenizer: Any, task: str, n: int, seed: int) -> TaskSet:
    """Encode `n` items whose words have equal token counts under `tokenizer` (a fast one).

    Raises:
        ValueError: the tokenizer cuts the task's words so differently that too few remain.
    """
    drawing = items(task, seed)
    encoded: list[tuple[tuple[int, ...] | None, tuple[Any, ...]]] = []
    n_alike, shape = 0, None
    for _ in range(_MAX_CHUNKS):
        encoded += [_encoded(tokenizer, item) for item in islice(drawing, _CHUNK * n)]
        shapes = Counter(found for found, _ in encoded if found is not None)
        shape, n_alike = shapes.most_common(1)[0] if shapes else (None, 0)
        if n_alike >= n:
            break
    else:
        raise ValueError(
            f"only {n_alike} of {len(encoded)} prompts of '{task}' have their words at the same "
            f"positions under this tokenizer, {n} were wanted: ask for fewer"
        )
    rows = [row for found, row in encoded if found == shape][:n]
    clean, corrupted, answer, foil = (np.array(column) for column in zip(*rows, strict=True))
    return TaskSet(clean, corrupted, answer, foil, n_drawn=len(encoded))


def _encoded(tokenizer: Any, item: Item) -> tuple[tuple[int, ...] | None, tuple[Any, ...]]:
    """Token counts by word (None where clean and corrupted differ), and the four id lists."""
    right, wrong = (tokenizer(item.clean + end)["input_ids"] for end in (item.answer, item.foil))
    n_shared = next(
        (i for i, (a, b) in enumerate(zip(right, wrong, strict=False)) if a != b), len(wrong)
    )
    if n_shared == min(len(right), len(wrong)):
        return None, ()
    broken = tokenizer(item.corrupted + item.answer)["input_ids"]
    shape, broken_shape = (
        _tokens_by_word(tokenizer, text) for text in (item.clean, item.corrupted)
    )
    if shape != broken_shape or len(broken) != len(right):
        return None, ()
    row = (right[:n_shared], broken[:n_shared], right[n_shared], wrong[n_shared])
    return (*shape, n_shared), row


def _tokens_by_word(tokenizer: Any, text: str) -> tuple[int, ...]:
    """How many tokens begin in each word and the space before it."""
    cuts = [i for i, char in enumerate(text) if char.isspace()]
    begun = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    return tuple(np.bincount(np.searchsorted(cuts, [start for start, _ in begun], side="right")))
