"""The prompt sets, as data with a hash: `bank512` for tau, `canonical40` for templates.

Each line of a set is `{"prompt_id", "category", "text"}`. The hash of a set runs over its parsed
lines in order, so that it names what is measured and not how the file is laid out.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from measure.errors import BadInput
from measure.request import sha256_of

HERE = Path(__file__).parent
Progress = Callable[[int], None]  # told how many more prompts went through a model


def advance(bar: "tqdm[NoReturn]", n: int) -> None:
    """Move a bar on, not past its end: a restart at half the batch does texts again."""
    bar.update(min(n, bar.total - bar.n))


@dataclass(frozen=True, slots=True)
class Prompt:
    """A fixed text given to every model as it is."""

    prompt_id: str
    category: str
    text: str


@dataclass(frozen=True, slots=True)
class PromptSet:
    """An ordered set of prompts under a name."""

    name: str
    prompts: tuple[Prompt, ...]

    @property
    def sha256(self) -> str:
        """SHA-256, hex, of ids, categories and texts in order."""
        return sha256_of([[p.prompt_id, p.category, p.text] for p in self.prompts])


@cache
def load(name: str) -> PromptSet:
    """A set by its name (`bank512`, `canonical40`) or by the path of a .jsonl file."""
    path = Path(name).expanduser() if name.endswith(".jsonl") else HERE / f"{name}.jsonl"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in HERE.glob("*.jsonl")))
        raise BadInput(f"prompt set {name!r} does not exist: give one of {known}, or a .jsonl file")
    prompts = tuple(
        _parse(name, number, line)
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1)
        if line.strip()
    )
    if not prompts:
        raise BadInput(
            f"prompt set {name!r} is empty: give a file with one JSON object a line, "
            '{"prompt_id": "...", "category": "...", "text": "..."}'
        )
    ids = [prompt.prompt_id for prompt in prompts]
    if len(set(ids)) < len(ids):
        twice = next(prompt_id for prompt_id in ids if ids.count(prompt_id) > 1)
        raise BadInput(f"prompt set {name!r} has the id {twice!r} twice: make every id unique")
    return PromptSet(path.stem, prompts)


def _parse(name: str, number: int, line: str) -> Prompt:
    try:
        fields = json.loads(line)
        prompt = Prompt(fields["prompt_id"], fields.get("category", ""), fields["text"])
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"prompt set {name!r}, line {number}: {line[:60]!r} is no JSON object with "
            "`prompt_id` and `text`"
        ) from error
    if not str(prompt.text).strip():
        raise BadInput(f"prompt set {name!r}, line {number}: the text of its prompt is empty")
    return prompt
