"""Word problems with whole-number answers, in two horizons and four conditions, linked by story.

A story is somebody with some things, and what comes and goes. Its short problem tells the first one
or two events, its long one all of them, two more. Each is told in four conditions:

    clean       as it happened
    order       the same premises in another order
    renamed     other people and things
    irrelevant  one more sentence, with a number, that has nothing to do with it

All eight variants of a story stand in one split: a hash of its clean short question decides, so
that no recipe can train on a story it is scored on.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np

from measure.zoo import words

T = TypeVar("T")

Horizon = Literal["short", "long"]
Condition = Literal["clean", "order", "renamed", "irrelevant"]
HORIZONS: tuple[Horizon, ...] = get_args(Horizon)
CONDITIONS: tuple[Condition, ...] = get_args(Condition)

THINK_OPEN = "<think>"
THINK_CLOSE = "</think>"
HELD_OUT_ONE_IN = 8
MAX_VALUE = 44  # of any sum: 12 at the start and four gains of 8

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
class Event:
    """Something comes (`sign` +1) or goes (-1): how much, and the sentence with its slots."""

    sign: int
    n: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Story:
    """What happened: who has what at the start, and the events of the long problem in order."""

    seed: int
    index: int
    who: str
    other: str
    many: str
    start: int
    n_short: int
    events: tuple[Event, ...]

    @property
    def is_held_out(self) -> bool:
        """True for the one story in eight that no recipe trains on."""
        question = problem(self, "short", "clean").question
        return hashlib.sha256(question.encode()).digest()[0] % HELD_OUT_ONE_IN == 0


@dataclass(frozen=True, slots=True)
class Problem:
    """One variant of a story: its question and the changes that solve it, in the order told."""

    story_id: str  # the same for all variants of a story
    horizon: Horizon
    condition: Condition
    question: str
    who: str
    many: str
    start: int
    changes: tuple[int, ...]  # signed

    @property
    def steps(self) -> tuple[Step, ...]:
        """The sums, in the order told."""
        return steps_of(self.start, self.changes)

    @property
    def answer(self) -> int:
        """What is there at the end."""
        return self.start + sum(self.changes)

    @property
    def prompt(self) -> str:
        """What a model is given; it continues after "A:"."""
        return f"Q: {self.question}\nA:"


def steps_of(start: int, changes: Sequence[int]) -> tuple[Step, ...]:
    """Take the changes one after another."""
    steps: list[Step] = []
    for change in changes:
        steps.append(Step(start, 1 if change > 0 else -1, abs(change)))
        start += change
    return tuple(steps)


def item_rng(seed: int, kind: str, index: int) -> np.random.Generator:
    """Give item `index` of `kind` its own generator."""
    kind_key = int.from_bytes(hashlib.sha256(kind.encode()).digest()[:4], "big")
    return np.random.default_rng([seed, kind_key, index])


def pick(rng: np.random.Generator, items: Sequence[T], n: int) -> list[T]:
    """Draw `n` different items."""
    return [items[i] for i in rng.choice(len(items), size=n, replace=False)]


def between(rng: np.random.Generator, low: int, high: int) -> int:
    """Draw a whole number from `low` to `high`, both included."""
    return int(rng.integers(low, high + 1))


# --- stories ------------------------------------------------------------------------------------

# The verb alone says whether something comes or goes: models of this size do not bind roles.
_COMES = ("{who} finds {n}.", "{who} buys {n}.", "{who} gets {n} from {other}.")
_GOES = ("{who} loses {n}.", "{who} sells {n}.", "{who} lends {n} to {other}.")


def _drawn(rng: np.random.Generator, seed: int, index: int) -> Story:
    """Draw a story whose count never falls below 1."""
    who, other = pick(rng, words.PEOPLE, 2)
    _, many = pick(rng, words.THINGS, 1)[0]
    start = value = between(rng, 3, 12)
    n_short = between(rng, 1, 2)
    events: list[Event] = []
    for _ in range(n_short + 2):
        n = between(rng, 2, 8)
        may_go = value - n >= 1
        sign = -1 if may_go and rng.random() < 0.5 else 1
        value += sign * n
        sentence = pick(rng, _COMES if sign > 0 else _GOES, 1)[0]
        events.append(Event(sign, n, sentence))
    return Story(seed, index, who, other, many, start, n_short, tuple(events))


def story(seed: int, index: int, *, is_held_out: bool) -> Story:
    """Make story `index` of one split; draws again until it falls in that split."""
    rng = item_rng(seed, "story-held-out" if is_held_out else "story", index)
    while True:
        made = _drawn(rng, seed, index)
        if made.is_held_out == is_held_out:
            return made


def problem(told: Story, horizon: Horizon, condition: Condition) -> Problem:
    """Tell a story as a problem; the same story, horizon and condition give the same words."""
    rng = item_rng(told.seed, f"{condition} {told.who} {told.other} {told.many}", told.index)
    who, other, many = told.who, told.other, told.many
    if condition == "renamed":
        who, other = pick(rng, words.RARE_PEOPLE, 2)
        many = pick(rng, [plural for _, plural in words.THINGS if plural != told.many], 1)[0]
    events = list(told.events[: told.n_short if horizon == "short" else len(told.events)])
    first = "{who} has {start} {many}."
    n_before = 0  # events told before what there was at the start
    if condition == "order":
        events = _reordered(rng, told.start, events)
        n_before = between(rng, 1, len(events))
        first = "At first {who} had {start} {many}."
    filled = [event.sentence.format(who=who, other=other, n=event.n) for event in events]
    filled.insert(n_before, first.format(who=who, start=told.start, many=many))
    if condition == "irrelevant":
        stranger = pick(rng, [p for p in words.PEOPLE if p not in (who, other)], 1)[0]
        things = pick(rng, [plural for _, plural in words.THINGS if plural != many], 1)[0]
        idle = f"{stranger} has {between(rng, 2, 9)} {things}."
        filled.insert(between(rng, 0, len(filled)), idle)
    return Problem(
        story_id=f"{told.seed}-{told.index}",
        horizon=horizon,
        condition=condition,
        question=f"{' '.join(filled)} How many {many} does {who} have now?",
        who=who,
        many=many,
        start=told.start,
        changes=tuple(event.sign * event.n for event in events),
    )


def _reordered(rng: np.random.Generator, start: int, events: Sequence[Event]) -> list[Event]:
    """Draw another order in which nothing falls below 0; gains first is always one."""
    for _ in range(20):
        order = pick(rng, events, len(events))
        values = np.cumsum([start, *(event.sign * event.n for event in order)])
        if order != list(events) and values.min() >= 0:
            return order
    return sorted(events, key=lambda event: -event.sign)


def problems(
    seed: int,
    n: int,
    *,
    is_held_out: bool,
    horizon: Horizon = "short",
    condition: Condition = "clean",
) -> list[Problem]:
    """Make the first `n` problems of one split in one horizon and condition."""
    return [problem(story(seed, i, is_held_out=is_held_out), horizon, condition) for i in range(n)]


# --- checking answers ---------------------------------------------------------------------------


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
