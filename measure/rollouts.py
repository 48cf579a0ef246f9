"""Rollouts: completions a model samples on problems with checkable answers.

Sampling is exact and belongs to the item: token t of sample s of a problem is the inverse
distribution function, at u_t, of the tempered and top-p truncated distribution, with u from the
generator of (seed, problem, sample). So neither batch nor order decides what is drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from measure import problems
from measure.errors import BadInput
from measure.models import CausalLM, out_of_memory_named
from measure.problems import Problem, ProblemSet
from measure.prompts import Progress
from measure.records import Finish, Rollout
from measure.request import Measurement, text_set_sha256

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int

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
        device_kind=device_kind,
        options=sampling.options(),
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
    model: CausalLM,
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
        uniforms = np.array([_uniforms(sampling, p.problem_id, s) for p, s in batch])
        limits = [n_new if room is None else max(0, min(n_new, room - len(row))) for row in rows]
        with out_of_memory_named(len(batch)):
            drawn = sample(model, rows, uniforms, limits, sampling.temperature, sampling.top_p)
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


def prompt_text(model: CausalLM, text: str, plain: str) -> tuple[str, bool]:
    """What a model reads before its reply, and whether its tokenizer adds special tokens to it."""
    chat = model.chat_prompt(text)
    return (problems.plain_prompt(plain, text), True) if chat is None else (chat, False)


def prompt_ids(model: CausalLM, text: str, plain: str) -> list[int]:
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


def _uniforms(sampling: Sampling, problem_id: str, number: int) -> NDArray[np.float64]:
    key = int.from_bytes(hashlib.sha256(problem_id.encode()).digest()[:8], "big")
    rng = np.random.default_rng([sampling.seed, key, number])
    return rng.random(sampling.max_new_tokens)


@torch.inference_mode()
def sample(
    model: CausalLM,
    rows: Sequence[Sequence[int]],
    uniforms: Float[NDArray[np.float64], "rows steps"],
    limits: Sequence[int],
    temperature: float,
    top_p: float,
) -> list[tuple[list[int], bool]]:
    """Continue each row: its new tokens before the ending one, and whether that came.

    `limits`: new tokens at most, by row. Rows that ended leave the batch.
    """
    chosen: list[list[int]] = [[] for _ in rows]
    ended = [False] * len(rows)
    alive = [index for index, limit in enumerate(limits) if limit > 0]
    if not alive:
        return list(zip(chosen, ended, strict=True))
    batch = model.pad([rows[index] for index in alive], side="left")
    ids, mask, cache = batch.ids, batch.mask, model.new_cache()
    drawn_at = torch.from_numpy(uniforms).to(model.device)
    for step in range(max(limits)):
        last = model.states(type(batch)(ids, mask), cache).after_norm[:, -1]
        tokens = draw(model.logits(last), drawn_at[alive, step], temperature, top_p).tolist()
        going: list[int] = []
        for place, (index, token) in enumerate(zip(alive, tokens, strict=True)):
            if token in model.eos_ids:
                ended[index] = True
                continue
            chosen[index].append(token)
            if len(chosen[index]) < limits[index]:
                going.append(place)
        if not going:
            break
        picked = torch.tensor(going, device=model.device)
        if len(going) < len(alive):
            cache.batch_select_indices(picked)
            alive = [alive[place] for place in going]
        ids = torch.tensor([[tokens[place]] for place in going], device=model.device)
        mask = torch.cat([mask[picked], torch.ones_like(ids, dtype=torch.bool)], dim=1)
    return list(zip(chosen, ended, strict=True))


HEAD = 1_024  # tokens of a large vocabulary that are sorted first: they nearly always decide


def draw(
    logits: Float[torch.Tensor, "rows vocab"],
    uniforms: Float[torch.Tensor, " rows"],
    temperature: float,
    top_p: float,
) -> Int[torch.Tensor, " rows"]:
    """Tokens at the inverse distribution function of `uniforms`, most probable token first.

    top_p keeps the fewest most probable tokens whose probabilities sum to at least it. Of equally
    probable tokens the one with the lower id comes first.
    """
    logits = logits.double()
    if logits.shape[-1] <= HEAD:
        return _draw_from_all(logits, uniforms, temperature, top_p)
    head, order = logits.topk(HEAD)
    order, by_id = order.sort()
    head, by_value = head.gather(-1, by_id).sort(dim=-1, descending=True, stable=True)
    scaled = logits / temperature
    reached = (head / temperature - scaled.logsumexp(-1, keepdim=True)).exp().cumsum(-1)
    n_kept = (reached < top_p).sum(-1).clamp(max=HEAD - 1)
    kept_mass = reached.gather(-1, n_kept[:, None])[:, 0] if top_p < 1 else 1.0
    wanted = uniforms * kept_mass
    below = torch.minimum((reached <= wanted[:, None]).sum(-1), n_kept)
    tokens = order.gather(-1, by_value).gather(-1, below[:, None])[:, 0]
    # Where the head does not reach far enough, or its last token's equals may lie beyond it.
    certain = (reached * (head > head[:, -1:])).amax(-1)
    is_open = certain <= (wanted if top_p == 1 else top_p)
    if bool(is_open.any()):
        tokens[is_open] = _draw_from_all(logits[is_open], uniforms[is_open], temperature, top_p)
    return tokens


def _draw_from_all(
    logits: Float[torch.Tensor, "rows vocab"],
    uniforms: Float[torch.Tensor, " rows"],
    temperature: float,
    top_p: float,
) -> Int[torch.Tensor, " rows"]:
    sorted_logits, order = logits.sort(dim=-1, descending=True, stable=True)
    reached = (sorted_logits / temperature).softmax(-1).cumsum(-1)
    n_kept = (reached < top_p).sum(-1).clamp(max=logits.shape[-1] - 1)
    kept_mass = reached.gather(-1, n_kept[:, None])
    below = (reached <= uniforms[:, None] * kept_mass).sum(-1)
    return order.gather(-1, torch.minimum(below, n_kept)[:, None])[:, 0]


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
