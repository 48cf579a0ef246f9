"""What a run of distilled circuits asks of each model, and which of it is missing."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from flows.runner import Runner
from measure import (
    ablation,
    attribution_patching,
    circuit_edges,
    circuits,
    influence,
    models,
    noise,
    ov_scores,
    patching,
    pictures,
    probes,
    residual_attribution,
    sources,
    tasks,
)
from measure.circuit_jobs import (
    NOISE_UNITS,
    AblationJob,
    CircuitJob,
    EdgeJob,
    EstimateJob,
    OvJob,
    PatchingJob,
    PictureJob,
    ProbeJob,
    ResidualJob,
    TaskJob,
    on_task,
    probe_labels,
)
from measure.components import Component
from measure.errors import BadInput
from measure.influence import Sweep
from measure.models import CausalLM
from measure.request import Measurement
from measure.tasks import TaskSet
from warehouse.lake import Lake

Part = Literal[
    "estimates", "circuits", "edges", "patching", "residual", "pictures", "probes", "noise"
]
TEACHER, CONTROL = "teacher", "control"
PROBED = 400  # prompts a probe is trained and tried on, at least


class CircuitChoice(BaseModel):
    """What a run compares, and a user's choices for it, as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: str
    students: tuple[str, ...] = ()
    control: str | None = None  # not distilled, of the student's number of components
    tasks: tuple[str, ...] = ("numerals",)
    n_prompts: int = Field(default=100, ge=2)
    seed: int = Field(default=0, ge=0)
    filtered: bool = False  # only prompts that the teacher gets right by far
    parts: tuple[Part, ...] = ()
    dtype: str = "float32"
    device: str | None = None  # None: the first GPU, else the CPU
    batch_size: int = Field(default=ablation.ROWS, ge=1)

    def models(self) -> list[str]:
        """Every model once, the teacher first."""
        control = [self.control] if self.control else []
        return list(dict.fromkeys([self.teacher, *self.students, *control]))


class CircuitPlans(Runner):
    """What one task is to be asked of each model, and the runs of it that are missing."""

    takes_masked = True

    def __init__(self, lake: Lake, choice: CircuitChoice, device: str, task: str) -> None:
        super().__init__(lake, device, choice.dtype, "prompt")
        self.choice = choice
        self.task = task
        self._sets: dict[str, TaskSet] = {}
        self._refused: dict[str, bool] = {}  # whether a model cannot do the task, once ablated
        for ref in choice.models():  # a wrong name, or a task it cannot be asked, is told at once
            self.model_id(ref)
        for student in choice.students:
            if self.model_id(student) == self.model_id(choice.teacher):
                raise BadInput(
                    f"{student!r} is the teacher itself: give a model that was distilled from it"
                )
        for ref in choice.models():
            if self.source_of(ref).is_masked and "residual" in choice.parts:
                raise BadInput(
                    f"{ref!r} is a masked model, whose layers norm what they add, so that no part "
                    "of it writes towards an answer by itself: leave `residual` out"
                )
            if "edges" in choice.parts:
                if self.source_of(ref).is_masked:
                    raise BadInput(
                        f"{ref!r} is a masked model, whose layers norm what they add, so that what "
                        "one part reads of another cannot be taken out alone: leave `edges` out"
                    )
                circuit_edges.check_size(ref, self.n_components(ref))
            self.task_set(ref)

    def task_set(self, ref: str) -> TaskSet:
        """The prompts a model is asked: the same for all that read them as the same tokens."""
        if ref not in self._sets:
            self._sets[ref] = self._task_set(ref)
        return self._sets[ref]

    def _task_set(self, ref: str) -> TaskSet:
        choice = self.choice
        found = self._prompts(ref, choice.n_prompts)
        if not choice.filtered:
            return found
        if ref == choice.teacher:
            return self._filtered(found)
        kept = self.task_set(choice.teacher)
        if self._prompts(choice.teacher, choice.n_prompts).sha256 != found.sha256:
            raise BadInput(
                f"{ref!r} reads the prompts as other tokens than {choice.teacher!r}, whose "
                "success was to choose them: leave --filtered out"
            )
        return kept

    def _filtered(self, given: TaskSet) -> TaskSet:
        model = self.model(self.choice.teacher)
        top, gaps = _answers(model, given, self.choice.batch_size)
        return tasks.filtered(given, top, gaps, model.card.label)

    def ablate(self, ref: str) -> None:
        """Run a model for what it is missing; what it cannot do has no circuit."""
        self.run(ref, [self._ablation(ref)])
        self.run(ref, self._jobs(ref))
        if (edges := self._edge_job(ref)) is not None:
            self.run(ref, [edges])

    def n_components(self, ref: str) -> int:
        """Heads and MLPs of a model."""
        return models.shape_of(self.source_of(ref))[1]

    def n_passes_missing(self) -> int:
        """Prompts that have to go through models, whole or from a layer on."""
        return sum(self._passes_missing(ref) for ref in self.choice.models())

    def flops_missing(self) -> float:
        """Operations of that, as if every pass were of the whole model: at most so many."""
        return sum(
            2.0
            * self._n_params(ref)
            * self.task_set(ref).clean.shape[1]
            * self._passes_missing(ref)
            for ref in self.choice.models()
        )

    def _passes_missing(self, ref: str) -> int:
        jobs: list[TaskJob] = self._jobs(ref)
        if (edges := self._edge_job(ref)) is not None:
            jobs.append(edges)
        n = sum(job.n_passes for job in jobs if not self.is_done(job.measurement))
        plan = self._noise_plan(ref) if ref in self.choice.students else None
        if plan is not None and not self.is_done(plan):
            n_sigmas = len(noise.SIGMAS) * len(plan.units)
            n += len(self.task_set(ref).keys) * self.n_components(ref) * n_sigmas
        return n

    def awaits_circuits(self) -> bool:
        """Whether edges are asked for, and how many there are is known only with the circuits."""
        if "edges" not in self.choice.parts:
            return False
        circuit_jobs = [self._circuit(ref) for ref in self.choice.models()]
        return any(job and not self.is_done(job.measurement) for job in circuit_jobs)

    def _jobs(self, ref: str) -> list[TaskJob]:
        """What a model is run for by itself, on its prompts."""
        given, parts = self.task_set(ref), self.choice.parts
        n_layers, n_components = models.shape_of(self.source_of(ref))
        layers = ablation.units(n_layers)[1:]

        def plan(of: Any, units: tuple[str, ...] = ("all",)) -> Measurement:
            return self._plan(ref, of, units)

        jobs: list[TaskJob] = []
        if "estimates" in parts:
            jobs.append(EstimateJob(plan(attribution_patching), given))
        jobs.append(self._ablation(ref))
        if (circuit := self._circuit(ref)) is not None:
            jobs.append(circuit)
        if "patching" in parts:
            n_heads = n_components - n_layers
            n_cells = len(given.roles) * (3 * n_heads + 3 * n_layers)
            jobs.append(PatchingJob(plan(patching, layers), given, n_cells=n_cells))
        if "residual" in parts:
            jobs.append(ResidualJob(plan(residual_attribution), given))
            n_heads = n_components - n_layers
            jobs.append(OvJob(plan(ov_scores), given, n_heads=n_heads))
        if "pictures" in parts:
            job = PictureJob(
                plan(pictures),
                given,
                n_heads=n_components - n_layers,
                is_masked=self.source_of(ref).is_masked,
            )
            jobs.append(job)
        if "probes" in parts and probe_labels(given):
            asked = self._probed(ref)
            of_probes = on_task(
                probes.METHOD, probes.VERSION, self.model_id(ref), asked, layers, **self._machine()
            )
            jobs.append(ProbeJob(of_probes, asked))
        return jobs

    def _plan(self, ref: str, of: Any, units: tuple[str, ...]) -> Measurement:
        given, model_id = self.task_set(ref), self.model_id(ref)
        return on_task(of.METHOD, of.VERSION, model_id, given, units, **self._machine())

    def _ablation(self, ref: str) -> AblationJob:
        n_layers, n_components = models.shape_of(self.source_of(ref))
        plan = self._plan(ref, ablation, ablation.units(n_layers))
        return AblationJob(plan, self.task_set(ref), n_components=n_components)

    def _circuit(self, ref: str) -> CircuitJob | None:
        """None where it is not asked for, and of a task that the model is known not to do."""
        if not {"circuits", "edges"} & set(self.choice.parts):
            return None
        if self._cannot(ref):
            return None
        units = tuple(f"budget-{budget:.2f}" for budget in circuits.BUDGETS)
        plan, n = self._plan(ref, circuits, units), self.n_components(ref)
        return CircuitJob(plan, self.task_set(ref), n_components=n)

    def _cannot(self, ref: str) -> bool:
        """Whether a model is known not to do the task, as its ablations say."""
        if ref not in self._refused and self.is_done(self._ablation(ref).measurement):
            self._refused[ref] = influence.refusal({ref: self._sweep(ref)}) is not None
        return self._refused.get(ref, False)

    def _edge_job(self, ref: str) -> EdgeJob | None:
        """The edges of a model's circuit; None as long as there is no circuit, or none is asked."""
        circuit = self._circuit(ref)
        if "edges" not in self.choice.parts or circuit is None:
            return None
        if not self.is_done(circuit.measurement):
            return None
        given = self.task_set(ref)
        circuit_id = circuit.measurement.measurement_id
        nodes = self.lake.query(
            "select component from circuit_node "
            "where measurement_id = ? and abs(budget - ?) < 1e-9 order by layer, head",
            [circuit_id, circuits.REFERENCE_BUDGET],
        )
        plan = on_task(
            circuit_edges.METHOD,
            circuit_edges.VERSION,
            self.model_id(ref),
            given,
            ("all",),
            options={"inputs": {"circuit": circuit_id}},
            **self._machine(),
        )
        return EdgeJob(plan, given, nodes=tuple(map(Component.parse, nodes["component"])))

    def _probed(self, ref: str) -> TaskSet:
        """More prompts of the same kind: a probe needs several of every class."""
        return self._prompts(ref, max(self.choice.n_prompts, PROBED))

    def _prompts(self, ref: str, n_prompts: int) -> TaskSet:
        """The task's prompts as a model reads them, with a mask to be filled if it is one."""
        source = self.source_of(ref)
        name = tasks.name_for(self.task, is_zoo=source.kind == "zoo")
        return tasks.task_set(
            models.tokenizer_of(source),
            name,
            n_prompts,
            self.choice.seed,
            is_masked=source.is_masked,
        )

    def _noise_plan(self, student: str) -> Measurement | None:
        """Noise in a student; None where it is not asked for, or has nothing to be held against."""
        teacher, given = self.choice.teacher, self.task_set(student)
        if "noise" not in self.choice.parts or given.sha256 != self.task_set(teacher).sha256:
            return None
        if self._cannot(teacher):
            return None
        return replace(
            self._derived(noise.METHOD, noise.VERSION, {TEACHER: teacher, "student": student}, {}),
            units=NOISE_UNITS,
            dtype=self.choice.dtype,
            device_kind=self.device.split(":")[0],
            backend="transformers",
            batch_size=len(given.keys),
        )

    def _machine(self) -> dict[str, Any]:
        return {
            "dtype": self.choice.dtype,
            "device_kind": self.device.split(":")[0],
            "batch_size": self.choice.batch_size,
        }

    def _ablation_id(self, ref: str) -> str:
        return self._ablation(ref).measurement.measurement_id

    def _derived(
        self, method: str, version: int, refs: Mapping[str, str], options: dict[str, object]
    ) -> Measurement:
        given = self.task_set(next(iter(refs.values())))
        inputs = {role: self._ablation_id(ref) for role, ref in refs.items()}
        return Measurement(
            method=method,
            method_version=version,
            models={role: self.model_id(ref) for role, ref in refs.items()},
            prompt_set=given.name,
            prompt_set_sha256=given.sha256,
            dtype="float64",
            backend="numpy",
            options={"inputs": inputs, **options},
            units=("all",),
        )

    def _n_params(self, ref: str) -> int:
        return sources.size_of(ref).n_params

    def _sweep(self, ref: str) -> Sweep:
        """A model's ablations, from the lake."""
        measurement_id = self._ablation_id(ref)
        given = self.task_set(ref)
        found = self.lake.query(
            "select prompt_id, ld_clean from task_prompt where measurement_id = ?",
            [measurement_id],
        )
        clean = dict(found.iter_rows())
        effects = self.lake.query(
            "select component, layer, head, prompt_id, ld_ablated from ablation_effect "
            "where measurement_id = ?",
            [measurement_id],
        )
        places = {key: i for i, key in enumerate(given.keys)}
        components = sorted(
            {Component(layer, head) for layer, head in effects.select("layer", "head").iter_rows()},
            key=lambda c: (c.layer, c.head is None, c.head or 0),
        )
        rows = {component.name: i for i, component in enumerate(components)}
        ablated = np.empty((len(rows), len(places)))
        ablated[
            [rows[name] for name in effects["component"]],
            [places[key] for key in effects["prompt_id"]],
        ] = effects["ld_ablated"].to_numpy()
        return Sweep(
            components=tuple(rows),
            is_head=np.array([component.is_head for component in components]),
            ld_clean=np.array([clean[key] for key in given.keys]),
            ld_ablated=ablated,
        )


@torch.inference_mode()
def _answers(model: CausalLM, task: TaskSet, rows: int) -> tuple[Any, Any]:
    """The likeliest token at each prompt, and the logit of its answer less the foil's."""
    top: list[Any] = []
    gaps: list[Any] = []
    for start in range(0, len(task.clean), rows):
        chunk = slice(start, start + rows)
        batch = model.pad(task.clean[chunk].tolist())
        logits = model.logits(model.states(batch).after_norm[:, task.position])
        top.append(logits.argmax(-1).cpu().numpy())
        index = np.arange(len(logits))
        found = logits.double().cpu().numpy()
        gaps.append(found[index, task.answer[chunk]] - found[index, task.foil[chunk]])
    return np.concatenate(top), np.concatenate(gaps)
