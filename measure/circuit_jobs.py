"""What a model is run for on a task: ablations, their estimates, circuits, patterns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch

from measure import (
    ablation,
    attribution_patching,
    circuit_edges,
    circuits,
    noise,
    ov_scores,
    pictures,
    probes,
    residual_attribution,
)
from measure.circuit_records import AttributionEffect, CircuitNode, CircuitSize
from measure.components import Blocks, Component
from measure.intervals import bootstrap_interval
from measure.models import CausalLM
from measure.noise import Observed
from measure.patching import Patching
from measure.prompts import Progress
from measure.records import Record
from measure.request import Measurement
from measure.run import Job
from measure.tasks import TaskSet

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float
    from numpy.typing import NDArray

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TaskJob(Job):
    """One on the prompts of a task; what one unit has made ready serves the next."""

    task: TaskSet
    _ready: dict[tuple[int, int], Any] = field(
        default_factory=dict[tuple[int, int], Any], compare=False, repr=False
    )

    def _once(self, model: CausalLM, make: Callable[[CausalLM, TaskSet, int], T]) -> T:
        """Made for the first unit of a model at a batch size, and kept for the others."""
        key = id(model), self.measurement.batch_size
        if key not in self._ready:
            self._ready.clear()  # of a batch that did not fit
            self._ready[key] = make(model, self.task, self.measurement.batch_size)
        return cast("T", self._ready[key])

    @property
    @abstractmethod
    def n_passes(self) -> int:
        """Prompts that go through the model, whole or from a layer on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationJob(TaskJob):
    """Mean ablation of every head and MLP; a unit a layer."""

    n_components: int

    @property
    def n_passes(self) -> int:
        """The clean prompts, and all of them for each component."""
        return len(self.task.keys) * (1 + self.n_components)

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """The prompts, or a layer."""
        sweep = self._once(model, ablation.Sweep)
        return list(ablation.measure_unit(sweep, self.task, unit, progress))


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateJob(TaskJob):
    """Attribution patching: every ablation to first order, from one gradient."""

    @property
    def n_passes(self) -> int:
        """A prompt, its gradient and its corrupted twin."""
        return 3 * len(self.task.keys)

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """One row a component."""
        del unit
        rows = self.measurement.batch_size
        lost = -attribution_patching.estimated_effects(model, self.task, rows)
        progress(self.n_passes)
        components = Blocks(model, torch.from_numpy(self.task.clean)).components
        found: list[Record] = []
        for component, values in zip(components, lost, strict=True):
            low, high = bootstrap_interval(values[:, None], lambda means: means[:, 0])
            found.append(
                AttributionEffect(
                    component=component.name,
                    layer=component.layer,
                    head=component.head,
                    n_prompts=len(values),
                    estimated_effect=float(values.mean()),
                    ci_low_estimated_effect=low,
                    ci_high_estimated_effect=high,
                )
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitJob(TaskJob):
    """Greedy extraction under each budget; a unit a budget."""

    n_components: int

    @property
    def n_passes(self) -> int:
        """Of two sweeps, the fewest there can be, each of all components under each budget."""
        return 2 * self.n_components * len(self.measurement.units)

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """A circuit and its components."""
        extraction = self._once(model, circuits.Extraction)
        found = extraction.circuit(float(unit.removeprefix("budget-")), progress)
        heads = [c.is_head for c in extraction.all_components]
        n_heads = sum(component.is_head for component in found.components)
        size = CircuitSize(
            budget=found.budget,
            n_heads=n_heads,
            n_mlps=len(found.nodes) - n_heads,
            n_all_heads=sum(heads),
            n_all_mlps=len(heads) - sum(heads),
            n_prompts=len(self.task.keys),
            n_sweeps=found.n_sweeps,
            completeness_pct=found.completeness.pct,
            ci_low_completeness_pct=found.completeness.low,
            ci_high_completeness_pct=found.completeness.high,
            necessity_pct=found.necessity.pct,
            ci_low_necessity_pct=found.necessity.low,
            ci_high_necessity_pct=found.necessity.high,
        )
        nodes = [
            CircuitNode(
                budget=found.budget,
                component=node.component.name,
                layer=node.component.layer,
                head=node.component.head,
                delta_p_in_circuit=node.delta_p_in_circuit,
            )
            for node in found.nodes
        ]
        return [size, *nodes]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchingJob(TaskJob):
    """Activations of the clean run put into the corrupted one; a unit a layer."""

    n_cells: int  # of all layers

    @property
    def n_passes(self) -> int:
        """A prompt for each cell, from its layer on."""
        return len(self.task.keys) * self.n_cells

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """A layer."""
        patching = self._once(model, Patching)
        return list(patching.records(int(unit.removeprefix("layer-")), progress))


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualJob(TaskJob):
    """What each part writes towards the answer at each token."""

    @property
    def n_passes(self) -> int:
        """Each prompt once."""
        return len(self.task.keys)

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """A row a prompt, part and token."""
        del unit
        rows = self.measurement.batch_size
        return list(residual_attribution.records(model, self.task, progress, rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class OvJob(TaskJob):
    """What each head's output says at the end, read as a token."""

    n_heads: int

    @property
    def n_passes(self) -> int:
        """A prompt and head."""
        return len(self.task.keys) * self.n_heads

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """A row a head."""
        del unit
        return list(ov_scores.ov_scores(model, self.task, progress, self.measurement.batch_size))


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeJob(TaskJob):
    """Every edge between two nodes of a circuit, and from each to the logits."""

    nodes: tuple[Component, ...]

    @property
    def n_passes(self) -> int:
        """A prompt and edge, from its destination on."""
        return len(self.task.keys) * len(circuit_edges.edges(self.nodes))

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """A row an edge."""
        del unit
        rows = self.measurement.batch_size
        return list(circuit_edges.circuit_edges(model, self.task, self.nodes, progress, rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureJob(TaskJob):
    """Where each head looks on the first prompts, and the tokens it says at the end."""

    n_heads: int
    is_masked: bool

    @property
    def n_passes(self) -> int:
        """A prompt and head."""
        return len(self.task.keys) * self.n_heads

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """Rows of patterns, then of tokens."""
        del unit
        found: list[Record] = list(pictures.attention_patterns(model, self.task))
        if self.is_masked:  # whose layers norm what a head adds: it says nothing by itself
            progress(self.n_passes)
            return found
        rows = self.measurement.batch_size
        return [*found, *pictures.ov_tokens(model, self.task, progress, rows)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeJob(TaskJob):
    """Which terms can be read off, from the stream and from heads' values; a unit a layer."""

    @property
    def n_passes(self) -> int:
        """Each corrupted prompt once a layer and site."""
        return len(self.task.keys) * len(self.measurement.units) * len(_SITES)

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """A layer, both sites."""
        layer, rows = int(unit.removeprefix("layer-")), self.measurement.batch_size
        found: list[Record] = []
        for site in _SITES:
            found += probes.probe_accuracies(
                model, self.task, site, layer, probe_labels(self.task), rows=rows
            )
            progress(len(self.task.keys))
        return found


_SITES: tuple[probes.Site, ...] = ("resid_mid", "value")


def probe_labels(task: TaskSet) -> list[str]:
    """The roles whose tokens a probe is asked for: a sequence's terms."""
    return [role for role in task.roles if role.startswith("term_")]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseJob(TaskJob):
    """A student disturbed more and more, beside its teacher; a unit a scale and seed."""

    teacher: Observed
    has_bos: bool
    why_other_basis: str | None
    n_components: int

    @property
    def n_passes(self) -> int:
        """The student's ablations once for each sigma."""
        n_units = len(self.measurement.units)
        return len(self.task.keys) * self.n_components * len(noise.SIGMAS) * n_units

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """The curve of a seed."""
        scale, seed = unit.split("-seed-")
        return list(
            noise.noise_curve(
                self.teacher,
                model,
                self.task,
                progress,
                has_bos=self.has_bos,
                why_other_basis=self.why_other_basis,
                scale=cast("noise.Scale", scale),
                seeds=(int(seed),),
            )
        )


NOISE_UNITS = tuple(
    f"{scale}-seed-{seed}" for scale in ("absolute", "relative") for seed in noise.SEEDS
)


def on_task(
    method: str,
    version: int,
    model_id: str,
    task: TaskSet,
    units: tuple[str, ...],
    *,
    options: dict[str, object] | None = None,
    dtype: str = "float32",
    device_kind: str = "cpu",
    batch_size: int = ablation.ROWS,
) -> Measurement:
    """A measurement of one model on a task's prompts."""
    return Measurement(
        method=method,
        method_version=version,
        models={"model": model_id},
        prompt_set=task.name,
        prompt_set_sha256=task.sha256,
        dtype=dtype,
        device_kind=device_kind,
        options=options or {},
        units=units,
        batch_size=batch_size,
    )


@torch.inference_mode()
def looked_at(
    model: CausalLM, task: TaskSet, rows: int
) -> tuple[
    Float[NDArray[np.float32], "prompts heads queries keys"],
    Float[NDArray[np.float32], "layers prompts tokens d_model"],
]:
    """Attention patterns of all heads and outputs of all MLPs on the clean prompts."""
    ids = torch.from_numpy(task.clean)
    blocks = Blocks(model, ids)
    patterns: list[NDArray[np.float32]] = []
    outputs: list[NDArray[np.float32]] = []
    for some in ids.split(rows):
        patterns.append(blocks.patterns(some).cpu().numpy())
        stream = blocks.embed(some)
        of_layers: list[NDArray[np.float32]] = []
        for layer in range(blocks.n_layers):
            parts = blocks.read(layer, stream)
            of_layers.append(parts.mlp.float().cpu().numpy())
            stream = parts.after
        outputs.append(np.stack(of_layers))
    return np.concatenate(patterns), np.concatenate(outputs, axis=1)
