"""Structural tau: how far the token states of a prompt point the same way, by prompt and site.

For prompt i and site a (A: input of the final norm, B: its output), with token states x_1 .. x_T,
position 0 left out (its norm is an attention-sink outlier):

    tau[i, a] = |sum_t x_t| / sum_t |x_t|        resultant length, 0 to 1

A seed s draws and orders 32 prompts of the bank, `default_rng(s).permutation(512)[:32]`, so that
tau has 64 dimensions, ordered (prompt position, site) row-major. The distance of two models is
the L2 distance of their vectors of one seed; its noise floor is the distance of two runs of the
same weights in other batch sizes and another order, stored beside tau as `tau_rerun`.

OUR DEFINITION of the undisclosed observable of Coslett 2026 (family-graded scars).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from measure.models import CausalLM
from measure.prompts import Progress, Prompt, PromptSet
from measure.records import Site, StructuralTau
from measure.request import DEFAULT_SEEDS, Measurement

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Bool, Float

METHOD = "structural"
VERSION = 1  # raise it when a number changes: it is part of a measurement's id
PROMPTS_PER_SEED = 32
SITES: tuple[Site, Site] = ("A", "B")


def plan(
    model_id: str,
    bank: PromptSet,
    *,
    seeds: Sequence[int] = DEFAULT_SEEDS,
    dtype: str = "float32",
    device_kind: str = "cpu",
    batch_size: int = 16,
) -> Measurement:
    """The measurement of one model's tau on one bank; a seed is a unit."""
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models={"model": model_id},
        prompt_set=bank.name,
        prompt_set_sha256=bank.sha256,
        seeds=tuple(seeds),
        dtype=dtype,
        device_kind=device_kind,
        options={"tau": "resultant", "prompts_per_seed": PROMPTS_PER_SEED},
        units=tuple(f"seed-{seed}" for seed in seeds),
        batch_size=batch_size,
    )


def draw(bank: PromptSet, seed: int) -> list[Prompt]:
    """The prompts that a seed selects, in its order."""
    order = np.random.default_rng(seed).permutation(len(bank.prompts))
    return [bank.prompts[index] for index in order[:PROMPTS_PER_SEED]]


def resultant_length(
    states: Float[Tensor, "batch tokens d_model"], mask: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, " batch"]:
    """|sum of states| / sum of |states| over the masked tokens, in float64; NaN without tokens."""
    kept = states.double() * mask.unsqueeze(-1)
    return kept.sum(1).norm(dim=-1) / kept.norm(dim=-1).sum(1)


def tau_of(
    model: CausalLM,
    rows: Sequence[tuple[str, list[int]]],
    batch_size: int,
    progress: Progress,
    extra_pads: int = 0,
) -> dict[str, tuple[float, float]]:
    """(tau at A, tau at B) by prompt id, of rows of prompt id and token ids."""
    found: dict[str, tuple[float, float]] = {}
    for start in range(0, len(rows), batch_size):
        chunk = rows[start : start + batch_size]
        batch = model.pad([ids for _, ids in chunk], extra=extra_pads)
        states = model.states(batch)
        counted = batch.mask.clone()
        counted[:, 0] = False
        at_a = resultant_length(states.before_norm, counted).tolist()
        at_b = resultant_length(states.after_norm, counted).tolist()
        for (prompt_id, _), *taus in zip(chunk, at_a, at_b, strict=True):
            found[prompt_id] = (taus[0], taus[1])
        progress(len(chunk))
    return found


def rerun_batch_size(batch_size: int) -> int:
    """Another batch size, never a larger one: what fits the first time fits again."""
    return max(1, batch_size // 2 - 1)


def measure_unit(
    model: CausalLM, bank: PromptSet, unit: str, batch_size: int, progress: Progress
) -> Iterator[StructuralTau]:
    """The 64 records of one seed: each prompt once, and once more in another batch."""
    seed = int(unit.removeprefix("seed-"))
    drawn = draw(bank, seed)
    encoded = {prompt.prompt_id: model.encode(prompt.text) for prompt in drawn}
    n_tokens = {prompt_id: len(ids) - 1 for prompt_id, ids in encoded.items()}
    usable = [(prompt_id, ids) for prompt_id, ids in encoded.items() if n_tokens[prompt_id] > 0]
    first = tau_of(model, usable, batch_size, progress)
    # One more pad column, so that shapes differ even where both runs go one by one.
    again = tau_of(model, usable[::-1], rerun_batch_size(batch_size), progress, extra_pads=1)
    for position, prompt in enumerate(drawn):
        for index, site in enumerate(SITES):
            taus = [run.get(prompt.prompt_id, (np.nan, np.nan))[index] for run in (first, again)]
            finite = bool(np.isfinite(taus).all())
            yield StructuralTau(
                seed=seed,
                dim=2 * position + index,
                prompt_id=prompt.prompt_id,
                category=prompt.category,
                site=site,
                n_tokens=n_tokens[prompt.prompt_id],
                tau=taus[0] if finite else None,
                tau_rerun=taus[1] if finite else None,
                reason=None if finite else _why(n_tokens[prompt.prompt_id]),
            )


def _why(n_tokens: int) -> str:
    if n_tokens < 1:
        return "no token is left after position 0"
    return "the states at this site are not finite"
