"""What a fixed small fine-tune on unconstrained text does to the violation rate.

A copy of the model takes 50 steps of AdamW on 16 texts each, mean cross-entropy, fp32, the same for
every model; then it answers the clean tested problems again, from the same random numbers, and its
steps are held against the same limits and the model's own region. The change stands beside the
proxies R, not among them (OUR DEFINITION; arXiv 2603.25022 names no procedure).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from tqdm import tqdm

from measure import problems, rollouts, step_burdens
from measure.burden import Limits, Region
from measure.errors import BadInput
from measure.models import CausalLM, out_of_memory_named
from measure.prompts import Progress
from measure.records import Rollout
from measure.request import Measurement, sha256_of
from measure.rollouts import Sampling
from measure.sentence_scores import Texts
from measure.stability_records import StepBurden, TrajectoryStability
from measure.variants import VariantSet
from measure.zoo import corpus

METHOD = "retune"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
ZOO_TEXTS = "zoo-narratives"  # like those that embedded models have read, and none of them
N_STEPS, N_ROWS, ROW_TOKENS, RATE = 50, 16, 128, 2e-4
_ZOO_SEED = 41
_IGNORED = -100


@dataclass(frozen=True, slots=True)
class TextSet:
    """Texts to fine-tune on, and the lines that were none."""

    name: str
    texts: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256, hex, of the texts in order."""
        return sha256_of(list(self.texts))


@cache
def load_texts(name: str) -> TextSet:
    """`zoo-narratives`, or a .jsonl file of `{"text": ...}`.

    Raises:
        BadInput: there is no such file, or no text in it.
    """
    if name == ZOO_TEXTS:
        made = corpus.documents(_ZOO_SEED, {"narrative": 1.0}, is_held_out=True)
        return TextSet(name, tuple(islice(made, N_STEPS * N_ROWS)))
    path = Path(name).expanduser()
    if not name.endswith(".jsonl") or not path.is_file():
        raise BadInput(f"texts {name!r} do not exist: give {ZOO_TEXTS!r} or a .jsonl file")
    texts: list[str] = []
    skipped: list[str] = []
    for number, line in problems.json_lines(path, skipped.append):
        text: Any = line.get("text") if isinstance(line, dict) else None
        if isinstance(text, str) and text.strip():
            texts.append(text)
        else:
            skipped.append(f"line {number}: no object with a text under `text`")
    if not texts:
        why = f" ({skipped[0]})" if skipped else ""
        raise BadInput(f'{name!r} has no text{why}: give one JSON object a line, {{"text": "..."}}')
    return TextSet(path.stem, tuple(texts), tuple(skipped))


def plan(
    model_ids: Mapping[str, str],
    texts: TextSet,
    asked: VariantSet,
    sampling: Sampling,
    inputs: Mapping[str, str],
    *,
    dtype: str = "float32",
    device_kind: str = "cpu",
    batch_size: int = 64,
) -> Measurement:
    """Of a model against a teacher (by role); inputs: `region` and `limits` by id."""
    clean = asked.tested_clean
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models=model_ids,
        prompt_set=clean.name,
        prompt_set_sha256=clean.sha256,
        seeds=(sampling.seed,),
        dtype=dtype,
        device_kind=device_kind,
        options={
            **sampling.options(),
            "inputs": dict(inputs),
            "links_sha256": asked.links_sha256,
            "texts_sha256": texts.sha256,
            "n_steps": N_STEPS,
            "n_rows": N_ROWS,
            "row_tokens": ROW_TOKENS,
            "rate": RATE,
        },
        units=("all",),
        batch_size=batch_size,
    )


def tuned(model: CausalLM, texts: TextSet, n_steps: int = N_STEPS) -> CausalLM:
    """A copy of the model, trained on; the model itself stays as it is.

    Raises:
        OutOfMemory: the copy, its gradients and the optimiser's state do not fit.
    """
    with out_of_memory_named(1):
        weights: Any = copy.deepcopy(model.model).float()
        optimizer = torch.optim.AdamW(weights.parameters(), lr=RATE, weight_decay=0.0)
        given = cycle(texts.texts)
        bar = tqdm(range(n_steps), desc=f"{model.card.label[:20]:20s} retunes", disable=None)
        with torch.enable_grad():
            for _ in bar:
                loss = _loss(model, weights, list(islice(given, N_ROWS)))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        weights.eval()
        return CausalLM(weights, model.tokenizer, model.card, str(model.device))


def _loss(model: CausalLM, weights: Any, texts: list[str]) -> torch.Tensor:
    """Mean cross-entropy in nats of the texts' tokens, each cut at `ROW_TOKENS`."""
    rows = [model.encode(text)[:ROW_TOKENS] for text in texts]
    batch = model.pad([row for row in rows if len(row) > 1])
    logits = weights(input_ids=batch.ids, attention_mask=batch.mask.long(), use_cache=False).logits
    targets = batch.ids.masked_fill(~batch.mask, _IGNORED)[:, 1:]
    return F.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), targets.flatten(), ignore_index=_IGNORED
    )


def measure(
    model: CausalLM,
    texts: TextSet,
    asked: VariantSet,
    sampling: Sampling,
    region: Region | None,
    limits: Limits,
    batch_size: int,
    progress: Progress,
) -> list[Rollout | StepBurden | TrajectoryStability]:
    """Rollouts of the tuned copy on the clean tested problems, and their steps."""
    clean, copied = asked.tested_clean, tuned(model, texts)
    sampled = [
        rollout
        for unit in rollouts.units(clean, sampling.n_samples)
        for rollout in rollouts.measure_unit(copied, clean, unit, sampling, batch_size, progress)
    ]
    given = Texts(clean.name, clean.sha256, tuple(sampled), sampling.plain_prompt)
    steps = [
        step
        for unit in given.units
        for step in step_burdens.measure_unit(
            copied, given, unit, asked.tested, region, limits, batch_size, lambda _: None
        )
    ]
    return [*sampled, *steps]
