"""What ablations would do to first order: all components of a model from one gradient.

    estimate = sum over positions of (mean - own output) . d(logit difference) / d(own output)

It looks at no ablated run, so it errs where the model bends (a head that saturates, one that stands
in for another); it orders components before a sweep and is held against it, never put in its place.
Source: attribution patching, Nanda 2023; the ablation estimated is that of measure/ablation.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from measure.ablation import ROWS, Means, mean_outputs
from measure.components import Blocks
from measure.models import CausalLM
from measure.tasks import TaskSet

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float
    from numpy.typing import NDArray


METHOD = "attribution_patching"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id


def estimated_effects(
    model: CausalLM, task: TaskSet, rows: int = ROWS
) -> Float[NDArray[np.float64], "components prompts"]:
    """Logit differences that would be added by each ablation, layer by layer, heads first."""
    blocks = Blocks(model, torch.from_numpy(task.clean))
    means = mean_outputs(blocks, torch.from_numpy(task.corrupted), rows)
    tokens = torch.from_numpy(np.stack([task.answer, task.foil], axis=1))
    found = [
        _of_prompts(blocks, means, ids, wanted, task.position)
        for ids, wanted in zip(
            torch.from_numpy(task.clean).split(rows), tokens.split(rows), strict=True
        )
    ]
    return np.concatenate(found, axis=1)


def _of_prompts(
    blocks: Blocks, means: Means, ids: Tensor, tokens: Tensor, position: int
) -> NDArray[np.float64]:
    own: list[Tensor] = []
    shifts: list[Tensor] = []

    def shifted(value: Tensor) -> Tensor:
        """The same value plus a zero of its own, which a gradient can be taken for."""
        own.append(value.detach())
        shifts.append(torch.zeros_like(value, requires_grad=True))
        return value + shifts[-1]

    with torch.no_grad():
        stream = blocks.embed(ids)
    with torch.enable_grad():
        for layer in range(blocks.n_layers):
            stream = blocks.run(layer, stream, edit_z=shifted, edit_mlp=shifted)
        logits = blocks.final(stream, tokens, position)
        gradients = torch.autograd.grad((logits[:, 0] - logits[:, 1]).sum(), shifts)
    wanted = [mean for pair in zip(means.z, means.mlp, strict=True) for mean in pair]
    moved = [
        ((mean - value) * gradient).double().sum(1)
        for mean, value, gradient in zip(wanted, own, gradients, strict=True)
    ]
    estimates: list[Tensor] = []
    for layer in range(blocks.n_layers):
        z, mlp = moved[2 * layer : 2 * layer + 2]
        heads = range(blocks.n_heads(layer))
        estimates += [z[:, blocks.head_slice(layer, head)].sum(1) for head in heads]
        estimates.append(mlp.sum(1))
    return torch.stack(estimates).cpu().numpy()
