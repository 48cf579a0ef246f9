"""What each attention head and MLP contributes to a task: mean ablation, one component at a time.

A component's output is replaced at every position by its mean over the corrupted prompts at that
position; all else runs as usual (methods 4.3). The effect is on the logit difference of answer and
foil at one position. An ablated run starts from the stored residual of its layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from measure.circuit_records import AblationEffect, TaskPrompt
from measure.components import Blocks, Component
from measure.models import CausalLM
from measure.prompts import Progress
from measure.tasks import TaskSet

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int
    from numpy.typing import NDArray

METHOD = "ablation"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
ROWS = 64  # prompts at once: what a pass reads is then still in a CPU's cache at its next step
PROMPTS = "prompts"  # the unit of the clean runs


@dataclass(frozen=True, slots=True)
class Means:
    """Mean outputs over the corrupted prompts, position by position, for each layer."""

    z: tuple[Float[Tensor, "tokens heads*head_dim"], ...]
    mlp: tuple[Float[Tensor, "tokens d_model"], ...]


def units(n_layers: int) -> tuple[str, ...]:
    """The prompts first, then a unit a layer."""
    return (PROMPTS, *(f"layer-{layer:03d}" for layer in range(n_layers)))


def measure_unit(
    sweep: Sweep, task: TaskSet, unit: str, progress: Progress
) -> Iterator[TaskPrompt | AblationEffect]:
    """The prompts with their clean logit differences, or the ablations of one layer."""
    if unit == PROMPTS:
        for key, item, found in zip(task.keys, task.items, sweep.clean(), strict=True):
            yield TaskPrompt(
                prompt_id=key,
                clean=item.clean,
                corrupted=item.corrupted,
                answer=item.answer,
                foil=item.foil,
                n_tokens=task.clean.shape[1],
                ld_clean=float(found),
            )
        progress(len(task.keys))
        return
    layer = int(unit.removeprefix("layer-"))
    some = [component for component in sweep.components if component.layer == layer]
    for component, row in zip(some, sweep.layer(layer, progress), strict=True):
        for key, found in zip(task.keys, row.tolist(), strict=True):
            yield AblationEffect(
                prompt_id=key,
                component=component.name,
                layer=layer,
                head=component.head,
                ld_ablated=found,
            )


class Sweep:
    """Mean ablation of every component of a model on a task, layer by layer.

    Between layers it keeps the residual stream of all clean prompts: prompts x tokens x d_model.
    """

    def __init__(
        self, model: CausalLM, task: TaskSet, rows: int = ROWS, blocks: Blocks | None = None
    ) -> None:
        self._blocks = blocks or Blocks(model, torch.from_numpy(task.clean))
        self._task = task
        self._rows = rows
        self._tokens = torch.from_numpy(np.stack([task.answer, task.foil], axis=1))
        self._means = mean_outputs(self._blocks, torch.from_numpy(task.corrupted), self._rows)
        self._start()

    @property
    def components(self) -> tuple[Component, ...]:
        """Layer by layer, heads first, then the MLP."""
        return self._blocks.components

    @torch.inference_mode()
    def clean(self) -> Float[NDArray[np.float64], " prompts"]:
        """Logit differences with nothing ablated."""
        self._go_to(self._blocks.n_layers)
        found = self._blocks.final(self._stream, self._tokens, self._task.position)
        return difference(found)

    @torch.inference_mode()
    def layer(
        self, layer: int, progress: Progress
    ) -> Float[NDArray[np.float64], "components prompts"]:
        """Logit differences with each component of a layer ablated, heads first, then the MLP.

        `progress` hears of prompts times components.
        """
        self._go_to(layer)
        n_prompts = len(self._stream)
        heads: list[int | None] = [*range(self._blocks.n_heads(layer)), None]
        found = np.empty((len(heads), n_prompts))
        together = max(1, self._rows // n_prompts)
        for start in range(0, n_prompts, self._rows):
            chunk = slice(start, start + self._rows)
            before = self._stream[chunk]
            parts = self._blocks.read(layer, before)
            for first in range(0, len(heads), together):
                some = heads[first : first + together]
                stream = self._ablated(layer, before, parts.z, some)
                tokens = self._tokens[chunk].repeat(len(some), 1)
                logits = self._blocks.final(stream, tokens, self._task.position)
                found[first : first + len(some), chunk] = difference(logits).reshape(len(some), -1)
                progress(len(some) * len(before))
            self._stream[chunk] = parts.after
        self._reached = layer + 1
        return found

    def _ablated(
        self, layer: int, before: Tensor, z: Tensor, heads: list[int | None]
    ) -> Float[Tensor, "components*prompts tokens d_model"]:
        """The stream after the last layer, with the mean in place of each component in turn."""
        last = self._blocks.n_layers - 1
        only = self._task.position if layer == last else None
        ablated = [head for head in heads if head is not None]
        streams: list[Tensor] = []
        if ablated:
            several = z.repeat(len(ablated), 1, 1)
            for rows, head in zip(several.split(len(z)), ablated, strict=True):
                where = self._blocks.head_slice(layer, head)
                rows[:, :, where] = self._means.z[layer][:, where]
            repeated = before.repeat(len(ablated), 1, 1)
            streams.append(self._blocks.run(layer, repeated, z=several, only=only))
        if len(ablated) < len(heads):
            mean = self._means.mlp[layer].expand_as(before)
            streams.append(self._blocks.run(layer, before, z=z, mlp=mean, only=only))
        stream = torch.cat(streams)
        for later in range(layer + 1, last + 1):
            only = self._task.position if later == last else None
            stream = self._blocks.run(later, stream, only=only)
        return stream

    @torch.inference_mode()
    def _start(self) -> None:
        self._reached = 0
        self._stream = self._blocks.embed(torch.from_numpy(self._task.clean))

    def _go_to(self, layer: int) -> None:
        """Bring the clean stream to just before a layer."""
        if layer < self._reached:
            self._start()
        for passed in range(self._reached, layer):
            for rows in self._stream.split(self._rows):
                rows.copy_(self._blocks.run(passed, rows))
        self._reached = layer


def difference(logits: Float[Tensor, "rows 2"]) -> Float[NDArray[np.float64], " rows"]:
    """Logit of the answer less the foil's."""
    pairs = logits.double().cpu().numpy()
    return pairs[:, 0] - pairs[:, 1]


@torch.inference_mode()
def mean_outputs(blocks: Blocks, ids: Int[Tensor, "prompts tokens"], rows: int) -> Means:
    """Mean over prompts of every part at every position, summed in float64."""
    z: list[Tensor] = []
    mlp: list[Tensor] = []
    streams = [blocks.embed(some) for some in ids.split(rows)]
    for layer in range(blocks.n_layers):
        parts = [blocks.read(layer, stream) for stream in streams]
        streams = [part.after for part in parts]
        for kept, values in ((z, [p.z for p in parts]), (mlp, [p.mlp for p in parts])):
            total = torch.stack([value.double().sum(0) for value in values]).sum(0)
            kept.append((total / len(ids)).to(values[0].dtype))
    return Means(tuple(z), tuple(mlp))
