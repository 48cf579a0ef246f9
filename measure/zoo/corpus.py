"""The text the zoo is trained on: short narratives and short word problems, made by seeded code.

Every item is made by its own generator, seeded by (corpus seed, kind, index), so that making more
items, or other kinds, never changes an item. A problem is a chain of one to three additions or
subtractions of small whole numbers; it is rendered

    Q: <question>                      Q: <question>
    A: 9                               A: <think> First, 7 + 5 = 12. ... </think> 9

`direct` (left) or reasoned (right) in one of the manners of `MANNERS`. A problem belongs to the
held-out split by a hash of its question, so that no recipe can train on a question it is scored on.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle
from typing import TypeVar

import numpy as np

from measure.zoo import words

T = TypeVar("T")

THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"
HELD_OUT_ONE_IN = 8

_ANSWER = re.compile(r"\s*(-?\d+)(?![\d.,]*\d)")


@dataclass(frozen=True, slots=True)
class Step:
    """One addition (`sign` +1) or subtraction (-1): left, operand and result are counts >= 0."""

    left: int
    sign: int
    operand: int

    @property
    def result(self) -> int:
        """The value after the step."""
        return self.left + self.sign * self.operand

    @property
    def sum_text(self) -> str:
        """The step as it is written, for example "7 + 5 = 12"."""
        return f"{self.left} {'+' if self.sign > 0 else '-'} {self.operand} = {self.result}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One word problem: its question, the steps that solve it and so its whole-number answer."""

    question: str
    steps: tuple[Step, ...]

    @property
    def answer(self) -> int:
        """The result of the last step."""
        return self.steps[-1].result

    @property
    def prompt(self) -> str:
        """What a model is given; it continues after "A:"."""
        return f"Q: {self.question}\nA:"

    @property
    def is_held_out(self) -> bool:
        """True for the one in eight questions that no recipe trains on."""
        return hashlib.sha256(self.question.encode()).digest()[0] % HELD_OUT_ONE_IN == 0


def item_rng(seed: int, kind: str, index: int) -> np.random.Generator:
    """Give item `index` of `kind` its own generator."""
    kind_key = int.from_bytes(hashlib.sha256(kind.encode()).digest()[:4], "big")
    return np.random.default_rng([seed, kind_key, index])


def _pick(rng: np.random.Generator, items: Sequence[T], n: int) -> list[T]:
    """Draw `n` different items."""
    return [items[i] for i in rng.choice(len(items), size=n, replace=False)]


def _between(rng: np.random.Generator, low: int, high: int) -> int:
    """Draw a whole number from `low` to `high`, both included."""
    return int(rng.integers(low, high + 1))


# --- word problems -----------------------------------------------------------------------------

_MORE = (
    "{she} finds {n} more.",
    "Then {other} gives {her} {n} more.",
    "{she} buys {n} more at the {place}.",
    "{she} gets {n} more from {other}.",
)
_LESS = (
    "{she} gives {n} to {other}.",
    "Then {she} loses {n}.",
    "{she} sells {n} at the {place}.",
    "{she} leaves {n} at the {place}.",
)


def _chain(rng: np.random.Generator) -> Problem:
    """Somebody has some things, then gets or gives some, once or twice."""
    who, other = _pick(rng, words.PEOPLE, 2)
    (_, many), = _pick(rng, words.THINGS, 1)  # fmt: skip
    start = value = _between(rng, 2, 20)
    sentences: list[str] = []
    steps: list[Step] = []
    for _ in range(_between(rng, 1, 2)):
        sign = 1 if value < 4 or rng.random() < 0.5 else -1
        n = _between(rng, 2, 9 if sign > 0 else min(9, value - 1))
        step = Step(value, sign, n)
        steps.append(step)
        value = step.result
        (text,) = _pick(rng, _MORE if sign > 0 else _LESS, 1)
        (place,) = _pick(rng, words.PLACES, 1)
        sentences.append(text.format(she=who, her="them", other=other, n=n, place=place))
    story = f"{who} has {start} {many}. {' '.join(sentences)}"
    return Problem(f"{story} How many {many} does {who} have now?", tuple(steps))


def _compare(rng: np.random.Generator) -> Problem:
    """One has some more or fewer than another; how many has the one, or have both."""
    who, other = _pick(rng, words.PEOPLE, 2)
    (_, many), = _pick(rng, words.THINGS, 1)  # fmt: skip
    left = _between(rng, 4, 20)
    sign = 1 if rng.random() < 0.5 else -1
    n = _between(rng, 2, 9 if sign > 0 else min(9, left - 1))
    first = Step(left, sign, n)
    story = (
        f"{other} has {left} {many}. {who} has {n} {'more' if sign > 0 else 'fewer'} than {other}."
    )
    if rng.random() < 0.5:
        return Problem(f"{story} How many {many} does {who} have?", (first,))
    both = Step(first.result, 1, left)
    return Problem(f"{story} How many {many} do they have together?", (first, both))


def _boxes(rng: np.random.Generator) -> Problem:
    """Equal boxes, added one by one."""
    (who,) = _pick(rng, words.PEOPLE, 1)
    (_, many), = _pick(rng, words.THINGS, 1)  # fmt: skip
    (_, boxes), = _pick(rng, words.BOXES, 1)  # fmt: skip
    n_boxes, each = _between(rng, 2, 4), _between(rng, 2, 9)
    steps = tuple(Step(each * k, 1, each) for k in range(1, n_boxes))
    story = f"{who} has {n_boxes} {boxes} with {each} {many} in each."
    return Problem(f"{story} How many {many} does {who} have in all?", steps)


_PROBLEM_FORMS = (_chain, _chain, _compare, _boxes)


def problem(seed: int, index: int, *, is_held_out: bool) -> Problem:
    """Make problem `index` of one split; draws again until the question falls in that split."""
    rng = item_rng(seed, "problem-held-out" if is_held_out else "problem", index)
    while True:
        made = _PROBLEM_FORMS[int(rng.integers(len(_PROBLEM_FORMS)))](rng)
        if made.is_held_out == is_held_out:
            return made


def problems(seed: int, n: int, *, is_held_out: bool) -> list[Problem]:
    """Make the first `n` problems of one split."""
    return [problem(seed, i, is_held_out=is_held_out) for i in range(n)]


# --- rendering and checking answers ------------------------------------------------------------


def _think_plain(made: Problem) -> str:
    """Write the bare sums, one after another."""
    return ". ".join(step.sum_text for step in made.steps) + "."


def _think_ordered(made: Problem) -> str:
    """Say where to start, number the sums, and conclude."""
    order = ("First", "Then", "Next")
    sums = " ".join(f"{order[i]}, {s.sum_text}." for i, s in enumerate(made.steps))
    return f"We start with {made.steps[0].left}. {sums} So the answer is {made.answer}."


# The ways of writing reasoning; the name of a manner is also the kind of document it makes.
MANNERS: dict[str, Callable[[Problem], str]] = {"plain": _think_plain, "ordered": _think_ordered}


def render_direct(made: Problem) -> str:
    """Write question and answer."""
    return f"{made.prompt} {made.answer}\n"


def render_reasoned(made: Problem, manner: str) -> str:
    """Write question, reasoning in a manner of `MANNERS`, and answer."""
    think = MANNERS[manner](made)
    return f"{made.prompt} {THINK_OPEN} {think} {THINK_CLOSE} {made.answer}\n"


def extract_answer(text: str) -> int | None:
    """Read the answer out of a text with or without its question; None where there is none.

    The answer is the whole number that directly follows "</think>", or, where no reasoning was
    opened, that directly follows the first "A:" (or begins a text without one).
    """
    reply = text.split("\nA:", 1)[-1]
    if THINK_OPEN in reply or THINK_CLOSE in reply:
        _, closed, reply = reply.partition(THINK_CLOSE)
        if not closed:
            return None
    found = _ANSWER.match(reply)
    return int(found[1]) if found else None


def is_right(made: Problem, text: str) -> bool:
    """Whether the answer read out of `text` is the problem's."""
    return extract_answer(text) == made.answer


# --- narratives --------------------------------------------------------------------------------


def narrative(seed: int, index: int) -> str:
    """Make story `index`: an opening, one to three things that happen, an ending."""
    rng = item_rng(seed, "narrative", index)
    who, other = _pick(rng, words.PEOPLE, 2)
    place, place2 = _pick(rng, words.PLACES, 2)
    work, work2 = _pick(rng, words.WORK, 2)
    look, look2 = _pick(rng, words.LOOKS, 2)
    feel, feel2 = _pick(rng, words.FEELINGS, 2)
    (thing, _), = _pick(rng, words.THINGS, 1)  # fmt: skip
    (animal,) = _pick(rng, words.ANIMALS, 1)
    she, her = (("she", "her"), ("he", "him"), ("they", "them"))[int(rng.integers(3))]
    his = ("his", "her")[int(rng.integers(2))]
    middles = [g for g in (words.EVENTS, words.TALK, words.TURNS) if rng.random() < 0.7]
    groups = [words.OPENINGS, *middles, words.ENDINGS]
    sentences: list[str] = []
    for group in groups:
        (text,) = _pick(rng, group, 1)
        time, weather = _pick(rng, words.TIMES, 1)[0], _pick(rng, words.WEATHER, 1)[0]
        filled = text.format(
            who=who, other=other, place=place, place2=place2, work=work, work2=work2, look=look,
            look2=look2, feel=feel, feel2=feel2, thing=thing, animal=animal, she=she, her=her,
            his=his, time=time, weather=weather,
        )  # fmt: skip
        sentences.append(filled[0].upper() + filled[1:])
    return " ".join(sentences) + "\n"


# --- documents ---------------------------------------------------------------------------------


def _direct(seed: int, index: int, *, is_held_out: bool) -> str:
    return render_direct(problem(seed, index, is_held_out=is_held_out))


def _reasoned(manner: str, seed: int, index: int, *, is_held_out: bool) -> str:
    return render_reasoned(problem(seed, index, is_held_out=is_held_out), manner)


def _narrative(seed: int, index: int, *, is_held_out: bool) -> str:
    # Stories have no answers to leak: the held-out ones only need indices of their own.
    return narrative(seed, index + (1 << 40 if is_held_out else 0))


DOCUMENTS: dict[str, Callable[..., str]] = {
    "narrative": _narrative,
    "direct": _direct,
    **{manner: partial(_reasoned, manner) for manner in MANNERS},
}


def documents(
    seed: int, mix: dict[str, float], *, is_held_out: bool = False, traces: Sequence[str] = ()
) -> Iterator[str]:
    """Make documents of a mix without end: kind (a key of `DOCUMENTS`, or "traces") to share.

    The kind of document `i` is drawn by its own generator. Shares must sum to 1. Traces are taken
    in order, and again from the first when all were.
    """
    if "traces" in mix and not traces:
        raise ValueError(f"the mix {mix} wants traces and none were given; sample a teacher first")
    sampled = cycle(traces)
    kinds = sorted(mix)
    shares = [mix[kind] for kind in kinds]
    for index in count():
        kind = kinds[int(item_rng(seed, "mix", index).choice(len(kinds), p=shares))]
        if kind == "traces":
            yield next(sampled)
        else:
            yield DOCUMENTS[kind](seed, index, is_held_out=is_held_out)
