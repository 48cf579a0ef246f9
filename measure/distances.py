"""Distances of templates: centroid beside per-prompt (CRP), each with its interval and floor.

With t_M[p] the template of model M on prompt p, over the P prompts that every model of a triangle
could be scored on:

    centroid distance  C   = | mean_p t_A[p] - mean_p t_B[p] |
    CRP distance       CRP = mean_p | t_A[p] - t_B[p] |          C <= CRP, the triangle inequality
    self-baseline      SB  = mean over 5 half-splits of the prompts of | c_half1 - c_half2 |
    sign-flip floor        = 95 % of | mean_p s_p d_p | under random signs s_p, d_p = t_A - t_B
    CRP floor              = mean_p split-half distance of the base's own text / sqrt 2

SB compares different prompts and so measures prompt variance; the sign-flip floor is paired, as
the distance is. Both are reported. Source: Coslett 2026; the two floors are OUR DEFINITION.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from measure.functional import DEFAULT_FIT
from measure.intervals import bootstrap_interval, sign_flip_null
from measure.records import Mode, OtherRole, PppFit, PromptTemplate, TemplateDistance
from measure.request import Measurement

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

    Templates = Float[NDArray[np.float64], "prompts k"]

METHOD = "template_distance"
VERSION = 2  # raise it when a number changes, also of `winner_gap`: it is part of the id
MAX_ZERO_GAP_FRAC = 0.01
N_HALF_SPLITS = 5


def plan(
    models: Mapping[str, str],
    inputs: Mapping[str, str],
    mode: Mode,
    *,
    prompt_set: str,
    prompt_set_sha256: str,
    fit: PppFit = DEFAULT_FIT,
) -> Measurement:
    """Distances from the base to the other roles; `inputs`, all of one fit, are ids by role."""
    # The default goes unsaid: what was measured before there were others keeps its id.
    other_fit = {} if fit == DEFAULT_FIT else {"ppp_fit": fit}
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models=models,
        prompt_set=prompt_set,
        prompt_set_sha256=prompt_set_sha256,
        dtype="float64",
        backend="numpy",
        options={"mode": mode, "inputs": dict(inputs), **other_fit},
        units=("all",),
    )


def centroid_distance(a: Templates, b: Templates) -> float:
    """L2 distance of the mean templates, every prompt with equal weight."""
    return float(np.linalg.norm((a - b).mean(0)))


def crp_distance(a: Templates, b: Templates) -> float:
    """Mean over prompts of the L2 distance of the prompt's templates."""
    return float(np.linalg.norm(a - b, axis=1).mean())


def self_baseline(templates: Templates) -> float:
    """Mean centroid distance of 5 random half-splits of the prompts, `default_rng(0)`.

    With an odd number of prompts one is left out of each split.
    """
    rng = np.random.default_rng(0)
    half = len(templates) // 2
    found: list[float] = []
    for _ in range(N_HALF_SPLITS):
        order = rng.permutation(len(templates))
        first, second = templates[order[:half]], templates[order[half : 2 * half]]
        found.append(float(np.linalg.norm(first.mean(0) - second.mean(0))))
    return float(np.mean(found))


def paired(
    models: Sequence[Sequence[PromptTemplate]],
) -> tuple[list[list[PromptTemplate]], int]:
    """Each model's records of the prompts valid in all, in one order; how many were dropped."""
    by_prompt = [{record.prompt_id: record for record in records} for records in models]
    valid = [
        p
        for p in by_prompt[0]
        if all(p in found and found[p].reason is None for found in by_prompt)
    ]
    n_asked = len({prompt_id for records in by_prompt for prompt_id in records})
    return [[records[p] for p in valid] for records in by_prompt], n_asked - len(valid)


def measure(
    base: Sequence[PromptTemplate], others: Mapping[OtherRole, Sequence[PromptTemplate]], mode: Mode
) -> list[TemplateDistance]:
    """One record a role: its distance to the base over the prompts valid in all of the models."""
    (kept_base, *kept_others), n_dropped = paired([base, *others.values()])
    return [
        _distance(kept_base, kept, mode, role, n_dropped)
        for role, kept in zip(others, kept_others, strict=True)
    ]


def _distance(
    base: Sequence[PromptTemplate],
    other: Sequence[PromptTemplate],
    mode: Mode,
    role: OtherRole,
    n_dropped: int,
) -> TemplateDistance:
    zero_gaps, reason = refusal(base, other)
    numbers = dict.fromkeys(_NUMBERS) if reason else _numbers(base, other)
    return TemplateDistance(
        mode=mode,
        role=role,
        n_prompts=len(base),
        n_prompts_dropped=n_dropped,
        zero_gap_frac=zero_gaps,
        reason=reason,
        **numbers,
    )


_NUMBERS = (
    "centroid_distance",
    "ci_low_centroid_distance",
    "ci_high_centroid_distance",
    "crp_distance",
    "ci_low_crp_distance",
    "ci_high_crp_distance",
    "self_baseline",
    "sign_flip_floor",
    "sign_flip_p",
    "crp_floor",
)


def _numbers(
    base: Sequence[PromptTemplate], other: Sequence[PromptTemplate]
) -> dict[str, float | None]:
    t_base, t_other = stack(base), stack(other)
    difference = t_other - t_base
    centroid, crp = centroid_distance(t_other, t_base), crp_distance(t_other, t_base)
    if centroid > crp * (1 + 1e-9):
        raise ArithmeticError(f"centroid distance {centroid} above CRP distance {crp}")
    null = sign_flip_null(difference)
    per_prompt = np.linalg.norm(difference, axis=1, keepdims=True)
    splits = [r.split_half_distance for r in base if r.split_half_distance is not None]
    centroid_low, centroid_high = bootstrap_interval(
        difference, lambda means: np.linalg.norm(means, axis=1)
    )
    crp_low, crp_high = bootstrap_interval(per_prompt, lambda means: means[:, 0])
    return {
        "centroid_distance": centroid,
        "ci_low_centroid_distance": centroid_low,
        "ci_high_centroid_distance": centroid_high,
        "crp_distance": crp,
        "ci_low_crp_distance": crp_low,
        "ci_high_crp_distance": crp_high,
        "self_baseline": self_baseline(t_base),
        "sign_flip_floor": float(np.quantile(null, 0.95)),
        # A null that ties with the observation up to rounding counts against it.
        "sign_flip_p": float((null >= centroid * (1 - 1e-12)).mean()),
        "crp_floor": float(np.mean(splits) / np.sqrt(2)) if splits else None,
    }


def stack(records: Sequence[PromptTemplate]) -> Templates:
    """The templates of valid records, a row a prompt."""
    return np.array([record.template for record in records], dtype=np.float64)


def zero_gap_frac(records: Sequence[PromptTemplate]) -> float | None:
    """Share of gaps that are exactly 0, over all tokens; None without any."""
    scored = [(r.n_tokens, r.zero_gap_frac) for r in records if r.zero_gap_frac is not None]
    tokens = sum(n for n, _ in scored)
    return sum(n * share for n, share in scored) / tokens if tokens else None


def refusal(
    base: Sequence[PromptTemplate], other: Sequence[PromptTemplate]
) -> tuple[float | None, str | None]:
    """The larger share of zero gaps of a pair, and why its numbers are refused, if they are."""
    shares = [share for share in (zero_gap_frac(base), zero_gap_frac(other)) if share is not None]
    zero_gaps = max(shares, default=None)
    reason = None
    if len(base) < 2:
        reason = f"{len(base)} prompts are long enough in every model, at least 2 are needed"
    elif zero_gaps is not None and zero_gaps > MAX_ZERO_GAP_FRAC:
        reason = (
            f"{zero_gaps:.1%} of the gaps are exactly 0, at most {MAX_ZERO_GAP_FRAC:.0%} may be: "
            "the logits were rounded"
        )
    return zero_gaps, reason
