"""Derivatives made in seconds: round trips through few bits, pruning, noise, merges, permutation.

All but the merge change the blocks' matrices alone; embeddings, head and norms stay, as quantisers
and pruners leave them.
"""

# torch and transformers leave much of their surface untyped; what is ours is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from measure.zoo.recipes import Transform

# Of a gated MLP: (matrices with a row per neuron, matrix with a column per neuron).
_NEURON_ROWS, _NEURON_COLUMNS = ("gate_proj", "up_proj"), "down_proj"


def _block_matrices(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Name -> weight of every matrix inside the blocks."""
    head = model.get_output_embeddings()
    return {
        name: module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    }


def round_trip(
    matrix: Float[torch.Tensor, "rows columns"], bits: int, group: int = 0
) -> Float[torch.Tensor, "rows columns"]:
    """Round to `bits` symmetric levels of the largest entry of each row, or of `group` entries.

    Raises:
        ValueError: the columns cannot be cut into groups of that size.
    """
    n_rows, n_columns = matrix.shape
    if group and n_columns % group:
        raise ValueError(f"{n_columns} columns cannot be cut into groups of {group}")
    cut = matrix.reshape(n_rows, -1, group or n_columns)
    scale = cut.abs().amax(dim=-1, keepdim=True) / (2 ** (bits - 1) - 1)
    return (torch.round(cut / scale.clamp_min(1e-12)) * scale).reshape(n_rows, n_columns)


def pruned(
    matrix: Float[torch.Tensor, "rows columns"], fraction: float
) -> Float[torch.Tensor, "rows columns"]:
    """Set the `fraction` of entries with the smallest magnitudes to 0."""
    n_zeroed = round(fraction * matrix.numel())
    order = matrix.abs().flatten().argsort(stable=True)
    return matrix.flatten().index_fill(0, order[:n_zeroed], 0.0).reshape(matrix.shape)


def noised(
    matrix: Float[torch.Tensor, "rows columns"], fraction: float, generator: torch.Generator
) -> Float[torch.Tensor, "rows columns"]:
    """Add Gaussian noise of `fraction` of the matrix's standard deviation."""
    return matrix + fraction * matrix.std() * torch.randn(matrix.shape, generator=generator)


def _permute_neurons(model: PreTrainedModel, generator: torch.Generator) -> None:
    """Give the neurons of every MLP another order: other weights, the same function."""
    modules: dict[str, Any] = dict(model.named_modules())
    for name, down in modules.items():
        if not name.endswith(_NEURON_COLUMNS):
            continue
        prefix = name.removesuffix(_NEURON_COLUMNS)
        order = torch.randperm(down.weight.shape[1], generator=generator)
        down.weight.copy_(down.weight[:, order])
        for rows in (modules[prefix + row] for row in _NEURON_ROWS):
            rows.weight.copy_(rows.weight[order])


@torch.no_grad()
def apply(
    model: PreTrainedModel, change: Transform, seed: int, other: PreTrainedModel | None = None
) -> None:
    """Change a model in place; `other` is what a merge goes toward, of the same shape."""
    generator = torch.Generator().manual_seed(seed)
    match change.kind:
        case "permuted":
            _permute_neurons(model, generator)
        case "merged":
            if other is None:
                raise ValueError("a merge needs another model")
            aims: Mapping[str, torch.Tensor] = dict(other.named_parameters())
            for name, weight in model.named_parameters():
                weight.lerp_(aims[name], change.amount)
        case "round-trip":
            for weight in _block_matrices(model).values():
                weight.copy_(round_trip(weight, int(change.amount), change.group))
        case "pruned":
            for weight in _block_matrices(model).values():
                weight.copy_(pruned(weight, change.amount))
        case "noised":
            for weight in _block_matrices(model).values():
                weight.copy_(noised(weight, change.amount, generator))
