"""What every run of models does: one model in memory, its jobs, progress, failures."""

from collections.abc import Sequence
from dataclasses import asdict

from tqdm import tqdm

from flows import ledger
from flows.targets import organism
from measure import backends, run, sources
from measure.backends import TRANSFORMERS, Backend
from measure.models import CausalLM
from measure.prompts import advance
from measure.records import Rollout
from measure.request import Measurement
from measure.text_model import TextModel
from warehouse.lake import Lake


class Runner:
    """The state of one run. Not a dataclass: Prefect walks through those given to a task."""

    takes_masked = False  # whether masked language models can be asked as well

    def __init__(
        self,
        lake: Lake,
        device: str,
        dtype: str,
        unit: str = "rollout",
        *,
        backend: Backend = TRANSFORMERS,
        batch_size: int = 1,
    ) -> None:
        self.lake = lake
        self.device = device
        self.failures: dict[str, str] = {}  # reference -> why nothing can be said of it
        self.n_new_units = 0
        self._dtype = dtype
        self._unit = unit  # what the bar counts
        self._backend = backend
        self._batch_size = batch_size
        self._ids: dict[str, str] = {}
        self._loaded: tuple[str, TextModel] | None = None

    def model_id(self, ref: str) -> str:
        """The id of a model, resolved once; a hub model is not downloaded for it."""
        if ref not in self._ids:
            self._ids[ref] = sources.model_id_of(ref, may_be_masked=self.takes_masked)
        return self._ids[ref]

    def source_of(self, ref: str) -> sources.Source:
        """The checked source of a model."""
        return sources.find(ref, may_be_masked=self.takes_masked)

    def model(self, ref: str) -> CausalLM:
        """A model in memory whose states can be read, as `text_model` gives it."""
        return backends.with_hooks(self.text_model(ref), "this command")

    def text_model(self, ref: str) -> TextModel:
        """A model in memory, known to the lake; the one before it is let go of."""
        if self._loaded is None or self._loaded[0] != ref:
            self._loaded = None
            source = self.source_of(ref)
            model = self._backend.load(
                source, device=self.device, dtype=self._dtype, batch_size=self._batch_size
            )
            self._loaded = (ref, model)
            self.lake.add_models([asdict(model.card)])
            if source.kind == "zoo":
                self.lake.add_organisms([organism(ref, self.model_id)])
        return self._loaded[1]

    def note(self, ref: str, error: BaseException | None) -> None:
        """Keep why a model could not be measured."""
        if error is not None:
            self.failures.setdefault(ref, ledger.outcome_of(error)[1])

    def at_hand(self, refs: Sequence[str]) -> list[str]:
        """Those of which nothing failed."""
        return [ref for ref in refs if ref not in self.failures]

    def is_done(self, measurement: Measurement) -> bool:
        """Whether all its units are in the lake."""
        return self.lake.is_complete(measurement.measurement_id)

    def rollouts(self, measurement_id: str) -> tuple[Rollout, ...]:
        """The rollouts of a complete measurement, by problem and sample."""
        found = self.lake.query(
            "select * exclude (measurement_id) from rollout where measurement_id = ? "
            "order by problem_id, sample",
            [measurement_id],
        )
        return tuple(Rollout(**row) for row in found.iter_rows(named=True))

    def run(self, ref: str, jobs: Sequence[run.Job], what: str = "") -> None:
        """Measure what is missing of these jobs; `what` names them beside the bar."""
        pending = [job for job in jobs if not self.is_done(job.measurement)]
        if not pending:
            return
        model = self.text_model(ref)
        with tqdm(
            total=sum(job.n_passes for job in pending),
            desc=f"{model.card.label[:20]:20s} {what:10s}",
            unit=self._unit,
            disable=None,
        ) as bar:
            for job in pending:
                done = len(self.lake.units_done(job.measurement.measurement_id))
                n_units = max(1, len(job.measurement.units))
                bar.update(job.n_passes * done // n_units)
                ledger.measure_job(
                    self.lake,
                    model,
                    job,
                    ref=ref,
                    device=self.device,
                    progress=lambda n: advance(bar, n),
                )
                self.n_new_units += len(job.measurement.units) - done
