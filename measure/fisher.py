"""Fisher curvature: how much the next-token distribution bends in the direction in which tau moves.

Site B, prompt i, token states x_1 .. x_T after position 0, h = x_T the last of them, tau the
resultant length (measure/structural.py), z the logits of h, p = softmax(z):

    u     = (S/|S| - tau h/|h|) / |..|,  S = sum_t x_t    the unit gradient of tau by h
    a_v   = dz_v/dh . u                                    w_v . u, times the head's own scale and
                                                           1 - (z_v/c)^2 under a soft-cap c
    kappa = u' F u = Var_{v ~ p}(a_v)

F is the true Fisher information of p by h, sum_v p_v g_v g_v' with g_v the gradient of log p_v
(Kunstner et al. 2019, arXiv:1905.12558), so no backward pass is needed. kappa scales with 1/|h|^2,
hence kappa |h|^2 beside it. kappa_F is the mean over prompts and rho_F = kappa_F / 10, the damping
that all published rows agree on. Source: Coslett 2026; the direction is OUR DEFINITION.

Cost: a forward pass a prompt, and two more rows through the head.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from measure.errors import BadInput
from measure.intervals import bootstrap_interval
from measure.models import MAX_LOGITS, CausalLM
from measure.prompts import Progress, Prompt, PromptSet
from measure.structural import draw

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

METHOD = "fisher"
VERSION = 1  # raise it when a number changes: it is part of a measurement's id
DAMPING = 10.0
MAX_HALVES_RATIO = 3.0
# Small enough that tanh is straight to 1e-8 around it, a power of two so that it divides out.
SOFT_CAP_STEP = 2.0**-12

Status = Literal["Fisher-dominated", "Damping-dominated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FisherCurvature:
    """One row per measurement, seed and prompt."""

    seed: int
    prompt_id: str
    category: str
    n_tokens: int  # states summed: position 0 left out
    tau: float | None  # at site B, 0 to 1
    state_norm: float | None  # |h| of the last token at site B
    kappa: float | None  # logits^2 per unit of state^2, >= 0
    kappa_norm2: float | None  # kappa |h|^2, logits^2
    reason: str | None  # why kappa is null


@dataclass(frozen=True, slots=True, kw_only=True)
class FisherSummary:
    """One row per measurement: over distinct prompts, those without kappa left out."""

    n_prompts: int
    kappa_f: float | None  # mean kappa
    ci_low_kappa_f: float | None  # 2.5 % of the prompt bootstrap
    ci_high_kappa_f: float | None
    kappa_norm2_mean: float | None
    halves_ratio: float | None  # larger over smaller mean kappa of two disjoint halves, >= 1
    is_repeatable: bool | None  # halves_ratio <= 3
    rho_f: float | None  # kappa_f / 10
    status: Status | None  # Damping-dominated: excluded from comparison
    reason: str | None  # why numbers are null


def measure_unit(
    model: CausalLM, bank: PromptSet, unit: str, batch_size: int, progress: Progress
) -> Iterator[FisherCurvature]:
    """The records of one seed, on the prompts that tau has for it."""
    seed = int(unit.removeprefix("seed-"))
    drawn = draw(bank, seed)
    for start in range(0, len(drawn), batch_size):
        prompts = drawn[start : start + batch_size]
        yield from _records(model, prompts, seed)
        progress(len(prompts))


def _records(model: CausalLM, prompts: Sequence[Prompt], seed: int) -> Iterator[FisherCurvature]:
    rows = [model.encode(prompt.text) for prompt in prompts]
    usable = [index for index, ids in enumerate(rows) if len(ids) > 1]
    found: dict[int, tuple[float, float, float]] = {}
    if usable:
        states = model.states(model.pad([rows[index] for index in usable])).after_norm
        own = [states[i, 1 : len(rows[index])] for i, index in enumerate(usable)]
        last = torch.stack([tokens[-1] for tokens in own])
        taus, directions = zip(*map(tau_and_direction, own), strict=True)
        kappas = curvature(model, last, torch.stack(directions)).tolist()
        norms = last.double().norm(dim=-1).tolist()
        found = dict(zip(usable, zip(taus, norms, kappas, strict=True), strict=True))
    for index, prompt in enumerate(prompts):
        n_tokens = max(0, len(rows[index]) - 1)
        tau, norm, kappa = found.get(index, (math.nan, math.nan, math.nan))
        known = math.isfinite(kappa)
        yield FisherCurvature(
            seed=seed,
            prompt_id=prompt.prompt_id,
            category=prompt.category,
            n_tokens=n_tokens,
            tau=tau if math.isfinite(tau) else None,
            state_norm=norm if math.isfinite(norm) else None,
            kappa=kappa if known else None,
            kappa_norm2=kappa * norm**2 if known else None,
            reason=None if known else _why(n_tokens),
        )


def _why(n_tokens: int) -> str:
    if n_tokens < 2:
        return f"{n_tokens} tokens are left after position 0: tau does not depend on their state"
    return "the states are not finite, or all point one way: tau has no direction"


def tau_and_direction(
    states: Float[Tensor, "tokens d_model"],
) -> tuple[float, Float[Tensor, " d_model"]]:
    """(tau, its unit gradient by the last state), float64; NaN where tau cannot rise or fall."""
    x = states.double()
    total, last = x.sum(0), x[-1]
    tau = total.norm() / x.norm(dim=-1).sum()
    gradient = total / total.norm() - tau * last / last.norm()
    size = gradient.norm()
    # Both terms have length 1 at most: below this, the difference is rounding.
    unit = gradient / size if size > 1e-9 else torch.full_like(gradient, math.nan)
    return tau.item(), unit


def curvature(
    model: CausalLM, h: Float[Tensor, "rows d_model"], u: Float[Tensor, "rows d_model"]
) -> Float[Tensor, " rows"]:
    """Kappa of each state h in its unit direction u, float64."""
    # A handful of float64 copies of the logits are held at once.
    n_rows = max(1, MAX_LOGITS // 8 // model.card.vocab_size)
    parts = zip(h.split(n_rows), u.split(n_rows), strict=True)
    return torch.cat([variance(*slopes(model, *part)) for part in parts])


def slopes(
    model: CausalLM, h: Float[Tensor, "rows d_model"], u: Float[Tensor, "rows d_model"]
) -> tuple[Float[Tensor, "rows vocab"], Float[Tensor, "rows vocab"]]:
    """(logits z at h, their derivative a along u), float64.

    The head is linear up to its bias and soft-cap, so that its values at 0 and at u are its slope.
    """
    cap: float | None = getattr(model.model.config, "final_logit_softcapping", None)
    step = 1.0 if cap is None else SOFT_CAP_STEP
    z = model.logits(h).double()
    at_zero = model.logits(torch.zeros_like(h[:1])).double()
    a = (model.logits((u * step).float()).double() - at_zero) / step
    if cap is None:
        return z, a
    if bool(at_zero.any()):
        raise BadInput(
            f"model {model.card.label!r} has a bias under its soft-cap, whose slope is not known "
            "here: it needs support in measure/fisher.py"
        )
    return z, a * (1 - (z / cap).square())


def variance(
    z: Float[Tensor, "rows vocab"], a: Float[Tensor, "rows vocab"]
) -> Float[Tensor, " rows"]:
    """Variance of a under softmax(z): 0 where a is the same for every token."""
    p = z.softmax(-1)
    centred = a - (p * a).sum(-1, keepdim=True)
    return (p * centred.square()).sum(-1)


def summarize(records: Sequence[FisherCurvature]) -> FisherSummary:
    """kappa_F with its interval, its repeatability, rho_F and status; a prompt counts once."""
    by_prompt = {r.prompt_id: r for r in records if r.kappa is not None}
    kappas = np.array([r.kappa for r in by_prompt.values()], dtype=np.float64)
    norm2 = np.array([r.kappa_norm2 for r in by_prompt.values()], dtype=np.float64)
    n = len(kappas)
    kappa_f = float(kappas.mean()) if n else None
    interval = bootstrap_interval(kappas[:, None], lambda means: means[:, 0]) if n > 1 else None
    ratio = halves_ratio(kappas)
    return FisherSummary(
        n_prompts=n,
        kappa_f=kappa_f,
        ci_low_kappa_f=interval[0] if interval else None,
        ci_high_kappa_f=interval[1] if interval else None,
        kappa_norm2_mean=float(norm2.mean()) if n else None,
        halves_ratio=ratio,
        is_repeatable=None if ratio is None else ratio <= MAX_HALVES_RATIO,
        rho_f=None if kappa_f is None else kappa_f / DAMPING,
        status=None if kappa_f is None else status(kappa_f / DAMPING),
        reason=None if n > 1 else f"{n} prompts have a kappa, at least 2 are needed",
    )


def halves_ratio(kappas: Float[np.ndarray, " prompts"]) -> float | None:
    """Ratio of the mean kappas of two random halves, `default_rng(0)`; an odd one is left out."""
    order, half = np.random.default_rng(0).permutation(len(kappas)), len(kappas) // 2
    if half == 0:
        return None
    low, high = sorted(float(kappas[part].mean()) for part in (order[:half], order[half:][:half]))
    return high / low if low > 0 else None


def status(rho_f: float) -> Status:
    """Below 1 the damping outweighs the curvature, and the row is excluded from comparison."""
    return "Fisher-dominated" if rho_f >= 1 else "Damping-dominated"


@dataclass(frozen=True, slots=True, kw_only=True)
class FisherRow:
    """A model's curvature and scar, measured or published."""

    family: str
    kappa_f: float
    rho_f: float
    scar: float  # median non-max


@dataclass(frozen=True, slots=True, kw_only=True)
class FisherOrder:
    """Whether families stand in one order by curvature and by scar."""

    label: Literal["orders", "orders in part", "does not order", "not comparable"]
    held: tuple[str, ...]  # 'Mistral > Qwen'
    broken: tuple[str, ...]
    not_comparable: tuple[str, ...]  # families whose rows are all damping-dominated
    reasons: tuple[str, ...]


def ordering(rows: Sequence[FisherRow], *, exclude_damped: bool = True) -> FisherOrder:
    """The verdict over pairs of families; a pair holds if it does for each of their rows."""
    kept = [r for r in rows if not exclude_damped or status(r.rho_f) == "Fisher-dominated"]
    families = list(dict.fromkeys(row.family for row in kept))
    excluded = tuple(sorted({row.family for row in rows} - set(families)))
    held: list[str] = []
    broken: list[str] = []
    for larger, smaller in ((a, b) for a in families for b in families):
        pairs = [(a, b) for a in kept for b in kept if (a.family, b.family) == (larger, smaller)]
        if larger != smaller and all(a.scar > b.scar for a, b in pairs):
            agrees = all(a.kappa_f > b.kappa_f for a, b in pairs)
            (held if agrees else broken).append(f"{larger} > {smaller}")
    reasons = [f"{family} is not comparable: rho_F < 1" for family in excluded]
    reasons += [f"{pair} by scar, not by curvature" for pair in broken]
    if len(families) > 1:
        reasons.append(
            f"{len(families)} families: no order can have a p below "
            f"1/{math.factorial(len(families))}"
        )
    return FisherOrder(
        label=_order_label(held, broken, excluded),
        held=tuple(held),
        broken=tuple(broken),
        not_comparable=excluded,
        reasons=tuple(reasons),
    )


def _order_label(
    held: Sequence[str], broken: Sequence[str], excluded: Sequence[str]
) -> Literal["orders", "orders in part", "does not order", "not comparable"]:
    if broken:
        return "does not order"
    if not held:
        return "not comparable"
    return "orders in part" if excluded else "orders"
