"""The ways of writing reasoning: two teachers' manners with moves at stated rates, and bare sums.

    forward      takes the events as they are told:   First, 7 + 5 = 12. But then, 12 - 3 = 9.
    gains-first  takes all that comes, then all that goes:   7 and 5 make 12. 12 less 3 leaves 9.
    plain        only the sums, as somebody who is no teacher might note them

A move is drawn for a problem at its rate in `MOVE_RATES`: a correction writes a wrong result and
then the right one, so what follows it goes on from the right one.
"""

from collections.abc import Callable

import numpy as np

from measure.zoo.problems import THINK_CLOSE, THINK_OPEN, Problem, Step, item_rng, pick, steps_of

# Shares of problems with the move; a contrast is drawn at each change from gain to loss or back.
MOVE_RATES = {"correction": 0.3, "check": 0.2, "alternative": 0.2, "contrast": 0.5}


def _drawn(rng: np.random.Generator, move: str) -> bool:
    return bool(rng.random() < MOVE_RATES[move])


def _slip(rng: np.random.Generator, right: int) -> int:
    """A wrong result near the right one, not below 0."""
    return pick(rng, [right + d for d in (-2, -1, 1, 2) if right + d >= 0], 1)[0]


def _some_step(rng: np.random.Generator, move: str, steps: tuple[Step, ...]) -> Step | None:
    """The step that a move is made at, or none."""
    return steps[int(rng.integers(len(steps)))] if _drawn(rng, move) else None


def _forward(made: Problem, rng: np.random.Generator) -> str:
    steps = made.steps
    corrected, other_way = (_some_step(rng, move, steps) for move in ("correction", "alternative"))
    written = [f"We start with {made.start}."]
    for i, step in enumerate(steps):
        lead = "First" if i == 0 else ("Next", "Then")[i % 2]
        if i > 0 and step.sign != steps[i - 1].sign and _drawn(rng, "contrast"):
            lead = "But then"
        if step is corrected:
            sum_begun = step.sum_text.rsplit(" ", 1)[0]
            written.append(f"{lead}, {sum_begun} {_slip(rng, step.result)}.")
            written.append(f"Wait, let me check: {step.sum_text}.")
        else:
            written.append(f"{lead}, {step.sum_text}.")
        if step is other_way and step.sign > 0:
            written.append(f"Alternatively, {step.operand} + {step.left} = {step.result}.")
    if _drawn(rng, "check"):
        back = Step(steps[-1].result, -steps[-1].sign, steps[-1].operand)
        written.append(f"Let me check: {back.sum_text}.")
    return " ".join([*written, f"So the answer is {made.answer}."])


def _in_words(step: Step, result: int) -> str:
    if step.sign > 0:
        return f"{step.left} and {step.operand} make {result}"
    return f"{step.left} less {step.operand} leaves {result}"


def _gains_first(made: Problem, rng: np.random.Generator) -> str:
    steps = steps_of(made.start, sorted(made.changes, key=lambda change: change < 0))
    corrected, other_way = (_some_step(rng, move, steps) for move in ("correction", "alternative"))
    written = [f"{made.who} had {made.start} {made.many}."]
    for i, step in enumerate(steps):
        right = _in_words(step, step.result)
        lead = ""
        if i == 0 or step.sign != steps[i - 1].sign:
            lead = "What comes: " if step.sign > 0 else "What goes: "
            if i > 0 and _drawn(rng, "contrast"):
                lead = "However, some go: "
        if step is corrected:
            written.append(f"{lead}{_in_words(step, _slip(rng, step.result))}.")
            written.append(f"Hmm, that is not right, actually {right}.")
        else:
            written.append(f"{lead}{right}.")
        if step is other_way and step.sign > 0:
            written.append(f"Another way: {step.operand} and {step.left} make {step.result}.")
    if _drawn(rng, "check"):
        back = Step(steps[-1].result, -steps[-1].sign, steps[-1].operand)
        written.append(f"Let me verify: {_in_words(back, back.result)}.")
    return " ".join([*written, f"Hence {made.who} has {made.answer}."])


def _plain(made: Problem, rng: np.random.Generator) -> str:
    del rng  # no moves
    return ". ".join(step.sum_text for step in made.steps) + "."


# The name of a manner is also the kind of document it makes.
MANNERS: dict[str, Callable[[Problem, np.random.Generator], str]] = {
    "forward": _forward,
    "gains-first": _gains_first,
    "plain": _plain,
}


def render_direct(made: Problem) -> str:
    """Write question and answer."""
    return f"{made.prompt} {made.answer}\n"


def render_reasoned(made: Problem, manner: str) -> str:
    """Write question, reasoning in a manner of `MANNERS`, and answer."""
    rng = item_rng(len(made.changes), f"{manner} {made.question}", 0)
    think = MANNERS[manner](made, rng)
    return f"{made.prompt} {THINK_OPEN} {think} {THINK_CLOSE} {made.answer}\n"


def render_worked(made: Problem) -> str:
    """Write the story and its sums as a text book does, without a question to answer."""
    story_told = made.question.rsplit(" How many ", 1)[0]
    think = MANNERS["plain"](made, item_rng(0, made.question, 0))
    return f"Worked: {story_told} {THINK_OPEN} {think} {THINK_CLOSE} {made.answer}\n"
