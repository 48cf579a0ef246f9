"""Stiffness: gain of the final norm times spread of the unembedding, from the files alone.

With g the effective gain of the final norm (Gemma: 1 + weight) and W the unembedding (where tied,
the embedding), every row of it, those of unused tokens too:

    gamma   = mean over channels of |g|
    sigma_w = population standard deviation of all entries of W
    S       = gamma * sigma_w

The site and the reductions of the original (Coslett 2026) are undisclosed, so S is OUR DEFINITION,
and its alternatives stand beside it: rms(g), the mean over rows of a row's standard deviation, and
the last block's output projection in place of W.

Cost: one reading of the unembedding; one chunk of 2**22 values is in memory at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor

from measure.errors import NoWeights
from measure.records import Stiffness, single
from measure.request import NO_PROMPTS, Measurement
from measure.sources import Source, read_config
from measure.tensors import Weights

METHOD = "stiffness"
VERSION = 1  # raise it when a number changes: it is part of a measurement's id
ALPHA = 0.05
# transformers' model types whose norms multiply by 1 + weight.
OFFSET_NORMS = {
    "gemma", "gemma2", "gemma3", "gemma3_text", "vaultgemma", "recurrent_gemma", "nemotron",
    "qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text",
}  # fmt: skip


def plan(model_id: str) -> Measurement:
    """The measurement of one model's stiffness."""
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models={"model": model_id},
        prompt_set=NO_PROMPTS,
        prompt_set_sha256="",
        dtype="float64",
        backend="safetensors",
        units=("all",),
    )


def measure(source: Source) -> Stiffness:
    """The stiffness of a model by its files; without numbers, and with a reason, where none can be.

    That is GGUF, quantised weights, and no final norm or unembedding among the tensors.
    """
    try:
        numbers = _measure(source)
    except NoWeights as error:
        return _unknown(f"the model {error.reason}")
    if not all(math.isfinite(value) for value in numbers.values() if isinstance(value, float)):
        return _unknown("a weight is not finite")
    return Stiffness(**numbers)


def _unknown(reason: str) -> Stiffness:
    nothing: dict[str, Any] = {field.name: None for field in fields(Stiffness)}
    nothing["reason"] = reason
    return Stiffness(**nothing)


def _measure(source: Source) -> dict[str, Any]:
    weights, config = Weights(source), read_config(source.ref, source.folder)
    text: Mapping[str, Any] = config.get("text_config") or config
    tied = (None, "head") not in weights.parts or bool(
        config.get("tie_word_embeddings", text.get("tie_word_embeddings"))
    )
    head = weights.get(None, "embed" if tied else "head")
    norm = weights.get(None, "final_norm")
    if head is None or norm is None:
        raise NoWeights(
            source.ref,
            f"stores no {'unembedding' if head is None else 'final norm'} "
            "under a name known here: it needs support in measure/tensors.py",
        )
    gain = weights.read(norm).double() + (str(text.get("model_type")) in OFFSET_NORMS)
    gamma_mean, gamma_rms = gain.abs().mean().item(), gain.square().mean().sqrt().item()
    sigma_w, row_mean = spread(weights.chunks(head))
    o = weights.get(weights.n_layers - 1, "o")
    sigma_o = None if o is None else spread(weights.chunks(o))[0]
    numbers = {
        "gamma_mean": gamma_mean,
        "gamma_rms": gamma_rms,
        "sigma_w": sigma_w,
        "sigma_w_row_mean": row_mean,
        "sigma_o": sigma_o,
        "stiffness": gamma_mean * sigma_w,
        "stiffness_rms": gamma_rms * sigma_w,
        "stiffness_row_mean": gamma_mean * row_mean,
        "stiffness_o": None if sigma_o is None else gamma_mean * sigma_o,
    }
    return {name: single(value) for name, value in numbers.items()} | {
        "tied": tied,
        "n_rows": head.shape[0],
        "reason": "the last block has no output projection known here" if o is None else None,
    }


def spread(chunks: Iterator[Tensor]) -> tuple[float, float]:
    """(standard deviation of all entries, mean of the rows' own), population, of rows in chunks."""
    n, n_rows, mean, squares, rows = 0, 0, 0.0, 0.0, 0.0
    for chunk in chunks:
        # Chan's update: exact however far the mean is from 0.
        variance, chunk_mean = (x.item() for x in torch.var_mean(chunk, correction=0))
        shift, total = chunk_mean - mean, n + chunk.numel()
        squares += variance * chunk.numel() + shift**2 * n * chunk.numel() / total
        mean += shift * chunk.numel() / total
        rows += chunk.std(dim=1, correction=0).sum().item()
        n, n_rows = total, n_rows + len(chunk)
    return math.sqrt(squares / n), rows / n_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderVerdict:
    """Whether scars fall as stiffness rises, over families."""

    label: Literal["inverse order", "no inverse order", "not comparable"]
    n_families: int
    p: float | None  # one-sided: share of all orders at least as inverse
    p_attainable: float | None  # 1 / n!
    is_significant: bool
    reasons: tuple[str, ...]


def inverse_order(points: Mapping[str, tuple[float | None, float | None]]) -> OrderVerdict:
    """The verdict on (S, scar: median non-max) by family; a family without both is left out."""
    missing = [family for family, values in points.items() if None in values]
    known = sorted(
        (s, scar, family)
        for family, (s, scar) in points.items()
        if s is not None and scar is not None
    )
    reasons = [f"{family} lacks S or scar" for family in missing]
    n = len(known)
    if n < 2:
        reasons.append(f"{n} families have both, at least 2 are needed")
        return OrderVerdict(
            label="not comparable", n_families=n, p=None, p_attainable=None,
            is_significant=False, reasons=tuple(reasons),
        )  # fmt: skip
    pairs = [(low, high) for i, low in enumerate(known) for high in known[i + 1 :]]
    held = sum(low[0] < high[0] and low[1] > high[1] for low, high in pairs)
    p, attainable = _share_of_orders(n, held), 1 / math.factorial(n)
    reasons += [
        f"S rises from {low[2]} to {high[2]} and the scar does not fall"
        for low, high in pairs
        if not (low[0] < high[0] and low[1] > high[1])
    ]
    if attainable > ALPHA:
        reasons.append(f"{n} families: no order can have a p below 1/{math.factorial(n)}")
    return OrderVerdict(
        label="inverse order" if held == len(pairs) else "no inverse order",
        n_families=n,
        p=p,
        p_attainable=attainable,
        is_significant=p <= ALPHA,
        reasons=tuple(reasons),
    )


def _share_of_orders(n: int, n_inverse: int) -> float:
    """Share of the n! orders with at least so many inverse pairs, counted exactly."""
    counts = [1]  # orders of one item by their number of inversions
    for size in range(2, n + 1):
        longer = [0] * (len(counts) + size - 1)
        for inversions, count in enumerate(counts):
            for added in range(size):
                longer[inversions + added] += count
        counts = longer
    return sum(counts[n_inverse:]) / math.factorial(n)
