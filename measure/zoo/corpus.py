"""The text the zoo is trained on, made by seeded code: narratives, problems, sums and tasks.

Every item is made by its own generator, seeded by (corpus seed, kind, index), so that making more
items, or other kinds, never changes an item.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count, cycle

from measure.zoo import tasks, words
from measure.zoo.manners import MANNERS, render_direct, render_reasoned, render_worked
from measure.zoo.problems import (
    CONDITIONS,
    MAX_VALUE,
    Condition,
    Horizon,
    Problem,
    Step,
    between,
    item_rng,
    pick,
    problem,
    story,
)

# Of the problems in a corpus: clean ones, and as many of each other condition.
_CLEAN_SHARE = 0.55
_SUMS_PER_DOCUMENT = 4


def narrative(seed: int, index: int) -> str:
    """Make story `index`: an opening, one to three things that happen, an ending."""
    rng = item_rng(seed, "narrative", index)
    who, other = pick(rng, words.PEOPLE, 2)
    place, place2 = pick(rng, words.PLACES, 2)
    work, work2 = pick(rng, words.WORK, 2)
    look, look2 = pick(rng, words.LOOKS, 2)
    feel, feel2 = pick(rng, words.FEELINGS, 2)
    (thing, _), = pick(rng, words.THINGS, 1)  # fmt: skip
    (animal,) = pick(rng, words.ANIMALS, 1)
    she, her = (("she", "her"), ("he", "him"), ("they", "them"))[int(rng.integers(3))]
    his = ("his", "her")[int(rng.integers(2))]
    middles = [g for g in (words.EVENTS, words.TALK, words.TURNS) if rng.random() < 0.7]
    groups = [words.OPENINGS, *middles, words.ENDINGS]
    sentences: list[str] = []
    for group in groups:
        (text,) = pick(rng, group, 1)
        time, weather = pick(rng, words.TIMES, 1)[0], pick(rng, words.WEATHER, 1)[0]
        filled = text.format(
            who=who, other=other, place=place, place2=place2, work=work, work2=work2, look=look,
            look2=look2, feel=feel, feel2=feel2, thing=thing, animal=animal, she=she, her=her,
            his=his, time=time, weather=weather,
        )  # fmt: skip
        sentences.append(filled[0].upper() + filled[1:])
    return " ".join(sentences) + "\n"


# --- documents ---------------------------------------------------------------------------------


def told_problem(
    seed: int,
    index: int,
    *,
    is_held_out: bool,
    horizon: Horizon | None = None,
    is_clean: bool = False,
) -> Problem:
    """Problem `index` of a corpus: horizons by halves, clean by `_CLEAN_SHARE`, or as given."""
    rng = item_rng(seed, "telling", index)
    drawn: Horizon = "short" if rng.random() < 0.5 else "long"
    condition: Condition = "clean"
    if not is_clean and rng.random() >= _CLEAN_SHARE:
        condition = pick(rng, CONDITIONS[1:], 1)[0]
    return problem(story(seed, index, is_held_out=is_held_out), horizon or drawn, condition)


def _direct(seed: int, index: int, *, is_held_out: bool) -> str:
    return render_direct(told_problem(seed, index, is_held_out=is_held_out))


def _reasoned(manner: str, seed: int, index: int, *, is_held_out: bool) -> str:
    return render_reasoned(told_problem(seed, index, is_held_out=is_held_out), manner)


def _worked(seed: int, index: int, *, is_held_out: bool) -> str:
    return render_worked(told_problem(seed, index, is_held_out=is_held_out))


def _ledger(seed: int, index: int, *, is_held_out: bool) -> str:
    """A story and its running sums, without a question."""
    made = told_problem(seed, index, is_held_out=is_held_out)
    story_told = made.question.rsplit(" How many ", 1)[0]
    return f"{story_told} {'. '.join(step.sum_text for step in made.steps)}.\n"


def _sums(seed: int, index: int, *, is_held_out: bool) -> str:
    """Sums that have nothing to do with each other."""
    rng = item_rng(seed, "held-out sums" if is_held_out else "sums", index)
    written: list[str] = []
    for _ in range(_SUMS_PER_DOCUMENT):
        sign, operand = (1, -1)[int(rng.integers(2))], between(rng, 2, 8)
        least = 0 if sign > 0 else operand
        most = MAX_VALUE - (operand if sign > 0 else 0)
        written.append(Step(between(rng, least, most), sign, operand).sum_text)
    return ". ".join(written) + ".\n"


def _narrative(seed: int, index: int, *, is_held_out: bool) -> str:
    # Stories have no answers to leak: the held-out ones only need indices of their own.
    return narrative(seed, index + (1 << 40 if is_held_out else 0))


DOCUMENTS: dict[str, Callable[..., str]] = {
    "narrative": _narrative,
    "direct": _direct,
    "worked": _worked,
    "ledger": _ledger,
    "sums": _sums,
    **{manner: partial(_reasoned, manner) for manner in MANNERS},
    **{task: partial(tasks.document, task) for task in tasks.TASKS},
    "many-indirect-objects": partial(tasks.document, "indirect-objects", n_items=6),
}


def documents(
    seed: int,
    mix: dict[str, float],
    *,
    is_held_out: bool = False,
    traces: Sequence[str] = (),
    first: int = 0,
) -> Iterator[str]:
    """Make documents of a mix without end: kind (a key of `DOCUMENTS`, or "traces") to share.

    The kind of document `i` is drawn by its own generator; they begin with number `first`. Shares
    must sum to 1. Traces are taken in order, and again from the first when all were.
    """
    if "traces" in mix and not traces:
        raise ValueError(f"the mix {mix} wants traces and none were given; sample a teacher first")
    sampled = cycle(traces)
    kinds = sorted(mix)
    shares = [mix[kind] for kind in kinds]
    for index in count(first):
        kind = kinds[int(item_rng(seed, "mix", index).choice(len(kinds), p=shares))]
        if kind == "traces":
            yield next(sampled)
        else:
            yield DOCUMENTS[kind](seed, index, is_held_out=is_held_out)
