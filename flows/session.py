"""One run over some targets: which models are at hand, what they still lack, what went wrong."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from tqdm import tqdm

from flows import ledger
from flows.targets import Target, bases_read_by, in_order, organism
from measure import lineage, models, run, sources, stiffness
from measure.errors import BadInput
from measure.prompts import advance
from measure.records import Mode
from measure.request import Measurement
from measure.sources import Source
from measure.tensors import Part
from measure.text_model import TextModel
from warehouse.lake import Lake


class Session:
    """The state of one run. Not a dataclass: Prefect walks through those given to a task."""

    def __init__(
        self, lake: Lake, targets: Sequence[Target], settings: run.Settings, device: str
    ) -> None:
        self.lake = lake
        self.targets = targets
        self.settings = settings
        self.device = device
        self.failures: dict[str, str] = {}  # reference -> why it could not be measured
        self.n_new_units = 0
        self._ids: dict[str, str] = {}
        self._sources: dict[str, Source] = {}
        self._base_texts: dict[str, dict[str, str]] = {}
        self._loaded: tuple[str, TextModel] | None = None
        self._begun: set[str] = set()  # references of which an attempt says how it ended

    def model_id(self, ref: str) -> str:
        """The id of a model, resolved once; a hub model is not downloaded for it."""
        if ref not in self._ids:
            self._ids[ref] = sources.model_id_of(ref)
        return self._ids[ref]

    def source(self, ref: str) -> Source:
        """The checked files of a model, looked up once."""
        if ref not in self._sources:
            self._sources[ref] = sources.find(ref)
            self._ids[ref] = self._sources[ref].model_id
        return self._sources[ref]

    def measure(self, ref: str) -> str:
        """Measure what is missing of a model; its id. A failure is recorded, then raised."""
        try:
            source = self.source(ref)
            self._check_against_bases(ref)
        except Exception as error:
            self._fail(ref, error)
            raise
        try:
            self._measure_jobs(ref, source)
            self._measure_stiffness(ref, source)
        except Exception as error:
            self._fail(ref, error, is_recorded=ref in self._begun)
            raise
        return source.model_id

    def is_complete(self) -> bool:
        """Whether nothing of any target needs a model's weights; one in error is not complete."""
        order = in_order(self.targets)
        try:
            # Files are looked at last: until then nothing is downloaded.
            if any(self.pending(ref) for ref in order):
                return False
            if not all(self._is_done(plan) for plan in self._plans_of_files()):
                return False
            for ref in order:
                self._check_against_bases(ref)
        except (BadInput, ConnectionError):
            return False
        return True

    def n_measurements(self) -> int:
        """Measurements that the targets ask of models and their files, distances left out."""
        n_jobs = sum(len(self._jobs(ref)) for ref in in_order(self.targets))
        return n_jobs + len({plan.measurement_id for plan in self._plans_of_files()})

    def pending(self, ref: str) -> list[run.PromptJob]:
        """What a model can be run for now and is not complete in the lake."""
        return [job for job in self._jobs(ref) if not self._is_complete(job)]

    def measure_distances(self, target: Target) -> int:
        """Declare a target's comparisons, compute its distances and lineage; how many were new."""
        if target.model in self.failures or target.model == target.base:
            return 0
        derivative_id = self.model_id(target.model)
        others = {r: ref for r, ref in target.others().items() if ref not in self.failures}
        self.lake.add_comparisons(
            {
                "derivative_id": derivative_id,
                "role": role,
                "model_id": self.model_id(ref),
                "declared_by": "zoo" if target.model.startswith(sources.ZOO_PREFIX) else "cli",
            }
            for role, ref in others.items()
            if self.model_id(ref) != derivative_id
        )
        groups = ledger.groups({"derivative": target.model, **others})
        return sum(self._distances_of(group) for group in groups) + self._measure_lineage(target)

    def _measure_lineage(self, target: Target) -> bool:
        """Compare the weights of a target and its base; False if that is known, or has no base."""
        plan = self._lineage(target)
        if target.base is None or target.base in self.failures or plan is None:
            return False
        if self._is_done(plan):  # asked before files are, which may have to be downloaded
            return False
        derivative, base = self.source(target.model), self.source(target.base)

        def watched(parts: Sequence[Part]) -> Iterator[Part]:
            name = f"{derivative.label} and base"
            yield from tqdm(parts, desc=f"{name[:28]:28s}", unit="weight", disable=None)

        return ledger.measure_at_once(
            self.lake,
            plan,
            lambda: lineage.measure_pair(derivative, base, watched),
            ref=target.model,
        )

    def _lineage(self, target: Target) -> Measurement | None:
        if target.base is None or self.model_id(target.model) == self.model_id(target.base):
            return None
        return lineage.plan(self.model_id(target.model), self.model_id(target.base))

    def _plans_of_files(self) -> Iterator[Measurement]:
        """What the targets ask that reads weights and runs no model."""
        for ref in in_order(self.targets):
            yield stiffness.plan(self.model_id(ref))
        for target in self.targets:
            if (plan := self._lineage(target)) is not None:
                yield plan

    def _distances_of(self, group: dict[str, str]) -> int:
        base = group["base"]
        ids = {role: self.model_id(ref) for role, ref in group.items()}
        modes: tuple[Mode, Mode] = ("free", "forced")
        n_new = 0
        for mode in modes:
            jobs = {role: self._template_job(ref, base, mode) for role, ref in group.items()}
            if not all(self._is_complete(job) for job in jobs.values()):
                continue
            inputs = {role: job.measurement.measurement_id for role, job in jobs.items()}
            n_new += ledger.measure_distances(
                self.lake,
                ids,
                inputs,
                (self.settings.canonical.name, self.settings.canonical.sha256),
                mode,
                ref=next(ref for role, ref in group.items() if role != "base"),
                fit=self.settings.ppp_fit,
            )
        return n_new

    def _template_job(self, ref: str, base: str, mode: Mode) -> run.PromptJob:
        texts = None if mode == "free" else self._texts(base) or {}
        return run.template_job(self.model_id(ref), self.settings, texts)

    def _jobs(self, ref: str) -> list[run.PromptJob]:
        """All that can be asked of a model now: its own, and forced on its bases' texts."""
        model_id = self.model_id(ref)
        jobs = run.own_jobs(model_id, self.settings)
        for base in bases_read_by(ref, self.targets):
            if base not in self.failures and (texts := self._texts(base)) is not None:
                jobs.append(run.template_job(model_id, self.settings, texts))
        return jobs

    def _texts(self, base: str) -> dict[str, str] | None:
        """A base's greedy texts, once they are all in the lake; they do not change then."""
        if base not in self._base_texts:
            free = run.template_job(self.model_id(base), self.settings)
            if not self._is_complete(free):
                return None
            self._base_texts[base] = ledger.texts(self.lake, free.measurement.measurement_id)
        return self._base_texts[base]

    def _measure_jobs(self, ref: str, source: Source) -> None:
        seen: set[str] = set()
        while pending := [j for j in self.pending(ref) if j.measurement.measurement_id not in seen]:
            # A base's own free text, once there, brings a forced job of its own: look again.
            model = self._load(ref, source)
            self._begun.add(ref)
            self.lake.add_models([asdict(model.card)])
            if source.kind == "zoo":
                self.lake.add_organisms([organism(ref, self.model_id)])
            with tqdm(
                total=sum(job.n_passes for job in pending),
                desc=f"{source.label[:28]:28s}",
                unit="prompt",
                disable=None,
            ) as bar:
                for job in pending:
                    seen.add(job.measurement.measurement_id)
                    before = len(self.lake.units_done(job.measurement.measurement_id))
                    bar.update(job.n_passes * before // len(job.measurement.units))
                    ledger.measure_job(
                        self.lake,
                        model,
                        job,
                        ref=ref,
                        device=self.device,
                        progress=lambda n: advance(bar, n),
                    )
                    self.n_new_units += len(job.measurement.units) - before

    def _measure_stiffness(self, ref: str, source: Source) -> None:
        plan = stiffness.plan(source.model_id)
        if not self._is_done(plan):
            self._begun.add(ref)
            self.n_new_units += ledger.measure_at_once(
                self.lake, plan, lambda: [stiffness.measure(source)], ref=ref
            )

    def _load(self, ref: str, source: Source) -> TextModel:
        if self._loaded is None or self._loaded[0] != ref:
            self._loaded = None  # let go of one model before taking the next
            model = self.settings.backend.load(
                source,
                device=self.device,
                dtype=self.settings.dtype,
                batch_size=self.settings.batch_size,
            )
            self._loaded = (ref, model)
        return self._loaded[1]

    def _is_complete(self, job: run.PromptJob) -> bool:
        return self._is_done(job.measurement)

    def _is_done(self, measurement: Measurement) -> bool:
        return self.lake.is_complete(measurement.measurement_id)

    def _check_against_bases(self, ref: str) -> None:
        for target in self.targets:
            if target.model == ref and target.base is not None and target.base != ref:
                try:
                    base = self.source(target.base)
                except BadInput:
                    continue  # the base fails by itself, with its own reason
                texts = [prompt.text for prompt in self.settings.bank.prompts]
                models.refuse_unlike_base(self.source(ref), base, texts)

    def note(self, ref: str, error: BaseException | None) -> None:
        """Keep why a model could not be measured, if nothing has said so yet."""
        if error is not None:
            self.failures.setdefault(ref, ledger.outcome_of(error)[1])

    def _fail(self, ref: str, error: BaseException, *, is_recorded: bool = False) -> None:
        if not isinstance(error, ConnectionError | TimeoutError):  # those are tried again
            self.note(ref, error)
        if not is_recorded:
            ledger.record_failure(self.lake, ref, self.device, error)
