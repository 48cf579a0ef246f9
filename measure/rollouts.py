"""Rollouts: completions a model samples on problems with checkable answers.

Sampling belongs to the item: sample s of a problem is drawn by the generator of (seed, problem, s),
so that neither batch nor order decides what is drawn. `measure/decoding.py` says how.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from measure import problems
from measure.backends import TRANSFORMERS, Backend
from measure.errors import BadInput
from measure.models import out_of_memory_named
from measure.problems import Problem, ProblemSet
from measure.prompts import Progress
from measure.records import Finish, Rollout
from measure.request import Measurement, text_set_sha256
from measure.text_model import TextModel

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    pass

METHOD = "rollout"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
ROLLOUTS_PER_UNIT = 64


@dataclass(frozen=True, slots=True)
class Sampling:
    """How rollouts are drawn."""

    n_samples: int = 16  # of each problem
    temperature: float = 0.6
    top_p: float = 0.95
    max_new_tokens: int = 512
    seed: int = 0
    plain_prompt: str = problems.PLAIN_PROMPT  # for models without a chat template

    def __post_init__(self) -> None:
        problems.check_plain_prompt(self.plain_prompt)
        if self.n_samples < 1 or self.max_new_tokens < 1 or self.seed < 0:
            raise BadInput(
                f"{self.n_samples} samples of {self.max_new_tokens} tokens, seed {self.seed}: "
                "give at least 1 sample, 1 token and seed 0"
            )
        if not (self.temperature > 0 and 0 < self.top_p <= 1):
            raise BadInput(
                f"temperature {self.temperature}, top-p {self.top_p}: give a temperature above 0 "
                "and a top-p above 0 and at most 1"
            )

    def options(self) -> dict[str, object]:
        """What of it names a measurement beside its seed."""
        return {
            "n_samples": self.n_samples,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_new_tokens": self.max_new_tokens,
            "plain_prompt": self.plain_prompt,
        }


def plan(
    model_id: str,
    asked: ProblemSet,
    sampling: Sampling,
    *,
    dtype: str = "float32",
    device_kind: str = "cpu",
    batch_size: int = 64,
    backend: Backend = TRANSFORMERS,
) -> Measurement:
    """A model's rollouts on a set of problems; a unit is some problems with all their samples."""
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models={"model": model_id},
        prompt_set=asked.name,
        prompt_set_sha256=asked.sha256,
        seeds=(sampling.seed,),
        dtype=dtype,
        backend=backend.name,
        device_kind=device_kind,
        options=sampling.options() | backend.options(),
        units=units(asked, sampling.n_samples),
        batch_size=batch_size,
    )


def units(asked: ProblemSet, n_samples: int) -> tuple[str, ...]:
    """Names of the chunks of problems, by the first and last index."""
    count, step = len(asked.problems), max(1, ROLLOUTS_PER_UNIT // n_samples)
    starts = range(0, count, step)
    return tuple(f"problems-{s:05d}-{min(s + step, count) - 1:05d}" for s in starts)


def problems_of(asked: ProblemSet, unit: str) -> Sequence[Problem]:
    """The problems of a unit."""
    first, last = (int(part) for part in unit.removeprefix("problems-").split("-"))
    return asked.problems[first : last + 1]


def measure_unit(
    model: TextModel,
    asked: ProblemSet,
    unit: str,
    sampling: Sampling,
    batch_size: int,
    progress: Progress,
) -> Iterator[Rollout]:
    """The rollouts of one unit, each problem's samples together."""
    items = [(p, s) for p in problems_of(asked, unit) for s in range(sampling.n_samples)]
    for start in range(0, len(items), batch_size):
        batch = items[start : start + batch_size]
        rows = [prompt_ids(model, problem.text, sampling.plain_prompt) for problem, _ in batch]
        room = model.max_tokens
        n_new = sampling.max_new_tokens
        rngs = [generator(sampling.seed, p.problem_id, s) for p, s in batch]
        limits = [n_new if room is None else max(0, min(n_new, room - len(row))) for row in rows]
        with out_of_memory_named(len(batch)):
            drawn = model.sample(rows, rngs, limits, sampling.temperature, sampling.top_p)
        for (problem, number), row, (new_ids, is_ended), limit in zip(
            batch, rows, drawn, limits, strict=True
        ):
            finish: Finish = "stop" if is_ended else "length" if limit == n_new else "context"
            text = model.continuation(row, new_ids)
            yield record(problem, number, text, len(new_ids), finish)
        progress(len(batch))


def record(
    problem: Problem, number: int, text: str, n_tokens: int | None, finish: Finish
) -> Rollout:
    """A rollout with its answer read and checked."""
    # A tokenizer of bytes may stop within a character; what cannot be stored is replaced.
    text = text.encode("utf-8", "replace").decode("utf-8")
    answer = problems.check(text, problem.answer)
    return Rollout(
        problem_id=problem.problem_id,
        sample=number,
        category=problem.category,
        problem=problem.text,
        gold=problem.answer,
        text=text,
        n_tokens=n_tokens,
        finish=finish,
        answer=answer.text,
        is_correct=answer.is_correct,
        reason=answer.reason,
    )


def prompt_text(model: TextModel, text: str, plain: str) -> tuple[str, bool]:
    """What a model reads before its reply, and whether its tokenizer adds special tokens to it."""
    chat = model.chat_prompt(text)
    return (problems.plain_prompt(plain, text), True) if chat is None else (chat, False)


def prompt_ids(model: TextModel, text: str, plain: str) -> list[int]:
    """Token ids of what a model reads before its reply."""
    prompt, specials = prompt_text(model, text, plain)
    return model.encode(prompt, specials=specials)


def text_key(problem_id: str, sample: int) -> str:
    """The name of one rollout among a set's texts."""
    return f"{problem_id}/{sample}"


def texts_sha256(rollouts: Sequence[Rollout]) -> str:
    """SHA-256, hex, of rollouts as texts to score: problems and completions."""
    return text_set_sha256(
        {text_key(r.problem_id, r.sample): f"{r.problem}\x00{r.text}" for r in rollouts}
    )


def generator(seed: int, problem_id: str, number: int) -> np.random.Generator:
    """What draws one sample of a problem."""
    key = int.from_bytes(hashlib.sha256(problem_id.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, key, number])


def read(path: Path, asked: ProblemSet) -> tuple[list[Rollout], list[str]]:
    """Rollouts made elsewhere, and why lines were left out.

    A line is `{"problem_id" or "problem": ..., "text": ..., "sample": optional}` on a problem of
    the set; answers are read and checked here.
    """
    by_id = {p.problem_id: p for p in asked.problems}
    by_text = {p.text: p for p in asked.problems}
    found: dict[tuple[str, int], Rollout] = {}
    skipped: list[str] = []
    for number, line in problems.json_lines(path, skipped.append):
        given: Mapping[str, Any] = line if isinstance(line, dict) else {}
        problem = by_id.get(str(given.get("problem_id"))) or by_text.get(str(given.get("problem")))
        text, which = given.get("text"), given.get("sample")
        if problem is None or not isinstance(text, str):
            skipped.append(f"line {number}: no `text` on a problem of {asked.name!r}")
            continue
        if which is None:
            which = sum(key[0] == problem.problem_id for key in found)
        is_number = isinstance(which, int) and not isinstance(which, bool)
        if not is_number or not 0 <= which < 2**31 or (problem.problem_id, which) in found:
            skipped.append(f"line {number}: sample {which!r} is no number, or stands there twice")
            continue
        made = record(problem, which, text, None, "imported")
        found[problem.problem_id, which] = made
    if not found:
        raise BadInput(
            f"{str(path)!r} has no rollout on a problem of {asked.name!r}: give one JSON object "
            'a line, {"problem_id": "...", "text": "..."}'
        )
    return list(found.values()), skipped


def plan_import(model_id: str, asked: ProblemSet, rollouts: Sequence[Rollout]) -> Measurement:
    """Rollouts of a model that were made elsewhere, named by their texts."""
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models={"model": model_id},
        prompt_set=asked.name,
        prompt_set_sha256=asked.sha256,
        dtype="unknown",
        backend="imported",
        text_sha256=texts_sha256(rollouts),
        units=("all",),
    )
