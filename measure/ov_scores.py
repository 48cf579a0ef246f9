"""Whether a head writes the next term, or the one that it has read.

What a head adds to the stream at the last token of a clean prompt goes through the final norm and
the unembedding, as if it were the whole stream. Its successor score is the share of prompts where
the answer is among the first 5 tokens then, its copy score the share where the foil is: in a
sequence the last term given (methods 4.11). Chance is 5 over the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from measure.ablation import ROWS
from measure.circuit_records import OvScore
from measure.components import Blocks
from measure.models import CausalLM
from measure.prompts import Progress
from measure.tasks import TaskSet

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int

METHOD = "ov-scores"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
N_TOP = 5


@torch.inference_mode()
def ov_scores(
    model: CausalLM, task: TaskSet, progress: Progress, rows: int = ROWS
) -> Iterator[OvScore]:
    """A record a head, layer by layer; `progress` hears of prompts times heads."""
    ids = torch.from_numpy(task.clean)
    asked = torch.from_numpy(np.stack([task.answer, task.foil], axis=1))
    blocks = Blocks(model, ids)
    streams = [blocks.embed(some) for some in ids.split(rows)]
    for layer in range(blocks.n_layers):
        n_hits = np.zeros((blocks.n_heads(layer), 2), dtype=int)
        for index, (before, tokens) in enumerate(zip(streams, asked.split(rows), strict=True)):
            parts = blocks.read(layer, before)
            for head in range(blocks.n_heads(layer)):
                top = top_tokens(blocks, layer, head, parts.z, task.position)
                hits = (top[:, None].cpu() == tokens[:, :, None]).any(-1).sum(0)
                n_hits[head] += hits.numpy()
                progress(len(before))
            streams[index] = parts.after
        for head, (n_successor, n_copy) in enumerate(n_hits.tolist()):
            yield OvScore(
                layer=layer,
                head=head,
                n_prompts=len(ids),
                n_successor=n_successor,
                n_copy=n_copy,
            )


def top_tokens(
    blocks: Blocks,
    layer: int,
    head: int,
    z: Float[Tensor, "prompts tokens heads*head_dim"],
    position: int,
) -> Int[Tensor, "prompts 5"]:
    """The 5 tokens that one head's output at a position speaks for most, of each prompt.

    -1 where it writes nothing. What it adds is a difference of streams: some layers scale or norm
    an output before it is added.
    """
    alone, where = torch.zeros_like(z), blocks.head_slice(layer, head)
    alone[:, :, where] = z[:, :, where]
    nothing = z.new_zeros((*z.shape[:2], blocks.model.card.hidden_size))
    with_head, without = (
        blocks.run(layer, nothing, z=given, mlp=nothing, only=position)[:, position]
        for given in (alone, torch.zeros_like(z))
    )
    written = with_head - without
    top = blocks.model.top_logits(blocks.model.final_norm(written), N_TOP)[1]
    return top.where(written.any(-1, keepdim=True), -1)
