"""Problems with checkable answers: sets of them, how they are put to a model, what it answered.

A set is a .jsonl file of `{"problem": ..., "answer": ...}` (`question` for `problem` as GSM8K has
it; `problem_id` or `unique_id` if there is one), or `zoo40`, which the embedded models can solve,
or `zoo-train100` (or another number) of stories like those that they have read.
Answers are numbers, fractions or LaTeX; `math-verify` reads and compares them.
"""

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from measure.errors import BadInput
from measure.request import sha256_of
from measure.zoo.problems import CONDITIONS, HORIZONS, THINK_CLOSE, THINK_OPEN, problem, story

# What it cannot read is a null here. It is imported where answers are read: half a second, and a
# machine that measures no answers goes without.
logging.getLogger("math_verify").setLevel(logging.CRITICAL)

ZOO_SET = "zoo40"
_ZOO_SEED = 11  # of held-out stories; the zoo's own scores use others
_TRAINING_SET = re.compile(r"zoo-train([1-9]\d{0,4})")
_TRAINING_SEED = 21  # of the stories that may be trained on; no recipe has this one
# What a model without a chat template is given: the form the embedded models have read.
PLAIN_PROMPT = "Q: {problem}\nA:"
_SLOT = "{problem}"
_PARSE_S = 3  # a hostile expression must not hold the run
_MAX_REPLY = 4_000  # characters of an answer that are read, the last ones


@dataclass(frozen=True, slots=True)
class Problem:
    """A question and its answer as its author wrote it; without one nothing can be right."""

    problem_id: str
    category: str
    text: str
    answer: str | None


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """An ordered set of problems under a name, and the lines that were none."""

    name: str
    problems: tuple[Problem, ...]
    skipped: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256, hex, of ids, categories, texts and answers in order."""
        return sha256_of([[p.problem_id, p.category, p.text, p.answer] for p in self.problems])

    @property
    def n_without_answer(self) -> int:
        """Problems whose rollouts are neither right nor wrong."""
        return sum(p.answer is None for p in self.problems)


@cache
def load(name: str) -> ProblemSet:
    """A set by its name or by the path of a .jsonl file; lines that are no problem are skipped.

    Raises:
        BadInput: there is no such file, or no problem in it.
    """
    if name == ZOO_SET:
        return ProblemSet(ZOO_SET, tuple(_zoo_problems(40, _ZOO_SEED, is_held_out=True)))
    if training := _TRAINING_SET.fullmatch(name):
        count = int(training[1])
        return ProblemSet(name, tuple(_zoo_problems(count, _TRAINING_SEED, is_held_out=False)))
    path = Path(name).expanduser()
    if not name.endswith(".jsonl") or not path.is_file():
        raise BadInput(f"problem set {name!r} does not exist: give {ZOO_SET!r} or a .jsonl file")
    found: dict[str, Problem] = {}
    skipped: list[str] = []
    for number, line in json_lines(path, skipped.append):
        made = problem_of(line, number)
        if made is None:
            skipped.append(f"line {number}: no object with a text under `problem`")
        elif made.problem_id in found:
            skipped.append(f"line {number}: the id {made.problem_id!r} stands there twice")
        else:
            found[made.problem_id] = made
    if not found:
        why = f" ({skipped[0]})" if skipped else ""
        raise BadInput(
            f"problem set {name!r} has no problem{why}: give one JSON object a line, "
            '{"problem": "...", "answer": "..."}'
        )
    return ProblemSet(path.stem, tuple(found.values()), tuple(skipped))


def json_lines(path: Path, skip: Callable[[str], None]) -> Iterator[tuple[int, Any]]:
    """Number and value of each line that is JSON in UTF-8; `skip` is told of the others."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{str(path)!r} cannot be read ({error.strerror}): give a file") from error
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode("utf-8"))
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # an escape may be half a pair
        except UnicodeError:
            skip(f"line {number}: not UTF-8")
        except (ValueError, RecursionError):
            skip(f"line {number}: no JSON")
        else:
            yield number, value


def problem_of(line: Any, number: int) -> Problem | None:
    """The problem of a line; None if it has no text."""
    if not isinstance(line, dict):
        return None
    fields: dict[str, Any] = line
    text = fields.get("problem", fields.get("question"))
    if not isinstance(text, str) or not text.strip():
        return None
    given = (fields.get(name) for name in ("problem_id", "unique_id"))
    problem_id = next((str(i) for i in given if isinstance(i, str | int)), f"line-{number}")
    answer = fields.get("answer")
    has_answer = isinstance(answer, str | int | float) and str(answer).strip() != ""
    return Problem(
        problem_id=problem_id,
        category=str(fields.get("category", fields.get("subject", ""))),
        text=text,
        # GSM8K writes its solution first and the answer after the last of these marks.
        answer=str(answer).rsplit("####", 1)[-1].strip() if has_answer else None,
    )


def _zoo_problems(count: int, seed: int, *, is_held_out: bool) -> Iterator[Problem]:
    """Stories of one split: horizons by turns, half of them clean, the others perturbed."""
    for index in range(count):
        horizon = HORIZONS[index % 2]
        condition = CONDITIONS[0] if index % 4 < 2 else CONDITIONS[1 + index // 4 % 3]
        made = problem(story(seed, index, is_held_out=is_held_out), horizon, condition)
        yield Problem(made.story_id, f"{horizon} {condition}", made.question, str(made.answer))


def check_plain_prompt(plain: str) -> str:
    """The form itself; BadInput if the problem has no place in it."""
    if plain.count(_SLOT) != 1:
        raise BadInput(
            f"plain prompt {plain!r} must say once where the problem goes: "
            f"give one such as {PLAIN_PROMPT!r}"
        )
    return plain


def plain_prompt(plain: str, text: str) -> str:
    """The problem in its form; braces of the problem itself stay."""
    return plain.replace(_SLOT, text)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reply answered; `reason` says why it is unknown."""

    text: str | None
    is_correct: bool | None
    reason: str | None


UNREAD = "math-verify was not installed where it was made: `cicatrix take` reads the answer"


def check(body: str, gold: str | None) -> Answer:
    """Read the answer after the reasoning, and compare it with the right one."""
    try:
        from math_verify import verify
    except ImportError:
        return Answer(None, None, UNREAD)
    if not body.strip():
        return Answer(None, None if gold is None else False, "empty completion")
    _, closed, reply = body.rpartition(THINK_CLOSE)
    if not closed and THINK_OPEN in body:
        return Answer(None, None if gold is None else False, "its reasoning was not closed")
    found = _parsed(reply[-_MAX_REPLY:])
    if not found:
        return Answer(None, None if gold is None else False, "no answer can be read")
    said = str(found[-1])
    if gold is None:
        return Answer(said, None, "the problem has no answer to compare with")
    wanted = _parsed(f"\\boxed{{{gold}}}")
    if not wanted:
        return Answer(said, None, "the problem's own answer cannot be read")
    return Answer(said, bool(verify(wanted, found, timeout_seconds=_limit())), None)


def _parsed(text: str) -> list[Any]:
    from math_verify import parse

    return list(parse(text, parsing_timeout=_limit()))  # pyright: ignore[reportArgumentType]


def _limit() -> int | None:
    """Seconds; the library's clock is a signal, which only the main thread can receive."""
    return _PARSE_S if threading.current_thread() is threading.main_thread() else None
