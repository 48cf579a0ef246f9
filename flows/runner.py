"""Models in memory, one at a time, and the jobs they are run for; nothing is done twice."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

from tqdm import tqdm

from flows import ledger
from flows.targets import organism
from measure import models, run, sources
from measure.models import CausalLM
from measure.request import Measurement
from warehouse.lake import Lake


class Runner:
    """Runs jobs of models and commits them. Not a dataclass: Prefect walks through those."""

    def __init__(self, lake: Lake, device: str, dtype: str, unit: str) -> None:
        self.lake = lake
        self.device = device
        self.dtype = dtype
        self.unit = unit  # what the progress bar counts
        self.n_new_units = 0
        self._ids: dict[str, str] = {}
        self._loaded: tuple[str, CausalLM] | None = None

    def model_id(self, ref: str) -> str:
        """The id of a model, resolved once; a hub model is not downloaded for it."""
        if ref not in self._ids:
            self._ids[ref] = sources.model_id_of(ref)
        return self._ids[ref]

    def model(self, ref: str) -> CausalLM:
        """A model in memory, known to the lake; the one before it is let go of."""
        if self._loaded is None or self._loaded[0] != ref:
            self._loaded = None
            source = sources.find(ref)
            model = models.load(source, device=self.device, dtype=self.dtype)
            self._loaded = (ref, model)
            self.lake.add_models([asdict(model.card)])
            if source.kind == "zoo":
                self.lake.add_organisms([organism(ref, self.model_id)])
        return self._loaded[1]

    def is_done(self, measurement: Measurement) -> bool:
        """Whether all of it is in the lake."""
        return self.lake.is_complete(measurement.measurement_id)

    def run(self, ref: str, jobs: Sequence[run.Job]) -> None:
        """Run what of these jobs is missing, unit by unit, under one bar."""
        pending = [job for job in jobs if not self.is_done(job.measurement)]
        if not pending:
            return
        model = self.model(ref)
        with tqdm(
            total=sum(job.n_passes for job in pending),
            desc=f"{model.card.label[:28]:28s}",
            unit=self.unit,
            disable=None,
        ) as bar:
            tell: Callable[[int], None] = lambda n: ledger.advance(bar, n)  # noqa: E731
            for job in pending:
                done = len(self.lake.units_done(job.measurement.measurement_id))
                n_units = max(1, len(job.measurement.units))
                bar.update(job.n_passes * done // n_units)
                ledger.measure_job(
                    self.lake, model, job, ref=ref, device=self.device, progress=tell
                )
                self.n_new_units += len(job.measurement.units) - done
