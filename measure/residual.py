"""The residual stream after a block: read in a forward pass, or edited while a model runs."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from measure.block_states import blocks
from measure.errors import BadInput
from measure.hooks import Edit, output_edited
from measure.models import Batch, CausalLM, States

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float


def half_depth(model: CausalLM) -> int:
    """The block, from 0, that ends the first half of them: of L blocks the (L / 2)-th."""
    return middle(len(blocks(model)))


def middle(n_blocks: int) -> int:
    """The block, from 0, that ends the first half of so many."""
    return max(0, n_blocks // 2 - 1)


def check_layer(model: CausalLM, layer: int) -> int:
    """The layer itself; BadInput where the model has no such block."""
    n_layers = len(blocks(model))
    if not 0 <= layer < n_layers:
        raise BadInput(
            f"layer {layer} of {model.card.label!r}, which has {n_layers} blocks: "
            f"give one from 0 to {n_layers - 1}"
        )
    return layer


@contextmanager
def edited(model: CausalLM, layer: int, edit: Edit | None) -> Generator[None]:
    """The residual stream [rows, tokens, d_model] after a block, edited; None leaves it."""
    with output_edited(blocks(model)[layer], edit):
        yield


@torch.inference_mode()
def read(
    model: CausalLM, layer: int, batch: Batch
) -> tuple[Float[Tensor, "batch tokens d_model"], States]:
    """The residual stream after a block, fp32, and the states at the end of the same pass."""
    caught: list[Tensor] = []

    def keep(value: Tensor) -> Tensor:
        caught.append(value)
        return value

    with edited(model, layer, keep):
        states = model.states(batch)
    return caught[0].float(), states


def mean_norm(
    model: CausalLM, layer: int, rows: Sequence[Sequence[int]], batch_size: int = 32
) -> float:
    """Mean L2 norm of the stream after a block over the tokens of texts, but for their first.

    The first token takes in the attention that nothing else wants, and its norm is of another
    order in many models. Texts without a second token count for nothing; of none it is NaN.
    """
    total, count = 0.0, 0
    for start in range(0, len(rows), batch_size):
        batch = model.pad(rows[start : start + batch_size])
        stream, _ = read(model, layer, batch)
        norms = stream.norm(dim=-1)[:, 1:][batch.mask[:, 1:]].double()
        total, count = total + float(norms.sum()), count + len(norms)
    return total / count if count else float("nan")
