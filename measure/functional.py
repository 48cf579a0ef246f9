"""Functional templates: the shape of the top logit gaps beyond what pure noise gives.

With z_(1) >= z_(2) >= ... the sorted logits of a token, gap k is G_k = z_(k) - z_(k+1). The top of
a large vocabulary behaves like a Poisson point process (PPP), whose gaps are independent
exponentials of mean beta / k. Per token, with K = 20 gaps of the top 21 logits:

    beta = sum_k w_k k G_k / sum_k w_k      the scale: each k G_k is an estimate of it
    R_k  = G_k - beta / k                   the PPP residual

    fit     w_k                 which is                           so that              bound
    ml      1                   maximum likelihood; the default    sum k R_k = 0        0.99965
    sum     1 / k               the sum of the gaps kept           sum R_k = 0          0.95
    ols     1 / k^2             least squares on 1 / k             sum R_k / k = 0      0.3735
    tail2   0 if k = 1, else 1  ml of the gaps but the first       sum_{k>1} k R_k = 0  1
    log     the intercept of log G_k on -log k: beta is the geometric mean of k G_k, over the gaps
            that are not 0. Without a bound. On noise it comes out Gamma(1 + 1/K)^K = 0.584 times
            too small, where the others are unbiased

The bound is on the share of G_1 in a squared difference of templates. Templates of two fits are
never compared with each other.

A prompt's template is the mean of R over its tokens; the noise of its first entry is the standard
error of a bootstrap over blocks of 8 consecutive tokens, since neighbours are alike. Gaps are
unchanged by log-softmax and scale with 1 / temperature, so they compare at temperature 1 only.

Source: Coslett 2026 (family-graded scars), which does not say how it fits. `ml` is OUR DEFINITION:
the published shares of G_1, up to 0.999, exclude `ols` and `sum`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from measure.backends import TRANSFORMERS, Backend
from measure.prompts import Progress, Prompt, PromptSet
from measure.records import Mode, PppFit, PromptTemplate
from measure.request import Measurement, text_set_sha256
from measure.text_model import Scored, TextModel

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    Gaps = Float[NDArray[np.float64], "tokens k"]
    Scales = Float[NDArray[np.float64], " tokens"]
    PerRank = Float[NDArray[np.float64], " k"]

METHOD = "template"
VERSION = 3  # raise it when a number changes: it is part of a measurement's id
K = 20  # gaps, from the top 21 logits
MAX_NEW_TOKENS = 64
MIN_TOKENS = 16
BLOCK_TOKENS = 8
N_SPLITS = 100
PROMPTS_PER_UNIT = 20
DEFAULT_FIT: PppFit = "ml"
# Of each k G_k in the scale, by its rank k, which is a float; `log` is no weighted mean.
_WEIGHTS: Mapping[PppFit, Callable[[PerRank], PerRank]] = {
    "ml": np.ones_like,
    "sum": lambda k: 1 / k,
    "ols": lambda k: 1 / k**2,
    "tail2": lambda k: np.where(k > 1, 1.0, 0.0),
}


def plan(
    model_id: str,
    prompts: PromptSet,
    *,
    texts: Mapping[str, str] | None = None,
    dtype: str = "float32",
    device_kind: str = "cpu",
    batch_size: int = 20,
    fit: PppFit = DEFAULT_FIT,
    backend: Backend = TRANSFORMERS,
) -> Measurement:
    """Templates of one model: on its own greedy text, or forced on given `texts` by prompt id."""
    count = len(prompts.prompts)
    starts = range(0, count, PROMPTS_PER_UNIT)
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models={"model": model_id},
        prompt_set=prompts.name,
        prompt_set_sha256=prompts.sha256,
        dtype=dtype,
        backend=backend.name,
        device_kind=device_kind,
        options={
            "mode": "free" if texts is None else "forced",
            "ppp_fit": fit,
            "logit_dtype": "float32",
            "k": K,
            "max_new_tokens": MAX_NEW_TOKENS,
            "min_tokens": MIN_TOKENS,
            **backend.options(),
        },
        text_sha256=None if texts is None else text_set_sha256(texts),
        units=tuple(f"prompts-{s:03d}-{min(s + PROMPTS_PER_UNIT, count) - 1:03d}" for s in starts),
        batch_size=batch_size,
    )


def gaps_of(top: Float[torch.Tensor, "tokens k_plus_1"]) -> Gaps:
    """G_k = z_(k) - z_(k+1) of sorted fp32 logits, in float64."""
    sorted_logits = top.double().cpu().numpy()
    return sorted_logits[:, :-1] - sorted_logits[:, 1:]


def ppp_scale(gaps: Gaps, fit: PppFit = DEFAULT_FIT) -> Scales:
    """The scale beta of each token, logits: the mean of k G_k that the fit takes."""
    ranks = np.arange(1.0, gaps.shape[1] + 1)
    estimates = gaps * ranks
    if fit == "log":
        return _geometric_mean(estimates)
    return np.average(estimates, axis=1, weights=_WEIGHTS[fit](ranks))


def _geometric_mean(values: Gaps) -> Scales:
    """Of each token's values that are not 0; 0 without any."""
    is_positive = values > 0
    logs = np.log(values, out=np.zeros_like(values), where=is_positive)
    n = is_positive.sum(1)
    return np.where(n > 0, np.exp(logs.sum(1) / np.maximum(n, 1)), 0.0)


def ppp_residual(gaps: Gaps, fit: PppFit = DEFAULT_FIT) -> Gaps:
    """R_k = G_k - beta / k; by every fit but `log` one linear sum of it is 0 for each token."""
    return gaps - ppp_scale(gaps, fit)[:, None] / np.arange(1, gaps.shape[1] + 1)


def delta_norms(gaps: Gaps) -> Float[NDArray[np.float64], " tokens"]:
    """G_3 / (G_2 + G_3 + G_4) of the tokens where the denominator is not 0."""
    total = gaps[:, 1:4].sum(1)
    return gaps[total > 0, 2] / total[total > 0]


def split_half_distance(residuals: Gaps, rng: np.random.Generator) -> float | None:
    """Mean over 100 random halves of 8-token blocks of the L2 distance of the halves' means.

    None with fewer than two blocks. With an odd number of blocks one half has one more.
    """
    starts = np.arange(0, len(residuals), BLOCK_TOKENS)
    if len(starts) < 2:
        return None
    sums = np.add.reduceat(residuals, starts)
    sizes = np.diff(np.append(starts, len(residuals)))
    order = rng.permuted(np.tile(np.arange(len(starts)), (N_SPLITS, 1)), axis=1)
    first = np.zeros((N_SPLITS, len(starts)))
    np.put_along_axis(first, order[:, : len(starts) // 2], 1.0, axis=1)
    means = [half @ sums / (half @ sizes)[:, None] for half in (first, 1 - first)]
    return float(np.linalg.norm(means[0] - means[1], axis=1).mean())


def block_standard_error(values: Float[NDArray[np.float64], " tokens"]) -> float | None:
    """Standard error of the mean of tokens, from a bootstrap over their 8-token blocks.

    In closed form: with e_i the sum of (value - mean) over block i, redrawing all m blocks gives
    the mean the variance sum_i e_i^2 / tokens^2; for blocks of one size that is the variance of
    their means over m, and a shorter last block weighs as many tokens as it has. The factor
    m / (m - 1) undoes that a few blocks vary less about their own mean than about the true one.
    None with fewer than two blocks.
    """
    starts = np.arange(0, len(values), BLOCK_TOKENS)
    m = len(starts)
    if m < 2:
        return None
    excess = np.add.reduceat(values - values.mean(), starts)
    return float(np.sqrt(m / (m - 1) * (excess**2).sum()) / len(values))


def measure_unit(
    model: TextModel,
    prompts: PromptSet,
    unit: str,
    batch_size: int,
    progress: Progress,
    texts: Mapping[str, str] | None = None,
    fit: PppFit = DEFAULT_FIT,
) -> Iterator[PromptTemplate]:
    """The records of one chunk of prompts."""
    first, last = (int(part) for part in unit.removeprefix("prompts-").split("-"))
    chunk = prompts.prompts[first : last + 1]
    for start in range(0, len(chunk), batch_size):
        batch = chunk[start : start + batch_size]
        free = texts is None
        scored = _score_free(model, batch) if free else _score_forced(model, batch, texts)
        for prompt, (n_prompt, text, gaps) in zip(batch, scored, strict=True):
            yield _record(prompt, "free" if free else "forced", n_prompt, text, gaps, fit)
        progress(len(batch))


def _score_free(model: TextModel, prompts: Sequence[Prompt]) -> Iterator[tuple[int, str, Gaps]]:
    """(prompt tokens, greedy text, gaps) of each prompt; the ending token is not scored."""
    rows = [model.encode(prompt.text) for prompt in prompts]
    found = model.continue_greedily(rows, K + 1, MAX_NEW_TOKENS)
    for row, one in zip(rows, found, strict=True):
        yield len(row), model.continuation(row, one.new_ids), gaps_of(one.top)


def _score_forced(
    model: TextModel, prompts: Sequence[Prompt], texts: Mapping[str, str]
) -> Iterator[tuple[int, str, Gaps]]:
    """Gaps on given continuations; a token belongs to the text its first character lies in."""
    scored: list[Scored] = []
    for prompt in prompts:
        ids, starts = model.encode_with_starts(prompt.text + texts.get(prompt.prompt_id, ""))
        # Logits at position p - 1 are of token p, so the first token of all cannot be scored.
        scored.append((ids, [p for p, s in enumerate(starts) if s >= len(prompt.text) and p > 0]))
    tops = model.top_of(scored, K + 1)
    for prompt, (ids, picked), top in zip(prompts, scored, tops, strict=True):
        yield len(ids) - len(picked), texts.get(prompt.prompt_id, ""), gaps_of(top)


def _record(
    prompt: Prompt, mode: Mode, n_prompt: int, text: str, gaps: Gaps, fit: PppFit
) -> PromptTemplate:
    residuals = ppp_residual(gaps, fit)
    deltas = delta_norms(gaps)
    is_finite = bool(np.isfinite(gaps).all())
    is_scored = len(gaps) > 0 and is_finite
    rng = np.random.default_rng(int(hashlib.sha256(prompt.prompt_id.encode()).hexdigest()[:16], 16))
    return PromptTemplate(
        mode=mode,
        prompt_id=prompt.prompt_id,
        category=prompt.category,
        n_prompt_tokens=n_prompt,
        n_tokens=len(gaps),
        beta_mean=float(ppp_scale(gaps, fit).mean()) if is_scored else None,
        # As exact as the fp32 logits behind it.
        template=tuple(residuals.mean(0).astype(np.float32).tolist()) if is_scored else None,
        delta_norm_mean=float(deltas.mean()) if is_scored and len(deltas) else None,
        n_delta_norm=len(deltas) if is_finite else 0,
        zero_gap_frac=float((gaps == 0).mean()) if is_scored else None,
        split_half_distance=split_half_distance(residuals, rng) if is_scored else None,
        text=text,
        text_sha256=hashlib.sha256(text.encode()).hexdigest(),
        reason=_why(len(gaps), is_finite, mode),
        winner_gap_se=block_standard_error(residuals[:, 0]) if is_scored else None,
    )


def _why(n_tokens: int, is_finite: bool, mode: Mode) -> str | None:
    if not is_finite:
        return "the logits are not finite"
    if n_tokens < MIN_TOKENS:
        kind = "its own greedy text" if mode == "free" else "the given text"
        return f"{n_tokens} tokens in {kind}, {MIN_TOKENS} are needed"
    return None
