"""A dictionary made by hand, for the analyses of latents: no training, no threshold."""

import torch


class Handmade:
    """f = ReLU(x_0 E_0 + x_1 E_1), x scaled; decoder rows drawn from a fixed seed."""

    def __init__(self, d_model=16, n_latents=6, seed=0, scales=(0.5, 2.0)):
        generator = torch.Generator().manual_seed(seed)
        self.W_enc = torch.randn(2, d_model, n_latents, generator=generator)
        self.W_dec = torch.randn(n_latents, 2, d_model, generator=generator)
        self.scales = torch.tensor(scales)
        self.dead = None  # a latent that never fires

    def encode(self, activations):
        latents = torch.relu(torch.einsum("nmd,mdl->nl", activations, self.W_enc))
        if self.dead is not None:
            latents[:, self.dead] = 0
        return latents
