"""One run of distilled circuits: models run for what is missing, and what follows from it."""

from typing import Any

from flows import ledger
from flows.circuit_plans import CONTROL, TEACHER, CircuitChoice, CircuitPlans
from measure import (
    alignment,
    brittleness,
    influence,
    lineage,
    models,
    noise,
    pictures,
    ranking,
    similarity,
    sources,
)
from measure.circuit_jobs import (
    NoiseJob,
    looked_at,
)
from measure.circuit_records import NoisePoint
from measure.circuit_verdicts import BASELINE
from measure.influence import Sweep
from measure.records import Record
from measure.request import Measurement
from measure.tasks import TaskSet
from warehouse.lake import Lake


class CircuitRun(CircuitPlans):
    """The state of one run on one task: models are run, then concluded from."""

    def __init__(self, lake: Lake, choice: CircuitChoice, device: str, task: str) -> None:
        super().__init__(lake, choice, device, task)
        self._looked: dict[str, tuple[Any, Any]] = {}
        self._aligned_of: dict[tuple[str, str], alignment.Aligned] = {}

    def complete(self) -> None:
        """All of it in this process, the first failure raised."""
        for ref in self.choice.models():
            self.ablate(ref)
        self.conclude()

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


def _has_bos(source: sources.Source, task: TaskSet) -> bool:
    """Whether the tokenizer puts a token of its own before every text."""
    tokenizer = models.tokenizer_of(source)
    bos = tokenizer.cls_token_id if source.is_masked else tokenizer.bos_token_id
    return isinstance(bos, int) and bool((task.clean[:, 0] == bos).all())
