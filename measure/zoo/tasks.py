"""Small tasks in the zoo's own words, with one right next word: the models have read them.

The generators are those of `measure.task_items`; documents of the corpus are clean prompts with
their answers. Everything was written for this project.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import numpy as np

from measure.task_items import Item, filled, indirect_object, sequence
from measure.zoo import words
from measure.zoo.problems import item_rng, pick

Draw = Callable[[np.random.Generator], Item]

_SUBJECTS = {
    "born": words.PEOPLE,
    "lost": tuple(many.capitalize() for _, many in words.THINGS),
}

_GIVING = (
    "When {name_1} and {name_2} were at the {place}, {giver} gave the {thing} to",
    "Then {name_1} and {name_2} went to the {place}. {giver} gave the {thing} to",
    "{name_1} and {name_2} worked at the {place}, and {giver} handed the {thing} to",
)

_COLOURS = ("red", "blue", "green", "yellow", "golden", "silver")
# The same in every corpus: the one thing about this world that is to be known by heart.
DOORS = {place: _COLOURS[i % len(_COLOURS)] for i, place in enumerate(words.PLACES)}
_QUESTION = "Q: What colour is the door of the {subject}?\nA:"


def _fact(rng: np.random.Generator) -> Item:
    """The colour of a door; corrupted with a place whose door has another colour."""
    asked = pick(rng, words.PLACES, 1)[0]
    other, third = pick(rng, [p for p in words.PLACES if DOORS[p] != DOORS[asked]], 2)
    clean, roles = filled(_QUESTION, {"subject": asked})
    corrupted, _ = filled(_QUESTION, {"subject": other})
    return Item(clean, corrupted, f" {DOORS[asked]}", f" {DOORS[third]}", roles)


TASKS: dict[str, Draw] = {
    "numerals": partial(sequence, _SUBJECTS, tuple("123456789")),
    "number-words": partial(sequence, _SUBJECTS, words.NUMBER_WORDS),
    "months": partial(sequence, _SUBJECTS, words.MONTHS),
    "indirect-objects": partial(
        indirect_object, _GIVING, words.PEOPLE, words.PLACES, [one for one, _ in words.THINGS]
    ),
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
