"""What each latent of a crosscoder is: norms, NRN, class, firing, and whether it is genuine.

    NRN_j   = n_j^B / (n_j^A + n_j^B)     n_j^m: norm of W_dec[j, m], L2 (L1 beside it)
    0 base-only, 0.5 shared, 1 distilled-only; null for dead latents and norms that sum under 1e-8

Norms are of the scaled activations, as the sources have them; the scales are stored.

Latent scaling (arXiv 2504.02922). Least squares over the tokens i, of how much of the distilled
decoder d_j^B there is in model m:
    beta_j^m = sum_i f_ij <y_i^m, d_j^B> / (sum_i f_ij^2 |d_j^B|^2)
    eps: y = x^m less what all other latents rebuild      r: y = all that is rebuilt
    nu_j     = beta_j^A / beta_j^B
A latent is genuinely distilled-only iff NRN > 0.9, nu^eps < 0.2 and nu^r < 0.5: under L1 a feature
that the base has more weakly is often shrunk out of the base's decoder alone, and stays in its
error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from measure.crosscoder import Crosscoder
from measure.crosscoder_records import LatentClass

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int

    Activations = Float[Tensor, "n side d_model"]
    PerLatent = Float[Tensor, " latents"]

BASE_ONLY, SHARED, DISTILLED_ONLY = 0.1, (0.4, 0.6), 0.9
NU_EPS, NU_R = 0.2, 0.5
LEAST_NORM = 1e-8
ROWS = 4_096  # tokens encoded at once


def nrn(base: PerLatent, distilled: PerLatent) -> PerLatent:
    """Normalised relative norm, 0 to 1; NaN where both norms are next to nothing."""
    total = base + distilled
    return torch.where(total > LEAST_NORM, distilled / total, torch.nan)


def class_of(value: float | None) -> LatentClass | None:
    """By the norms alone; None of a latent without NRN."""
    if value is None:
        return None
    if value < BASE_ONLY:
        return "base-only"
    if value > DISTILLED_ONLY:
        return "distilled-only"
    return "shared" if SHARED[0] <= value <= SHARED[1] else "between"


def is_genuine(value: float, nu_eps: float | None, nu_r: float | None) -> bool | None:
    """Whether 'distilled-only' may be claimed; None where a ratio is not known or NRN says no."""
    if value <= DISTILLED_ONLY or nu_eps is None or nu_r is None:
        return None
    return nu_eps < NU_EPS and nu_r < NU_R


@dataclass(frozen=True, slots=True)
class Statistics:
    """Sums over tokens, float64."""

    n_tokens: int
    n_fired: Int[Tensor, " latents"]
    sum_activation: PerLatent
    max_activation: PerLatent
    beta_eps: Float[Tensor, "latents side"]  # NaN of a latent that never fires
    beta_r: Float[Tensor, "latents side"]
    squared_error: Float[Tensor, " side"]
    variance: Float[Tensor, " side"]  # sum of squares around the mean

    @property
    def fvu(self) -> tuple[float | None, float | None]:
        """Share of each model's variance that is not rebuilt; None where there is none."""
        shares = (self.squared_error / self.variance).tolist()
        base, distilled = (
            share if total > 0 else None
            for share, total in zip(shares, self.variance.tolist(), strict=True)
        )
        return base, distilled

    @property
    def l0(self) -> float:
        """Mean number of latents on a token."""
        return float(self.n_fired.sum()) / max(1, self.n_tokens)

    @property
    def dead_share(self) -> float:
        """Share of latents that never fired."""
        return float((self.n_fired == 0).double().mean())


@torch.inference_mode()
def statistics(
    crosscoder: Crosscoder,
    blocks: Iterable[Activations],
    also: Callable[[Tensor, Tensor], None] = lambda _latents, _places: None,
) -> Statistics:
    """One pass over scaled activations; of no tokens a ValueError.

    `also` is given each part's latents, and its tokens' places from 0.
    """
    n_latents, d_model = crosscoder.n_latents, crosscoder.d_model
    device = crosscoder.W_dec.device
    rows = crosscoder.W_dec.detach()
    target = rows[:, 1].T  # d_j^B

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=device)

    n_tokens = 0
    n_fired = torch.zeros(n_latents, dtype=torch.long, device=device)
    total, squares, largest = zeros(n_latents), zeros(n_latents), zeros(n_latents)
    in_error, in_rebuilt = zeros(n_latents, 2), zeros(n_latents, 2)
    squared_error, x_sum, x_squares = zeros(2), zeros(2, d_model), zeros(2, d_model)
    for x in rows_of(blocks):
        x = x.to(device)
        latents = crosscoder.encode(x)
        rebuilt = crosscoder.decode(latents)
        left = x - rebuilt
        also(latents, torch.arange(len(x)) + n_tokens)
        n_tokens += len(x)
        n_fired += (latents > 0).sum(0)
        total += latents.double().sum(0)
        squares += latents.double().square().sum(0)
        largest = torch.maximum(largest, latents.double().amax(0))
        for side in (0, 1):
            in_error[:, side] += (latents * (left[:, side] @ target)).sum(0).double()
            in_rebuilt[:, side] += (latents * (rebuilt[:, side] @ target)).sum(0).double()
        squared_error += left.double().square().sum((0, 2))
        x_sum += x.double().sum(0)
        x_squares += x.double().square().sum(0)
    if n_tokens == 0:
        raise ValueError("statistics of no tokens")
    scale = squares * rows[:, 1].double().square().sum(-1)  # sum f^2 |d_j^B|^2
    # <x^m less what the others rebuild, d> is <error + f_j d_j^m, d>.
    own = (rows * rows[:, 1:]).double().sum(-1) * squares[:, None]
    return Statistics(
        n_tokens=n_tokens,
        n_fired=n_fired.cpu(),
        sum_activation=total.cpu(),
        max_activation=largest.cpu(),
        beta_eps=_over(in_error + own, scale).cpu(),
        beta_r=_over(in_rebuilt, scale).cpu(),
        squared_error=squared_error.cpu(),
        variance=(x_squares - x_sum.square() / n_tokens).sum(-1).cpu(),
    )


def rows_of(blocks: Iterable[Activations]) -> Iterator[Activations]:
    """The same tokens, so many together that latents fit into memory."""
    for block in blocks:
        yield from block.split(ROWS)


def _over(top: Tensor, scale: Tensor) -> Tensor:
    return torch.where(scale[:, None] > 0, top / scale[:, None], torch.nan)


def ratio(beta: Float[Tensor, "latents side"]) -> PerLatent:
    """nu_j = beta_j^A / beta_j^B; NaN where the distilled model has none of it."""
    return torch.where(beta[:, 1] > 0, beta[:, 0] / beta[:, 1], torch.nan)


def cosines(crosscoder: Crosscoder) -> PerLatent:
    """Cosine of each latent's decoder rows in both models, -1 to 1; NaN where one is nothing."""
    rows = crosscoder.W_dec.detach().double()
    norms = rows.norm(dim=-1)
    product = norms[:, 0] * norms[:, 1]
    return torch.where(product > 0, (rows[:, 0] * rows[:, 1]).sum(-1) / product, torch.nan).cpu()
