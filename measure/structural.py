"""Structural tau: how the token states of a prompt lie to each other, by prompt and site.

For prompt i and site a (A: input of the final norm, B: its output), with token states x_1 .. x_T,
position 0 left out (its norm is an attention-sink outlier):

    tau[i, a] = |sum_t x_t| / sum_t |x_t|        resultant length, 0 to 1

A seed s draws and orders 32 prompts of the bank, `default_rng(s).permutation(512)[:32]`, so that
tau has 64 dimensions, ordered (prompt position, site) row-major. The distance of two models is
the L2 distance of their vectors of one seed; its noise floor is the distance of two runs of the
same weights in other batch sizes and another order, stored beside tau as `tau_rerun`.

OUR DEFINITION of the undisclosed observable of Coslett 2026 (family-graded scars); instead of it
can be asked for, with as many dimensions, but never compared with it:

    gap      mean over tokens of G_3 / (G_2 + G_3 + G_4), gaps of the site's own logits: 0 to 1
    cv_cos   two channels: the tokens' norms, standard deviation over mean (>= 0); and the mean
             cosine of two tokens (-1 to 1). Half as many prompts
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from measure.models import CausalLM
from measure.prompts import Progress, Prompt, PromptSet
from measure.records import Site, StructuralTau, TauKind
from measure.request import DEFAULT_SEEDS, Measurement

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Bool, Float

METHOD = "structural"
VERSION = 1  # raise it when a number changes: it is part of a measurement's id
PROMPTS_PER_SEED = 32
SITES: tuple[Site, Site] = ("A", "B")
DEFAULT_TAU: TauKind = "resultant"
_GAP_LOGITS = 5  # G_2 to G_4 lie between the second and the fifth


def plan(
    model_id: str,
    bank: PromptSet,
    *,
    seeds: Sequence[int] = DEFAULT_SEEDS,
    dtype: str = "float32",
    device_kind: str = "cpu",
    batch_size: int = 16,
    tau: TauKind = DEFAULT_TAU,
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
        options={"tau": tau, "prompts_per_seed": prompts_per_seed(tau)},
        units=tuple(f"seed-{seed}" for seed in seeds),
        batch_size=batch_size,
    )


def prompts_per_seed(tau: TauKind) -> int:
    """How many prompts a seed draws; with two sites and the channels it makes 64 dimensions."""
    return PROMPTS_PER_SEED // _OBSERVABLES[tau].n_channels


def draw(bank: PromptSet, seed: int, tau: TauKind = DEFAULT_TAU) -> list[Prompt]:
    """The prompts that a seed selects, in its order."""
    order = np.random.default_rng(seed).permutation(len(bank.prompts))
    return [bank.prompts[index] for index in order[: prompts_per_seed(tau)]]


def resultant_length(
    states: Float[Tensor, "batch tokens d_model"], mask: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, " batch"]:
    """|sum of states| / sum of |states| over the masked tokens, in float64; NaN without tokens."""
    kept = states.double() * mask.unsqueeze(-1)
    return kept.sum(1).norm(dim=-1) / kept.norm(dim=-1).sum(1)


def gap_ratio(
    model: CausalLM,
    states: Float[Tensor, "batch tokens d_model"],
    mask: Bool[Tensor, "batch tokens"],
) -> Float[Tensor, " batch"]:
    """Mean of G_3 / (G_2 + G_3 + G_4) over the masked tokens with a gap; NaN without one."""
    top = torch.full((*mask.shape, _GAP_LOGITS), torch.nan, dtype=torch.float64)
    top[mask.cpu()] = model.top_logits(states[mask], _GAP_LOGITS)[0].double().cpu()
    gaps = top[..., 1:-1] - top[..., 2:]
    return (gaps[..., 1] / gaps.sum(-1)).nanmean(1)


def norm_variation(
    states: Float[Tensor, "batch tokens d_model"], mask: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, " batch"]:
    """Standard deviation over mean of the masked tokens' norms, float64; NaN without tokens."""
    norms, n = states.double().norm(dim=-1) * mask, mask.sum(1)
    mean = norms.sum(1) / n
    variance = ((norms - mean[:, None]).square() * mask).sum(1) / n
    return variance.sqrt() / mean


def mean_cosine(
    states: Float[Tensor, "batch tokens d_model"], mask: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, " batch"]:
    """Mean cosine of two different masked tokens, in float64; NaN with fewer than two."""
    kept, n = states.double(), mask.sum(1)
    # The sum of all n^2 cosines is |sum of unit vectors|^2, n of them with themselves.
    units = torch.where(mask[..., None], kept / kept.norm(dim=-1, keepdim=True), 0.0)
    return (units.sum(1).square().sum(-1) - n) / (n * (n - 1))


@dataclass(frozen=True, slots=True)
class _Observable:
    """A tau: its numbers of each prompt at one site."""

    n_channels: int
    measure: Callable[[CausalLM, Tensor, Tensor], list[Tensor]]


_OBSERVABLES: Mapping[TauKind, _Observable] = {
    "resultant": _Observable(1, lambda _, x, mask: [resultant_length(x, mask)]),
    "gap": _Observable(1, lambda model, x, mask: [gap_ratio(model, x, mask)]),
    "cv_cos": _Observable(2, lambda _, x, mask: [norm_variation(x, mask), mean_cosine(x, mask)]),
}


def tau_of(
    model: CausalLM,
    rows: Sequence[tuple[str, list[int]]],
    batch_size: int,
    progress: Progress,
    extra_pads: int = 0,
    tau: TauKind = DEFAULT_TAU,
) -> dict[str, tuple[float, ...]]:
    """Taus at A, then at B, by prompt id, of rows of prompt id and token ids."""
    observed = _OBSERVABLES[tau].measure
    found: dict[str, tuple[float, ...]] = {}
    for start in range(0, len(rows), batch_size):
        chunk = rows[start : start + batch_size]
        batch = model.pad([ids for _, ids in chunk], extra=extra_pads)
        states = model.states(batch)
        counted = batch.mask.clone()
        counted[:, 0] = False
        channels = [
            channel.tolist()
            for at_site in (states.before_norm, states.after_norm)
            for channel in observed(model, at_site, counted)
        ]
        for (prompt_id, _), *taus in zip(chunk, *channels, strict=True):
            found[prompt_id] = tuple(taus)
        progress(len(chunk))
    return found


def by_length(rows: Sequence[tuple[str, list[int]]]) -> list[tuple[str, list[int]]]:
    """Rows of prompt id and token ids, shortest first: a batch of like lengths has few pads."""
    return sorted(rows, key=lambda row: len(row[1]))


def rerun_batch_size(batch_size: int) -> int:
    """Another batch size, never a larger one: what fits the first time fits again."""
    return max(1, batch_size // 2 - 1)


def measure_unit(
    model: CausalLM,
    bank: PromptSet,
    unit: str,
    batch_size: int,
    progress: Progress,
    tau: TauKind = DEFAULT_TAU,
) -> Iterator[StructuralTau]:
    """The 64 records of one seed: each prompt once, and once more in another batch."""
    seed = int(unit.removeprefix("seed-"))
    drawn = draw(bank, seed, tau)
    encoded = {prompt.prompt_id: model.encode(prompt.text) for prompt in drawn}
    n_tokens = {prompt_id: len(ids) - 1 for prompt_id, ids in encoded.items()}
    usable = [(prompt_id, ids) for prompt_id, ids in encoded.items() if n_tokens[prompt_id] > 0]
    first = tau_of(model, by_length(usable), batch_size, progress, tau=tau)
    # In the drawn order reversed, so that neighbours and pads differ, and with one more pad column,
    # so that shapes differ even where both runs go one by one.
    other_size = rerun_batch_size(batch_size)
    again = tau_of(model, usable[::-1], other_size, progress, extra_pads=1, tau=tau)
    n_channels = _OBSERVABLES[tau].n_channels
    none = (np.nan,) * (n_channels * len(SITES))
    for position, prompt in enumerate(drawn):
        both = zip(*(run.get(prompt.prompt_id, none) for run in (first, again)), strict=True)
        for index, (once, rerun) in enumerate(both):
            finite = bool(np.isfinite([once, rerun]).all())
            yield StructuralTau(
                seed=seed,
                dim=len(none) * position + index,
                prompt_id=prompt.prompt_id,
                category=prompt.category,
                site=SITES[index // n_channels],
                n_tokens=n_tokens[prompt.prompt_id],
                tau=once if finite else None,
                tau_rerun=rerun if finite else None,
                reason=None if finite else _why(n_tokens[prompt.prompt_id]),
            )


def _why(n_tokens: int) -> str:
    if n_tokens < 1:
        return "no token is left after position 0"
    return "the states at this site are not finite, or one token has no cosine"
