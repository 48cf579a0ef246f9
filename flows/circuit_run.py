"""One run of distilled circuits: what is at hand, how to make the rest, and what follows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from flows import ledger
from flows.runner import Runner
from measure import (
    ablation,
    alignment,
    attribution_patching,
    brittleness,
    circuit_edges,
    circuits,
    influence,
    lineage,
    models,
    noise,
    ov_scores,
    patching,
    pictures,
    probes,
    ranking,
    residual_attribution,
    similarity,
    sources,
    tasks,
)
from measure.circuit_jobs import (
    NOISE_UNITS,
    AblationJob,
    CircuitJob,
    EdgeJob,
    EstimateJob,
    NoiseJob,
    OvJob,
    PatchingJob,
    PictureJob,
    ProbeJob,
    ResidualJob,
    TaskJob,
    looked_at,
    on_task,
    probe_labels,
)
from measure.circuit_records import NoisePoint
from measure.circuit_verdicts import BASELINE
from measure.components import Component
from measure.errors import BadInput
from measure.influence import Sweep
from measure.models import CausalLM
from measure.records import Record
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


class CircuitRun(Runner):
    """The state of one run on one task."""

    takes_masked = True

    def __init__(self, lake: Lake, choice: CircuitChoice, device: str, task: str) -> None:
        super().__init__(lake, device, choice.dtype, "prompt")
        self.choice = choice
        self.task = task
        self._sets: dict[str, TaskSet] = {}
        self._refused: dict[str, bool] = {}  # whether a model cannot do the task, once ablated
        self._looked: dict[str, tuple[Any, Any]] = {}
        self._aligned_of: dict[tuple[str, str], alignment.Aligned] = {}
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

    def complete(self) -> None:
        """All of it in this process, the first failure raised."""
        for ref in self.choice.models():
            self.ablate(ref)
        self.conclude()

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

    def conclude(self) -> None:
        """What the ablations say of each model, then of each student beside its teacher."""
        at_hand = [ref for ref in self.choice.models() if ref not in self.failures]
        for ref in at_hand:
            self._effects(ref)
        for student in self.choice.students:
            if student in at_hand and self.choice.teacher in at_hand:
                self._align(student)
                self._picture(student)
                self._disturb(student)
        self._rank([s for s in self.choice.students if s in at_hand])

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

    def _disturb(self, student: str) -> None:
        plan = self._noise_plan(student)
        if plan is None:
            return
        teacher, given = self.choice.teacher, self.task_set(student)
        refs = {TEACHER: teacher, "student": student}
        theirs = self._sweep(teacher)
        if not self.is_done(plan):
            job = NoiseJob(
                plan,
                given,
                teacher=noise.Observed(theirs, *self._looked_at(teacher)),
                has_bos=_has_bos(self.source_of(teacher), given),
                why_other_basis=self._why_other_basis(student),
                n_components=self.n_components(student),
            )
            self.run(student, [job])
        response = self._derived(
            "noise_response", noise.VERSION, refs, {"curve": plan.measurement_id}
        )

        def make() -> list[Record]:
            rows = self.lake.query(
                "select * exclude (measurement_id) from noise_point where measurement_id = ?",
                [plan.measurement_id],
            )
            points = [NoisePoint(**row) for row in rows.iter_rows(named=True)]
            scales = sorted({point.scale for point in points})
            return [
                noise.noise_verdict([point for point in points if point.scale == scale])
                for scale in scales
            ]

        ledger.measure_at_once(self.lake, response, make, ref=student)

    def _rank(self, students: list[str]) -> None:
        """Several students by alignment, among those that are as often right."""
        teacher = self.choice.teacher
        alike = [s for s in students if self.task_set(s).sha256 == self.task_set(teacher).sha256]
        if len(alike) < 2 or teacher in self.failures:
            return
        roles = {f"student-{i}" if i > 1 else "student": s for i, s in enumerate(alike, 1)}
        plan = self._derived("ranking", ranking.VERSION, {TEACHER: teacher, **roles}, {})

        def make() -> list[Record]:
            return list(ranking.rank_students([self._ranked(r, s) for r, s in roles.items()]))

        ledger.measure_at_once(self.lake, plan, make, ref=teacher)

    def _ranked(self, role: str, student: str) -> ranking.Student:
        sweep = self._sweep(student)
        found = self._alignment(student, self._sweep(self.choice.teacher), sweep, "ours")
        (row,) = [r for r in found.rows if (r.normalisation, r.matching) == BASELINE]
        return ranking.Student(
            name=role,
            is_right=sweep.ld_clean > 0,
            alignment=row.alignment,
            draws=found.draws.get(BASELINE),
            mlp_method=row.mlp_method,
            reason=row.reason,
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

    def _effects(self, ref: str) -> None:
        plan = self._derived("component", influence.VERSION, {"model": ref}, {})

        def make() -> list[Record]:
            sweep = self._sweep(ref)
            return [
                influence.task_baseline(sweep.ld_clean),
                *influence.component_effects(sweep),
                brittleness.brittleness(sweep),
            ]

        ledger.measure_at_once(self.lake, plan, make, ref=ref)

    def _alignment_plan(self, student: str) -> Measurement:
        refs = {TEACHER: self.choice.teacher, "student": student}
        if self.choice.control is not None and self.choice.control not in self.failures:
            refs[CONTROL] = self.choice.control
        return self._derived("alignment", alignment.VERSION, refs, {})

    def _align(self, student: str) -> None:
        plan = self._alignment_plan(student)
        if not self.is_done(plan):
            ledger.measure_at_once(self.lake, plan, lambda: self._aligned(student), ref=student)

    def _aligned(self, student: str) -> list[Record]:
        teacher = self.choice.teacher
        theirs, ours = self._sweep(teacher), self._sweep(student)
        records: list[Record] = []
        for mode in ("ours", "paper_code"):
            found = self._alignment(student, theirs, ours, mode)
            records += [*found.rows, *found.matches]
        shrunk = brittleness.compression(self._n_params(teacher), self._n_params(student))
        for paper_mode in (False, True):
            records.append(
                brittleness.brittleness_difference(
                    theirs, ours, against="teacher", compression=shrunk, paper_mode=paper_mode
                )
            )
        control = self.choice.control
        if control is not None and control not in self.failures:
            records.append(
                brittleness.brittleness_difference(
                    self._sweep(control), ours, against="size-matched control", compression=None
                )
            )
        return records

    def _alignment(
        self, student: str, theirs: Sweep, ours: Sweep, mode: similarity.Mode
    ) -> alignment.Aligned:
        if (student, mode) not in self._aligned_of:
            self._aligned_of[student, mode] = self._align_modes(student, theirs, ours, mode)
        return self._aligned_of[student, mode]

    def _align_modes(
        self, student: str, theirs: Sweep, ours: Sweep, mode: similarity.Mode
    ) -> alignment.Aligned:
        teacher = self.choice.teacher
        asked = self.task_set(teacher)
        if asked.sha256 != self.task_set(student).sha256:
            reason = "the tokenizers differ: patterns of other tokens cannot be held side by side"
            return alignment.not_aligned(theirs, ours, mode, reason)
        refused = influence.refusal({TEACHER: theirs, "student": ours})
        if refused is not None:
            return alignment.not_aligned(theirs, ours, mode, refused)
        widths = [self._looked_at(ref)[1].shape[-1] for ref in (teacher, student)]
        if mode == "paper_code" and widths[0] != widths[1]:
            reason = f"the public code needs one width, these have {widths[0]} and {widths[1]}"
            return alignment.not_aligned(theirs, ours, mode, reason)
        return alignment.align(theirs, ours, self._alike(student, mode))

    def _alike(self, student: str, mode: similarity.Mode) -> similarity.Similarity:
        teacher = self.choice.teacher
        (patterns_t, outputs_t), (patterns_s, outputs_s) = (
            self._looked_at(ref) for ref in (teacher, student)
        )
        return similarity.similarity(
            (patterns_t, patterns_s),
            (outputs_t, outputs_s),
            has_bos=_has_bos(self.source_of(teacher), self.task_set(teacher)),
            why_other_basis=self._why_other_basis(student),
            mode=mode,
        )

    def _picture(self, student: str) -> None:
        """MLPs side by side, where they are asked for and both models read the same tokens."""
        teacher, given = self.choice.teacher, self.task_set(student)
        if "pictures" not in self.choice.parts or given.sha256 != self.task_set(teacher).sha256:
            return
        refs = {TEACHER: teacher, "student": student}
        plan = self._derived(pictures.PAIR_METHOD, pictures.VERSION, refs, {})

        def make() -> list[Record]:
            alike = self._alike(student, "ours")
            outputs = self._looked_at(teacher)[1], self._looked_at(student)[1]
            tokenizer = models.tokenizer_of(self.source_of(teacher))
            texts = [[str(tokenizer.decode([i])) for i in ids] for ids in given.clean.tolist()]
            clouds = pictures.mlp_clouds(alike, outputs, given.keys, texts)
            return [*pictures.mlp_map(alike), *clouds]

        if not self.is_done(plan):
            ledger.measure_at_once(self.lake, plan, make, ref=student)

    def _looked_at(self, ref: str) -> tuple[Any, Any]:
        if ref not in self._looked:
            model = self.model(ref)
            self._looked[ref] = looked_at(model, self.task_set(ref), self.choice.batch_size)
        return self._looked[ref]

    def _why_other_basis(self, student: str) -> str | None:
        """Why MLP outputs do not lie in one basis: by the weights, not by anybody's word."""
        ours, theirs = (self.source_of(ref) for ref in (student, self.choice.teacher))
        found = lineage.measure_pair(ours, theirs, iter)[0]
        label = getattr(found, "lineage_label", "NOT COMPARABLE")
        if label in ("SAME LINEAGE", "PARTIAL"):
            return None
        return f"the student's weights were not the teacher's before ({label})"

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


def _has_bos(source: sources.Source, task: TaskSet) -> bool:
    """Whether the tokenizer puts a token of its own before every text."""
    tokenizer = models.tokenizer_of(source)
    bos = tokenizer.cls_token_id if source.is_masked else tokenizer.bos_token_id
    return isinstance(bos, int) and bool((task.clean[:, 0] == bos).all())
