"""Which components of a circuit feed which: one edge between two of them ablated at a time.

An edge leads from what a component writes into the residual stream to one thing that reads it
there: a later head's queries, keys or values, a later MLP, or the logits ("output"). Ablated, this
one reads the stream as if the source had written its mean over the corrupted prompts, position by
position; whatever else stands there is the clean run's, and all that follows runs as usual. An edge
is kept if less than 1 - T_n of the logit difference is retained without it, T_n = 0.20.

Source: methods 4.4 (path patching); OUR DEFINITION: the source's mean in place of its output in one
corrupted run, as in every ablation here, and only edges among the nodes of the circuit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from measure.ablation import ROWS, difference, mean_outputs
from measure.circuits import REFERENCE_BUDGET
from measure.components import AttentionInput, Blocks, Component, Parts
from measure.errors import BadInput
from measure.intervals import bootstrap_interval
from measure.models import CausalLM
from measure.picture_records import CircuitEdge, Reader
from measure.prompts import Progress
from measure.tasks import TaskSet

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float
    from numpy.typing import NDArray

METHOD = "circuit-edges"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
MOST_COMPONENTS = 200  # edges grow with the square: GPT-2 small has 156 components
OUTPUT = "output"

_INPUTS: tuple[AttentionInput, ...] = ("q", "k", "v")


@dataclass(frozen=True, slots=True)
class Edge:
    """What a source writes, as one reader of a later destination reads it."""

    source: Component
    destination: Component | None  # None: the logits
    reader: Reader


def check_size(label: str, n_components: int) -> None:
    """Nothing, of a model that is small enough.

    Raises:
        BadInput: it has too many components.
    """
    if n_components > MOST_COMPONENTS:
        raise BadInput(
            f"{label!r} has {n_components} components, and edges are ablated one by one in models "
            f"of up to {MOST_COMPONENTS}: leave `edges` out; `circuits` gives its nodes"
        )


def edges(nodes: Sequence[Component]) -> tuple[Edge, ...]:
    """Every edge that there can be among these, source by source; none of no nodes."""
    ordered = sorted(nodes, key=lambda node: (node.layer, node.head is None, node.head or 0))
    found: list[Edge] = []
    for source in ordered:
        for reader in ordered:
            if reader.head is None:
                if source.layer < reader.layer or (source.layer == reader.layer and source.is_head):
                    found.append(Edge(source, reader, "mlp"))
            elif source.layer < reader.layer:
                found += [Edge(source, reader, name) for name in _INPUTS]
        found.append(Edge(source, None, OUTPUT))
    return tuple(found)


def circuit_edges(
    model: CausalLM,
    task: TaskSet,
    nodes: Sequence[Component],
    progress: Progress,
    rows: int = ROWS,
) -> Iterator[CircuitEdge]:
    """A record an edge; `progress` hears of prompts times edges.

    The mean logit difference must lie above 0: percentages of anything else mean nothing.
    """
    wiring = Wiring(model, task, rows)
    some = edges([wiring.check(node) for node in nodes])
    clean, ablated = wiring.differences(some, progress)
    for edge, left in zip(some, ablated, strict=True):
        low, high = bootstrap_interval(
            np.stack([left, clean], axis=1), lambda means: 100 * (1 - means[:, 0] / means[:, 1])
        )
        lost = float(100 * (1 - left.mean() / clean.mean()))
        yield CircuitEdge(
            budget=REFERENCE_BUDGET,
            source=edge.source.name,
            destination=OUTPUT if edge.destination is None else edge.destination.name,
            reader=edge.reader,
            n_prompts=len(clean),
            delta_p_edge=-lost,
            ci_low_delta_p_edge=-high,
            ci_high_delta_p_edge=-low,
            is_kept=lost > 100 * REFERENCE_BUDGET,
        )


class Wiring:
    """A model on a task's prompts, any edges of which can be ablated.

    Raises:
        BadInput: it has too many components.
    """

    def __init__(self, model: CausalLM, task: TaskSet, rows: int = ROWS) -> None:
        self._blocks = Blocks(model, torch.from_numpy(task.clean))
        check_size(model.card.label, len(self._blocks.components))
        self._task = task
        self._rows = rows
        self._means = mean_outputs(self._blocks, torch.from_numpy(task.corrupted), rows)

    def check(self, component: Component) -> Component:
        """The same component, if the model has it; BadInput otherwise."""
        return self._blocks.check(component)

    @torch.inference_mode()
    def differences(
        self, some: Sequence[Edge], progress: Progress
    ) -> tuple[Float[NDArray[np.float64], " prompts"], Float[NDArray[np.float64], "edges prompts"]]:
        """Logit differences of the clean run, and with each edge ablated."""
        ids = torch.from_numpy(self._task.clean)
        asked = torch.from_numpy(np.stack([self._task.answer, self._task.foil], axis=1))
        clean: list[NDArray[np.float64]] = []
        ablated: list[NDArray[np.float64]] = []
        for texts, tokens in zip(ids.split(self._rows), asked.split(self._rows), strict=True):
            run = _Run(self._blocks, texts, self._task.position)
            clean.append(self._read(run.layers[-1].parts.after, tokens))
            changes = {edge.source: self._change(run, edge.source) for edge in some}
            left = np.empty((len(some), len(texts)))
            for index, edge in enumerate(some):
                left[index] = self._read(run.without(edge, changes[edge.source]), tokens)
                progress(len(texts))
            ablated.append(left)
        return np.concatenate(clean), np.concatenate(ablated, axis=1)

    def _read(self, stream: Tensor, tokens: Tensor) -> NDArray[np.float64]:
        return difference(self._blocks.final(stream, tokens, self._task.position))

    def _change(self, run: _Run, source: Component) -> _Change:
        """What of the stream changes if a component writes its mean."""
        at = run.layers[source.layer]
        if source.head is None:
            mlp = self._means.mlp[source.layer].expand_as(at.before)
            after = self._blocks.run(source.layer, at.before, z=at.parts.z, mlp=mlp)
            return _Change(at.parts.z, after - run.alone(source.layer))
        where = self._blocks.head_slice(source.layer, source.head)
        z = at.parts.z.clone()
        z[:, :, where] = self._means.z[source.layer][:, where]
        after = self._blocks.run(source.layer, at.before, z=z, mlp=at.parts.mlp)
        return _Change(z, after - run.alone(source.layer))


@dataclass(frozen=True, slots=True)
class _Change:
    z: Tensor  # of its layer
    written: Tensor  # after its layer, all that the others wrote as it was


@dataclass(frozen=True, slots=True)
class _At:
    before: Tensor
    parts: Parts


class _Run:
    """The clean run of some prompts, layer by layer."""

    def __init__(self, blocks: Blocks, ids: Tensor, position: int) -> None:
        self._blocks, self._position = blocks, position
        self.layers: list[_At] = []
        stream = blocks.embed(ids)
        for layer in range(blocks.n_layers):
            parts = blocks.read(layer, stream)
            self.layers.append(_At(stream, parts))
            stream = parts.after

    def alone(self, layer: int) -> Tensor:
        """The stream after a layer, by the arithmetic of an ablated one's: equal parts cancel."""
        at = self.layers[layer]
        return self._blocks.run(layer, at.before, z=at.parts.z, mlp=at.parts.mlp)

    def without(self, edge: Edge, change: _Change) -> Tensor:
        """The stream after the last layer, at the task's position."""
        if edge.destination is None:
            return self.layers[-1].parts.after + change.written
        layer, head = edge.destination.layer, edge.destination.head
        at = self.layers[layer]
        if head is None:
            return self._onward(layer, at.parts.z, self._mlp_reads(edge, change))
        reader: AttentionInput = edge.reader  # pyright: ignore[reportAssignmentType]
        where = self._blocks.head_slice(layer, head)
        z = at.parts.z.clone()
        z[:, :, where] = self._reads(layer, reader, at.before + change.written)[:, :, where]
        return self._onward(layer, z, None)

    def _mlp_reads(self, edge: Edge, change: _Change) -> Tensor:
        """What the MLP makes of the changed stream; attention stays as it was."""
        layer = edge.destination.layer if edge.destination else 0
        at, caught = self.layers[layer], list[Tensor]()
        is_same = edge.source.layer == layer
        before, z = (at.before, change.z) if is_same else (at.before + change.written, at.parts.z)
        self._blocks.run(layer, before, z=z, edit_mlp=lambda mlp: (caught.append(mlp), mlp)[1])
        return caught[0]

    def _reads(self, layer: int, reader: AttentionInput, stream: Tensor) -> Tensor:
        """The heads' outputs where one of their inputs alone is read off another stream."""
        caught: list[Tensor] = []
        self._blocks.attend(layer, stream, {reader: lambda value: (caught.append(value), value)[1]})
        return self._blocks.attend(layer, self.layers[layer].before, {reader: lambda _: caught[0]})

    def _onward(self, layer: int, z: Tensor, mlp: Tensor | None) -> Tensor:
        last = self._blocks.n_layers - 1
        at = self._position
        only = at if layer == last else None
        stream = self._blocks.run(layer, self.layers[layer].before, z=z, mlp=mlp, only=only)
        for later in range(layer + 1, last + 1):
            stream = self._blocks.run(later, stream, only=at if later == last else None)
        return stream
