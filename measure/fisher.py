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

from measure.intervals import bootstrap_interval
from measure.models import MAX_LOGITS, CausalLM, out_of_memory_named
from measure.prompts import Progress, Prompt, PromptSet
from measure.records import FisherCurvature, FisherStatus, FisherSummary, single
from measure.request import Measurement
from measure.structural import PROMPTS_PER_SEED, draw

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

METHOD = "fisher"
VERSION = 1  # raise it when a number changes: it is part of a measurement's id
SEED = 0  # draws the prompts, the same whatever seeds tau has: models must be comparable
DAMPING = 10.0
MAX_HALVES_RATIO = 3.0
# Small enough that tanh is straight to 1e-8 around it, a power of two so that it divides out.
SOFT_CAP_STEP = 2.0**-12


def plan(
    model_id: str,
    bank: PromptSet,
    *,
    dtype: str = "float32",
    device_kind: str = "cpu",
    batch_size: int = 16,
) -> Measurement:
    """The measurement of one model's curvature on the 32 prompts that one seed draws of a bank."""
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models={"model": model_id},
        prompt_set=bank.name,
        prompt_set_sha256=bank.sha256,
        seeds=(SEED,),
        dtype=dtype,
        device_kind=device_kind,
        options={"tau": "resultant", "prompts_per_seed": PROMPTS_PER_SEED, "damping": DAMPING},
        units=(f"seed-{SEED}",),
        batch_size=batch_size,
    )


def measure_unit(
    model: CausalLM, bank: PromptSet, unit: str, batch_size: int, progress: Progress
) -> Iterator[FisherCurvature]:
    """The records of one seed, on the prompts that tau has for it."""
    seed = int(unit.removeprefix("seed-"))
    drawn = draw(bank, seed)
    for start in range(0, len(drawn), batch_size):
        prompts = drawn[start : start + batch_size]
        with out_of_memory_named(len(prompts)):
            records = _records(model, prompts, seed)
        yield from records
        progress(len(prompts))


def _records(model: CausalLM, prompts: Sequence[Prompt], seed: int) -> list[FisherCurvature]:
    rows = [model.encode(prompt.text) for prompt in prompts]
    usable = [index for index, ids in enumerate(rows) if len(ids) > 1]
    found: dict[int, tuple[float, float, str | None]] = {}
    if usable:
        states = model.states(model.pad([rows[index] for index in usable])).after_norm
        own = [states[i, 1 : len(rows[index])] for i, index in enumerate(usable)]
        found = dict(zip(usable, _curvatures(model, own), strict=True))
    records: list[FisherCurvature] = []
    for index, prompt in enumerate(prompts):
        norm, kappa, reason = found.get(index, (math.nan, math.nan, _too_few(0)))
        records.append(
            FisherCurvature(
                seed=seed,
                prompt_id=prompt.prompt_id,
                category=prompt.category,
                n_tokens=max(0, len(rows[index]) - 1),
                state_norm=single(norm) if math.isfinite(norm) else None,
                kappa=None if reason else single(kappa),
                reason=reason,
            )
        )
    return records


def _curvatures(
    model: CausalLM, prompts: Sequence[Float[Tensor, "tokens d_model"]]
) -> Iterator[tuple[float, float, str | None]]:
    """(|h|, kappa, why there is no kappa) of each prompt's states at site B."""
    last = torch.stack([states[-1] for states in prompts])
    directions = torch.stack([tau_and_direction(states)[1] for states in prompts])
    kappas = curvature(model, last, directions)
    norms = last.double().norm(dim=-1)
    for states, u, norm, kappa in zip(prompts, directions, norms, kappas, strict=True):
        reason = None
        if len(states) < 2:
            reason = _too_few(len(states))
        elif not bool(u.isfinite().all()):
            reason = "the states are not finite, or all point one way: tau has no direction"
        elif not bool(kappa.isfinite()):
            reason = "the logits are not finite, or the head has a bias under its soft-cap"
        yield norm.item(), kappa.item(), reason


def _too_few(n_tokens: int) -> str:
    return f"{n_tokens} tokens are left after position 0: tau does not depend on their state"


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
    """(logits z at h, their derivative a along u), float64; NaN under a soft-cap with a bias.

    The head is linear up to its bias and soft-cap, so that its values at 0 and at u are its slope.
    Under a soft-cap it is only without a bias.
    """
    cap: float | None = getattr(model.model.config, "final_logit_softcapping", None)
    step = 1.0 if cap is None else SOFT_CAP_STEP
    z = model.logits(h).double()
    at_zero = model.logits(torch.zeros_like(h[:1])).double()
    a = (model.logits((u * step).float()).double() - at_zero) / step
    if cap is None:
        return z, a
    if bool(at_zero.any()):
        return z, torch.full_like(a, math.nan)
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
    norms = np.array([r.state_norm for r in by_prompt.values()], dtype=np.float64)
    n = len(kappas)
    kappa_f = float(kappas.mean()) if n else None
    interval = bootstrap_interval(kappas[:, None], lambda means: means[:, 0]) if n > 1 else None
    ratio = halves_ratio(kappas)
    return FisherSummary(
        n_prompts=n,
        kappa_f=kappa_f,
        ci_low_kappa_f=interval[0] if interval else None,
        ci_high_kappa_f=interval[1] if interval else None,
        kappa_norm2_mean=float((kappas * norms**2).mean()) if n else None,
        halves_ratio=ratio,
        is_repeatable=None if ratio is None else ratio <= MAX_HALVES_RATIO,
        rho_f=None if kappa_f is None else kappa_f / DAMPING,
        fisher_status=None if kappa_f is None else status(kappa_f / DAMPING),
        reason=None if n > 1 else f"{n} prompts have a kappa, at least 2 are needed",
    )


def halves_ratio(kappas: Float[np.ndarray, " prompts"]) -> float | None:
    """Ratio of the mean kappas of two random halves, `default_rng(0)`; an odd one is left out."""
    order, half = np.random.default_rng(0).permutation(len(kappas)), len(kappas) // 2
    if half == 0:
        return None
    low, high = sorted(float(kappas[part].mean()) for part in (order[:half], order[half:][:half]))
    return high / low if low > 0 else None


def status(rho_f: float) -> FisherStatus:
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
