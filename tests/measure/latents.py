"""A crosscoder made by hand, for the analyses of latents: rows from a fixed seed, no threshold."""

import torch

from measure.crosscoder import Crosscoder


def handmade(d_model=16, n_latents=6, seed=0, scales=(0.5, 2.0), dead=None):
    """About half of its latents fire on a token; `dead` never does."""
    made = Crosscoder(d_model, n_latents, sparsity="l1", seed=seed, init_norm=1.0)
    made.scales = torch.tensor(scales)
    if dead is not None:
        made.W_enc.data[:, :, dead] = 0
    return made
