"""A sparse crosscoder: one dictionary of latents for the residual streams of two models.

    f    = ReLU(sum_m x_m W_enc[m] + b_enc)        x_m scaled to a mean norm of sqrt(d)
    x^_m = f W_dec[:, m] + b_dec[m]
    w_j  = |W_dec[j, 0]| + |W_dec[j, 1]|           L2 norms

BatchTopK keeps, of a batch of B tokens, the B k largest f_j w_j; at inference those above a stored
threshold, the moving average of the smallest that was kept. L1 keeps all. Side 0 is the base, side
1 the distilled model. Sources: arXiv 2503.03730; ckkissane/crosscoder-model-diff-replication (L1);
science-of-finetuning/sparsity-artifacts-crosscoders (BatchTopK).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

Sparsity = Literal["batchtopk", "l1"]
# Of each row of the decoder, in one model: `ckkissane` of L1; and the same for BatchTopK.
INIT_NORM = 0.08


class Crosscoder(nn.Module):
    """Encoder and decoder of `n_latents` latents over two models of width `d_model`.

    Activations go in scaled by `scales`, and come out so.
    """

    scales: Float[Tensor, " side"]
    threshold: Float[Tensor, ""]

    def __init__(
        self,
        d_model: int,
        n_latents: int,
        *,
        sparsity: Sparsity = "batchtopk",
        k: int = 100,
        seed: int = 49,
        init_norm: float = INIT_NORM,
    ) -> None:
        super().__init__()
        self.sparsity: Sparsity = sparsity
        self.k = k
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn((n_latents, 1, d_model), generator=generator)
        # The same in both models: only the data may tell them apart.
        rows = (init_norm * rows / rows.norm(dim=-1, keepdim=True)).repeat(1, 2, 1)
        self.W_dec = nn.Parameter(rows)
        self.W_enc = nn.Parameter(rows.permute(1, 2, 0).contiguous())
        self.b_enc = nn.Parameter(torch.zeros(n_latents))
        self.b_dec = nn.Parameter(torch.zeros(2, d_model))
        self.register_buffer("scales", torch.ones(2))
        self.register_buffer("threshold", torch.zeros(()))

    @property
    def d_model(self) -> int:
        """Width of either model."""
        return self.W_enc.shape[1]

    @property
    def n_latents(self) -> int:
        """Latents of the dictionary, dead ones included."""
        return self.W_enc.shape[2]

    def norms(self) -> Float[Tensor, "latents side"]:
        """L2 norm of each latent's decoder row in each model, >= 0."""
        return self.W_dec.norm(dim=-1)

    def dense(self, activations: Float[Tensor, "n side d_model"]) -> Float[Tensor, "n latents"]:
        """All latents after the ReLU, none left out yet."""
        return torch.relu(activations.flatten(1) @ self.W_enc.flatten(0, 1) + self.b_enc)

    def encode(self, activations: Float[Tensor, "n side d_model"]) -> Float[Tensor, "n latents"]:
        """Latents at inference, >= 0; of no tokens none."""
        latents = self.dense(activations)
        if self.sparsity == "l1":
            return latents
        return latents * (latents * self.norms().sum(-1) > self.threshold)

    def encode_batch(
        self, activations: Float[Tensor, "n side d_model"]
    ) -> tuple[Float[Tensor, "n latents"], Float[Tensor, "n latents"], Float[Tensor, ""]]:
        """Latents as training keeps them, all of them, and the smallest f_j w_j that was kept."""
        latents = self.dense(activations)
        if self.sparsity == "l1":
            return latents, latents, latents.new_zeros(())
        scores = (latents * self.norms().sum(-1)).detach()
        n_kept = min(scores.numel(), len(scores) * self.k)
        least = scores.flatten().topk(n_kept, sorted=False).values.min()
        # Where less fires than may be kept, all that fires is.
        return latents * ((scores >= least) & (scores > 0)), latents, least

    def decode(self, latents: Float[Tensor, "n latents"]) -> Float[Tensor, "n side d_model"]:
        """Activations of both models, scaled."""
        return (latents @ self.W_dec.flatten(1)).unflatten(1, (2, -1)) + self.b_dec
