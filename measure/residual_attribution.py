"""What each part writes into the residual stream towards the answer, token by token.

The stream x at a token is the sum of what the embedding, each layer's attention and each layer's
MLP added to it. The final norm N is linear but for its scale, and with the scale that x itself has

    attribution(part) = (N_x(part)) . (u_answer - u_foil)      logits, before a soft-cap

where u are rows of the unembedding (direct logit attribution). At the position where the logit
difference is read, the attributions and the norm's own bias add up to it. At earlier tokens it is
what the model would read there: what a part writes there reaches the end only through later heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from measure.ablation import ROWS
from measure.circuit_records import ResidualAttribution
from measure.components import Blocks
from measure.errors import BadInput
from measure.models import CausalLM
from measure.prompts import Progress
from measure.tasks import TaskSet

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float
    from numpy.typing import NDArray

    Stream = Float[Tensor, "prompts tokens d_model"]
    Attributed = Float[NDArray[np.float64], "prompts tokens"]

METHOD = "residual-attribution"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
EMBEDDING = "embed"


def attributions(
    model: CausalLM, task: TaskSet, progress: Progress, rows: int = ROWS
) -> dict[tuple[str, int | None], Attributed]:
    """Logits towards the answer of each clean prompt's tokens: by part and its layer.

    Parts are `embed` (no layer), `attn` and `mlp`, in the order in which they write.
    """
    found: dict[tuple[str, int | None], list[Tensor]] = {}
    ids = torch.from_numpy(task.clean)
    blocks = Blocks(model, ids)
    pairs = model.token_directions(torch.from_numpy(np.stack([task.answer, task.foil], axis=1)))
    towards = pairs[:, 0] - pairs[:, 1]
    for some, direction in zip(ids.split(rows), towards.split(rows), strict=True):
        for part, written in _written(model, blocks, some):
            found.setdefault(part, []).append(
                torch.einsum("ntd,nd->nt", written.double(), direction.double())
            )
        progress(len(some))
    return {part: torch.cat(chunks).cpu().numpy() for part, chunks in found.items()}


def records(
    model: CausalLM, task: TaskSet, progress: Progress, rows: int = ROWS
) -> Iterator[ResidualAttribution]:
    """A record a prompt, part and token."""
    roles = {at: role for role, where in reversed(list(task.roles.items())) for at in where}
    for (part, layer), values in attributions(model, task, progress, rows).items():
        for key, row in zip(task.keys, values.tolist(), strict=True):
            for position, value in enumerate(row):
                yield ResidualAttribution(
                    prompt_id=key,
                    part=part,
                    layer=layer,
                    position=position,
                    role=roles.get(position),
                    attribution=value,
                )


@torch.inference_mode()
def _written(
    model: CausalLM, blocks: Blocks, ids: Tensor
) -> list[tuple[tuple[str, int | None], Stream]]:
    """What each part adds to the stream, through the final norm at the scale of the whole.

    What is added is the difference of streams: some layers scale or norm an output before.
    """
    stream = blocks.embed(ids)
    written: list[tuple[tuple[str, int | None], Stream]] = [((EMBEDDING, None), stream)]
    for layer in range(blocks.n_layers):
        parts = blocks.read(layer, stream)
        between = blocks.run(layer, stream, z=parts.z, mlp=torch.zeros_like(parts.mlp))
        written += [(("attn", layer), between - stream), (("mlp", layer), parts.after - between)]
        stream = parts.after
    through_norm = frozen_norm(model.final_norm, stream)
    return [(part, through_norm(value)) for part, value in written]


def frozen_norm(norm: nn.Module, whole: Stream) -> Callable[[Stream], Stream]:
    """A norm as the linear map that it is at the scale of `whole`, without its bias.

    Raises:
        BadInput: it is none that only centres, scales and multiplies each dimension.
    """
    width = whole.shape[-1]
    # Of mean 0 and mean square 1, so that it comes out as the dimensions' factors.
    signs = torch.ones(width, dtype=whole.dtype, device=whole.device)
    signs[1::2] = -1
    bias = norm(torch.zeros_like(signs)).float()
    factors = (norm(signs).float() - bias) * signs.float()
    level = (norm(torch.ones_like(signs)).float() - bias).norm()
    is_centred = bool(level < 0.1 * factors.norm())  # a constant is taken away, or stays

    def shaped(value: Tensor) -> Tensor:
        value = value.float()
        return factors * (value - value.mean(-1, keepdim=True) if is_centred else value)

    given, got = shaped(whole), norm(whole).float() - bias
    scale = (got * given).sum(-1, keepdim=True) / given.square().sum(-1, keepdim=True)
    if (got - scale * given).norm() > 0.01 * got.norm():
        raise BadInput(
            f"a final norm of class {type(norm).__name__!r} is no sum of what its parts give: "
            "it needs support in measure/residual_attribution.py"
        )
    return lambda part: scale * shaped(part)
