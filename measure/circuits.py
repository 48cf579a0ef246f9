"""Which components suffice for a task: greedy extraction under a budget of lost logit difference.

Components are ablated (measure/ablation.py) one more at a time, last layer to first and back, for
as long as the whole loss stays within the budget T_n; what is left is the circuit. So T_n bounds
the total, not each component's own drop (methods 4.4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from measure.ablation import ROWS, Means, difference, mean_outputs
from measure.components import Blocks, Component, Edit
from measure.intervals import bootstrap_interval
from measure.models import CausalLM
from measure.prompts import Progress
from measure.tasks import TaskSet

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float
    from numpy.typing import NDArray

METHOD = "circuit"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
BUDGETS = (0.10, 0.15, 0.20, 0.25, 0.30)
REFERENCE_BUDGET = 0.20
MAX_SWEEPS = 20  # each sweep but the last removes something, so this ends only a fault


@dataclass(frozen=True, slots=True)
class Retained:
    """Logit difference under an ablation, in percent of the whole model's."""

    pct: float
    low: float
    high: float  # 95 %, prompts resampled


@dataclass(frozen=True, slots=True)
class Node:
    """A component of a circuit, and what it is worth inside it."""

    component: Component
    delta_p_in_circuit: float  # points of the whole model lost when it alone is taken out


@dataclass(frozen=True, slots=True)
class Circuit:
    """What is left under a budget, and how much of the task it does."""

    budget: float
    nodes: tuple[Node, ...]
    completeness: Retained  # only the circuit works
    necessity: Retained  # only the rest works; the papers also call it faithfulness
    n_sweeps: int

    @property
    def components(self) -> frozenset[Component]:
        """Its components."""
        return frozenset(node.component for node in self.nodes)


class Extraction:
    """Greedy extraction on a task's prompts.

    It keeps the residual stream before every layer: layers x prompts x tokens x d_model.
    """

    def __init__(self, model: CausalLM, task: TaskSet, rows: int = ROWS) -> None:
        self._blocks = Blocks(model, torch.from_numpy(task.clean))
        self._task = task
        self._rows = rows
        self._tokens = torch.from_numpy(np.stack([task.answer, task.foil], axis=1))
        self._means: Means = mean_outputs(
            self._blocks, torch.from_numpy(task.corrupted), self._rows
        )
        self._embedded = self._embed()
        self.clean = self.differences(())

    @property
    def all_components(self) -> tuple[Component, ...]:
        """Of the model: layer by layer, heads first, then the MLP."""
        return self._blocks.components

    def circuit(self, budget: float, progress: Progress) -> Circuit:
        """The circuit under a budget, a share of the logit difference; `progress` hears of tries.

        The mean logit difference must lie above 0: percentages of anything else mean nothing.
        """
        removed: set[Component] = set()
        n_sweeps, changed = 0, True
        while changed and n_sweeps < MAX_SWEEPS:
            sweep = self._backward if n_sweeps % 2 == 0 else self._forward
            before = len(removed)
            sweep(removed, budget, progress)
            changed = len(removed) > before or n_sweeps == 0
            n_sweeps += 1
        kept = [c for c in self._blocks.components if c not in removed]
        whole = self.differences(removed)
        nodes = tuple(
            Node(c, self._pct(self.differences(removed | {c})) - self._pct(whole)) for c in kept
        )
        return Circuit(
            budget, nodes, self.retained(whole), self.retained(self.differences(kept)), n_sweeps
        )

    def differences(self, removed: Collection[Component]) -> Float[NDArray[np.float64], " prompts"]:
        """Logit differences with all of these ablated."""
        return self._from(0, self._embedded, removed)

    def retained(self, differences: Float[NDArray[np.float64], " prompts"]) -> Retained:
        """Their mean in percent of the whole model's, with its interval over prompts."""
        pairs = np.stack([differences, self.clean], axis=1)
        low, high = bootstrap_interval(pairs, lambda means: 100 * means[:, 0] / means[:, 1])
        return Retained(self._pct(differences), low, high)

    def _pct(self, differences: NDArray[np.float64]) -> float:
        return float(100 * differences.mean() / self.clean.mean())

    def _backward(self, removed: set[Component], budget: float, progress: Progress) -> None:
        """Last layer first, in each the MLP before the heads."""
        streams = list(self._streams(removed))
        for layer in reversed(range(self._blocks.n_layers)):
            heads = range(self._blocks.n_heads(layer))
            some = (Component(layer), *(Component(layer, head) for head in heads))
            self._try(layer, streams[layer], some, removed, budget, progress)

    def _forward(self, removed: set[Component], budget: float, progress: Progress) -> None:
        """First layer first, in each the heads before the MLP."""
        stream = self._embedded
        for layer in range(self._blocks.n_layers):
            heads = range(self._blocks.n_heads(layer))
            some = (*(Component(layer, head) for head in heads), Component(layer))
            self._try(layer, stream, some, removed, budget, progress)
            stream = self._through(layer, stream, removed)

    def _try(
        self,
        layer: int,
        stream: Tensor,
        candidates: tuple[Component, ...],
        removed: set[Component],
        budget: float,
        progress: Progress,
    ) -> None:
        for candidate in candidates:
            progress(1)
            if candidate in removed:
                continue
            without = self._from(layer, stream, removed | {candidate})
            if 100 - self._pct(without) < 100 * budget:
                removed.add(candidate)

    @torch.inference_mode()
    def _embed(self) -> Tensor:
        return self._blocks.embed(torch.from_numpy(self._task.clean))

    def _streams(self, removed: Collection[Component]) -> Iterator[Tensor]:
        """The stream before each layer."""
        stream = self._embedded
        for layer in range(self._blocks.n_layers):
            yield stream
            stream = self._through(layer, stream, removed)

    @torch.inference_mode()
    def _through(self, layer: int, stream: Tensor, removed: Collection[Component]) -> Tensor:
        edit_z, mlp = self._edits(layer, removed)
        return torch.cat(
            [
                self._blocks.run(layer, rows, edit_z=edit_z, mlp=_expanded(mlp, rows))
                for rows in stream.split(self._rows)
            ]
        )

    @torch.inference_mode()
    def _from(
        self, first: int, stream: Tensor, removed: Collection[Component]
    ) -> Float[NDArray[np.float64], " prompts"]:
        """Logit differences from the stream before a layer on."""
        edits = [self._edits(layer, removed) for layer in range(self._blocks.n_layers)]
        last, position = self._blocks.n_layers - 1, self._task.position
        found: list[NDArray[np.float64]] = []
        for rows, tokens in zip(
            stream.split(self._rows), self._tokens.split(self._rows), strict=True
        ):
            passed = rows
            for layer in range(first, last + 1):
                edit_z, mlp = edits[layer]
                passed = self._blocks.run(
                    layer, passed, edit_z=edit_z, mlp=_expanded(mlp, passed),
                    only=position if layer == last else None,
                )  # fmt: skip
            found.append(difference(self._blocks.final(passed, tokens, position)))
        return np.concatenate(found)

    def _edits(
        self, layer: int, removed: Collection[Component]
    ) -> tuple[Edit | None, Tensor | None]:
        """What puts the means of the removed heads and MLP of a layer in their places."""
        heads = sorted(c.head for c in removed if c.layer == layer and c.head is not None)
        mlp = self._means.mlp[layer] if Component(layer) in removed else None
        if not heads:
            return None, mlp
        slices = [self._blocks.head_slice(layer, head) for head in heads]
        means = self._means.z[layer]

        def replace(z: Tensor) -> Tensor:
            z = z.clone()
            for where in slices:
                z[:, :, where] = means[:, where]
            return z

        return replace, mlp


def _expanded(mlp: Tensor | None, stream: Tensor) -> Tensor | None:
    return None if mlp is None else mlp.expand_as(stream)
