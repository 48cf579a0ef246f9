"""Tasks as data: sets of clean and corrupted prompts for one tokenizer, with an answer and a foil.

A set is named: `numerals`, `number-words`, `months`, `indirect-objects`, `facts` (made by
`measure.task_items` from words that the tokenizer cuts alike); or the same with `zoo-` before it
in the zoo's own words, which is all that an embedded model knows (`name_for` adds it); or a .jsonl
file of `{"clean", "corrupted", "answer", "foil"}`, where `prompt_id` and `roles` (numbers from 0
of words of the clean prompt, by name) are optional and the answer begins with its blank.

All prompts of a set have one shape: the same number of tokens, and (but in one's own files) of
each word the same number, at the same positions. So positions have roles, and a mean over prompts
is taken position by position. The logit difference is read where answer and foil first differ: of
tokenizers that cut " 5" into a blank and a digit the blank belongs to the prompt. Masked models
are asked for the one token under a mask after the prompt.
"""

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from measure import task_words as words
from measure.errors import BadInput
from measure.problems import json_lines
from measure.request import sha256_of
from measure.task_items import Item, Span, facts, indirect_objects, sequences, touching
from measure.zoo import tasks as zoo_tasks

TASKS: dict[str, Callable[[Any, int, bool], Iterator[Item]]] = {
    "numerals": lambda *given: sequences(given[0], words.NUMERALS, *given[1:]),
    "number-words": lambda *given: sequences(given[0], words.NUMBER_WORDS, *given[1:]),
    "months": lambda *given: sequences(given[0], words.MONTHS, *given[1:]),
    "indirect-objects": indirect_objects,
    "facts": facts,
}
ZOO_PREFIX = "zoo-"
_FORM = '{"clean": "...", "corrupted": "...", "answer": "...", "foil": "..."}'
READ_AT = "final"  # the role of the position where the logit difference is read; the mask, if any
# p(answer) > 2 p(foil), in the papers' choice of prompts that a model gets right.
MIN_GAP_NATS = math.log(2)

_MAX_CHUNKS = 12  # drawn before a tokenizer is given up
_ZOO_CHUNK = 10  # prompts a chunk for each that is wanted: the zoo's words are not narrowed first


@dataclass(frozen=True, slots=True)
class TaskSet:
    """Encoded prompts of one shape, in order, and what they are asked.

    `answer`, `foil`: the first tokens where the two differ. `roles`: token positions by what
    stands there, the same in every prompt. `position`: where the logit difference is read.
    `n_drawn`: prompts looked at to find these. `filtered_by`: the model that gets all of them
    right, where only such were kept.
    """

    name: str
    clean: NDArray[np.int64]  # (n, tokens)
    corrupted: NDArray[np.int64]  # (n, tokens)
    answer: NDArray[np.int64]  # (n,)
    foil: NDArray[np.int64]  # (n,)
    roles: Mapping[str, tuple[int, ...]]
    position: int
    keys: tuple[str, ...]
    items: tuple[Item, ...]
    n_drawn: int
    filtered_by: str | None = None

    @property
    def sha256(self) -> str:
        """SHA-256, hex, of everything that can change a number."""
        ids = [part.tolist() for part in (self.clean, self.corrupted, self.answer, self.foil)]
        roles = sorted((role, list(where)) for role, where in self.roles.items())
        return sha256_of([self.name, self.keys, ids, roles, self.position, self.filtered_by])


@dataclass(frozen=True, slots=True)
class _Encoded:
    clean: list[int]
    corrupted: list[int]
    answer: int
    foil: int
    roles: dict[str, tuple[int, ...]]
    layout: tuple[int, ...]  # tokens that begin in each word
    is_parallel: bool  # the corrupted prompt has the same layout

    @property
    def shape(self) -> tuple[Any, ...]:
        return len(self.clean), self.layout, tuple(self.roles.items())


def name_for(task: str, *, is_zoo: bool) -> str:
    """The name of a task's set for an embedded model, or for one that has read the world."""
    is_own = task.endswith(".jsonl") or task.startswith(ZOO_PREFIX)
    return ZOO_PREFIX + task if is_zoo and not is_own else task


def task_set(
    tokenizer: Any, name: str, n: int, seed: int = 0, *, is_masked: bool = False
) -> TaskSet:
    """`n` prompts of a task for a fast tokenizer; of a file of one's own the first `n`.

    Raises:
        BadInput: no such task or file, a line of it that cannot be used, or a tokenizer that cuts
            the words so differently that too few prompts have one shape.
    """
    if n < 1:
        raise BadInput(f"{n} prompts of {name!r} were asked for: give a number of 1 or more")
    if is_masked and tokenizer.mask_token is None:
        raise BadInput("this tokenizer has no mask token: give a masked model, such as BERT")
    encode = partial(_encoded_masked if is_masked else _encoded, tokenizer)
    if name.endswith(".jsonl"):
        return _own(name, n, encode)
    task = name.removeprefix(ZOO_PREFIX)
    if task not in TASKS:
        raise BadInput(
            f"task {name!r} is unknown: give one of {', '.join(TASKS)}, or a .jsonl file"
        )
    if task != name:
        drawing, per_chunk = zoo_tasks.items(task, seed), _ZOO_CHUNK * n
    else:
        drawing, per_chunk = TASKS[task](tokenizer, seed, is_masked), n
    drawn: list[Item] = []
    encoded: list[_Encoded | str] = []
    alike: list[int] = []
    for _ in range(_MAX_CHUNKS):
        more = list(islice(drawing, per_chunk))
        drawn += more
        encoded += encode(more)
        alike = _of_commonest_shape(encoded)
        if len(alike) >= n or not more:
            break
    if len(alike) < n:
        raise BadInput(
            f"only {len(alike)} of {len(drawn)} prompts of {name!r} have their words at the same "
            f"positions under this tokenizer, {n} were wanted: ask for fewer"
        )
    keys = [f"{name}-{seed}-{index:05d}" for index in alike[:n]]
    rows = [row for index in alike[:n] if isinstance(row := encoded[index], _Encoded)]
    return _joined(name, rows, keys, [drawn[i] for i in alike[:n]], n_drawn=len(drawn))


def filtered(
    given: TaskSet, top: NDArray[np.int64], logit_diff: NDArray[np.floating], by: str
) -> TaskSet:
    """Only the prompts that a model gets right by far, as the papers chose theirs.

    `top`: its most likely token at each prompt; `logit_diff`: answer less foil; `by`: its id. Kept
    are those with the answer on top and p(answer) > 2 p(foil). A teacher's choice: its student
    is then compared where the teacher does well.

    Raises:
        BadInput: it gets none right.
    """
    kept = np.flatnonzero((top == given.answer) & (logit_diff > MIN_GAP_NATS))
    if not len(kept):
        raise BadInput(
            f"model {by!r} gets none of {len(given.keys)} prompts of {given.name!r} right by far: "
            "take the unfiltered set, or another task"
        )
    return replace(
        given,
        name=f"{given.name}-filtered",
        clean=given.clean[kept],
        corrupted=given.corrupted[kept],
        answer=given.answer[kept],
        foil=given.foil[kept],
        keys=tuple(given.keys[i] for i in kept),
        items=tuple(given.items[i] for i in kept),
        filtered_by=by,
    )


def _of_commonest_shape(encoded: Sequence[_Encoded | str]) -> list[int]:
    """Indices, in order, of the prompts that most others are shaped like."""
    shapes = {
        index: row.shape
        for index, row in enumerate(encoded)
        if isinstance(row, _Encoded) and row.is_parallel
    }
    if not shapes:
        return []
    commonest = Counter(shapes.values()).most_common(1)[0][0]
    return [index for index, shape in shapes.items() if shape == commonest]


def _joined(
    name: str, rows: Sequence[_Encoded], keys: Sequence[str], items: Sequence[Item], n_drawn: int
) -> TaskSet:
    return TaskSet(
        name=name,
        clean=np.array([row.clean for row in rows], dtype=np.int64),
        corrupted=np.array([row.corrupted for row in rows], dtype=np.int64),
        answer=np.array([row.answer for row in rows], dtype=np.int64),
        foil=np.array([row.foil for row in rows], dtype=np.int64),
        roles=rows[0].roles,
        position=rows[0].roles[READ_AT][0],
        keys=tuple(keys),
        items=tuple(items),
        n_drawn=n_drawn,
    )


def _encoded(tokenizer: Any, items: Sequence[Item]) -> list[_Encoded | str]:
    """Each item for a decoder, or in words why it cannot be used."""
    right, wrong, broken = _tokens(
        tokenizer,
        [item.clean + item.answer for item in items],
        [item.clean + item.foil for item in items],
        [item.corrupted + item.answer for item in items],
    )
    made: list[_Encoded | str] = []
    for item, (ids, offsets), (foil_ids, _), (broken_ids, broken_offsets) in zip(
        items, right, wrong, broken, strict=True
    ):
        at = _first_difference(ids, foil_ids)
        if at is None:
            made.append(f"answer {item.answer!r} and foil {item.foil!r} begin with the same tokens")
        elif at == 0:
            made.append(f"no token comes before the answer {item.answer!r}")
        elif len(broken_ids) != len(ids):
            made.append(_unequal(at, len(broken_ids) - len(ids) + at))
        else:
            pair = (ids[at], foil_ids[at])
            layouts = (offsets[:at], broken_offsets[:at])
            made.append(_row(item, ids[:at], broken_ids[:at], pair, layouts, at - 1))
    return made


def _encoded_masked(tokenizer: Any, items: Sequence[Item]) -> list[_Encoded | str]:
    """Each item with a mask after its prompts, or in words why it cannot be used."""
    mask = f" {tokenizer.mask_token}"
    clean, broken, right, wrong = _tokens(
        tokenizer,
        [item.clean + mask for item in items],
        [item.corrupted + mask for item in items],
        [item.clean + item.answer for item in items],
        [item.clean + item.foil for item in items],
    )
    made: list[_Encoded | str] = []
    for item, (ids, offsets), (broken_ids, broken_offsets), (answer_ids, _), (foil_ids, _) in zip(
        items, clean, broken, right, wrong, strict=True
    ):
        at = len(ids) - 1 - ids[::-1].index(tokenizer.mask_token_id)
        if not len(answer_ids) == len(foil_ids) == len(ids):
            made.append(f"answer {item.answer!r} or foil {item.foil!r} is not one token")
        elif answer_ids[at] == foil_ids[at]:
            made.append(f"answer {item.answer!r} and foil {item.foil!r} are the same token")
        elif len(broken_ids) != len(ids):
            made.append(_unequal(len(ids), len(broken_ids)))
        else:
            pair = (answer_ids[at], foil_ids[at])
            made.append(_row(item, ids, broken_ids, pair, (offsets, broken_offsets), at))
    return made


def _tokens(
    tokenizer: Any, *columns: Sequence[str]
) -> Iterator[list[tuple[list[int], list[Span]]]]:
    """Ids and character offsets of each text, specials as the tokenizer adds them."""
    for texts in columns:
        found = tokenizer(list(texts), return_offsets_mapping=True) if texts else None
        yield list(zip(found["input_ids"], found["offset_mapping"], strict=True)) if found else []


def _first_difference(ids: Sequence[int], others: Sequence[int]) -> int | None:
    pairs = enumerate(zip(ids, others, strict=False))
    return next((index for index, (a, b) in pairs if a != b), None)


def _unequal(n_clean: int, n_corrupted: int) -> str:
    return (
        f"its clean prompt has {n_clean} tokens and its corrupted one {n_corrupted}: "
        "give prompts of equal length"
    )


def _row(
    item: Item,
    clean: list[int],
    corrupted: list[int],
    answer_and_foil: tuple[int, int],
    offsets: tuple[list[Span], list[Span]],
    position: int,
) -> _Encoded:
    layout, broken_layout = (
        _tokens_by_word(text, where)
        for text, where in zip((item.clean, item.corrupted), offsets, strict=True)
    )
    roles = {role: touching(offsets[0], span) for role, span in item.roles.items()}
    return _Encoded(
        clean, corrupted, *answer_and_foil,
        roles=roles | {READ_AT: (position,)},
        layout=layout,
        is_parallel=layout == broken_layout,
    )  # fmt: skip


def _tokens_by_word(text: str, offsets: Sequence[Span]) -> tuple[int, ...]:
    """How many tokens begin in each word and the space before it."""
    cuts = [i for i, char in enumerate(text) if char.isspace()]
    begun = np.searchsorted(cuts, [start for start, _ in offsets], side="right")
    return tuple(np.bincount(begun).tolist())


def _own(name: str, n: int, encode: Callable[[Sequence[Item]], list[_Encoded | str]]) -> TaskSet:
    """The first `n` prompts of a .jsonl file; a line that cannot be used is refused."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise BadInput(
            f"task file {name!r} does not exist: give one of {', '.join(TASKS)}, or a .jsonl file"
        )

    def refuse(what: str) -> NoReturn:
        raise BadInput(f"task file {name!r}, {what}")

    items: dict[str, Item] = {}
    numbers: list[int] = []
    for number, line in islice(json_lines(path, refuse), n):
        key, item = _item(line, number, refuse)
        if key in items:
            refuse(f"line {number}: the id {key!r} stands there twice")
        items[key] = item
        numbers.append(number)
    if not items:
        refuse(f"is empty: give one JSON object a line, {_FORM}")
    rows: list[_Encoded] = []
    for number, row in zip(numbers, encode(list(items.values())), strict=True):
        if isinstance(row, str):
            refuse(f"line {number}: {row}")
        rows.append(row)
    for number, row in zip(numbers, rows, strict=True):
        if len(row.clean) != len(rows[0].clean):
            refuse(
                f"line {number}: its prompts have {len(row.clean)} tokens and those of line "
                f"{numbers[0]} {len(rows[0].clean)}: give prompts of one length"
            )
        if row.roles != rows[0].roles:
            refuse(
                f"line {number}: its roles stand at other tokens than those of line {numbers[0]}: "
                "give prompts of one form"
            )
    return _joined(path.stem, rows, list(items), list(items.values()), n_drawn=len(items))


def _item(line: Any, number: int, refuse: Callable[[str], NoReturn]) -> tuple[str, Item]:
    """The id and the item of a line."""
    fields: dict[str, Any] = line if isinstance(line, dict) else {}
    texts = [fields.get(name) for name in ("clean", "corrupted", "answer", "foil")]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        refuse(f"line {number}: wants four texts, {_FORM}")
    clean = str(texts[0])
    found = [
        (match.start() + len(word) - len(word.lstrip(string.punctuation)),
         match.end() - len(word) + len(word.rstrip(string.punctuation)))
        for match in re.finditer(r"\S+", clean) for word in [match[0]]
    ]  # fmt: skip
    roles = fields.get("roles", {})
    if not isinstance(roles, dict) or not all(
        isinstance(at, int) and 0 <= at < len(found) for at in roles.values()
    ):
        refuse(
            f"line {number}: `roles` {str(roles)[:60]!r} is no object of word numbers, "
            f"0 to {len(found) - 1}"
        )
    spans = {str(role): found[at] for role, at in roles.items()}
    return str(fields.get("prompt_id", f"line-{number}")), Item(*map(str, texts), roles=spans)
