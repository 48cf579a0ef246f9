"""Activations of two models made of known directions, and how well a crosscoder finds them.

Matching as in SAELens' synthetic benchmark: true features and latents are paired one to one so that
the sum of the correlations of their activations is largest.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

KINDS = ("shared", "base-only", "distilled-only", "weak in base")


@dataclass(frozen=True)
class Planted:
    """Directions [features, 2, d] whose norms say in which model a feature is."""

    directions: Tensor
    kinds: tuple[str, ...]
    rate: float

    def batch(self, n: int, seed: int) -> tuple[Tensor, Tensor]:
        """Activations [n, 2, d] and the features behind them [n, features]."""
        generator = torch.Generator().manual_seed(seed)
        shape = (n, len(self.kinds))
        fires = torch.rand(shape, generator=generator) < self.rate
        sizes = 1 + 0.25 * torch.randn(shape, generator=generator).abs()
        features = fires * sizes
        return torch.einsum("nf,fmd->nmd", features, self.directions), features


def plant(d_model: int, counts: dict[str, int], rate: float, weak: float = 0.3, seed: int = 0):
    """Random unit directions, the same in both models; the base lacks some, or has them weaker."""
    generator = torch.Generator().manual_seed(seed)
    strengths = {"shared": (1, 1), "base-only": (1, 0), "distilled-only": (0, 1),
                 "weak in base": (weak, 1)}  # fmt: skip
    kinds = tuple(kind for kind in KINDS for _ in range(counts.get(kind, 0)))
    units = torch.randn((len(kinds), 1, d_model), generator=generator)
    units = units / units.norm(dim=-1, keepdim=True)
    directions = units * torch.tensor([strengths[kind] for kind in kinds])[:, :, None]
    return Planted(directions, kinds, rate)


def matched(features: Tensor, latents: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Latent matched to each true feature [features], and the correlation of the two."""
    with np.errstate(invalid="ignore"):  # a dead latent correlates with nothing
        both = np.corrcoef(features.T.double().numpy(), latents.T.double().numpy())
    n = features.shape[1]
    correlations = np.nan_to_num(both[:n, n:])
    _, columns = linear_sum_assignment(-correlations)
    return columns, correlations[np.arange(n), columns]
