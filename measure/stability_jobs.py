"""The measurements of burden and region that run a model, as jobs."""

from collections.abc import Mapping
from dataclasses import dataclass

from measure import retune, step_burdens
from measure.burden import Limits, Region
from measure.models import CausalLM
from measure.prompts import Progress
from measure.records import Record
from measure.retune import TextSet
from measure.rollouts import Sampling
from measure.run import Job
from measure.sentence_scores import Texts
from measure.variants import Variant, VariantSet


@dataclass(frozen=True, slots=True)
class LimitsJob(Job):
    """One that fits a model's region and limits on its rollouts on the calibration problems."""

    texts: Texts

    @property
    def n_passes(self) -> int:
        """Rollouts, of which the right ones are read."""
        return len(self.texts.rollouts)

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """Fit both; there is one unit."""
        batch_size = self.measurement.batch_size
        return list(step_burdens.calibrate(model, self.texts, batch_size, progress))


@dataclass(frozen=True, slots=True)
class BurdenJob(Job):
    """One that reads a model's rollouts on the tested problems."""

    texts: Texts
    asked: Mapping[str, Variant]
    region: Region | None  # the model's own
    limits: Limits  # the teacher's

    @property
    def n_passes(self) -> int:
        """Rollouts to read."""
        return len(self.texts.rollouts)

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """Read one unit."""
        given = (model, self.texts, unit, self.asked, self.region, self.limits)
        return list(step_burdens.measure_unit(*given, self.measurement.batch_size, progress))


@dataclass(frozen=True, slots=True)
class RetuneJob(Job):
    """One that fine-tunes a copy of a model and reads its answers to the clean tested problems."""

    texts: TextSet
    asked: VariantSet
    sampling: Sampling
    region: Region | None  # the model's own
    limits: Limits  # the teacher's

    @property
    def n_passes(self) -> int:
        """Rollouts to sample."""
        return len(self.asked.tested_clean.problems) * self.sampling.n_samples

    def records(self, model: CausalLM, unit: str, progress: Progress) -> list[Record]:
        """Tune, sample and read; there is one unit."""
        given = (model, self.texts, self.asked, self.sampling, self.region, self.limits)
        return list(retune.measure(*given, self.measurement.batch_size, progress))
