"""Plans of a crosscoder and of what its latents do, and the training in units that resume.

A unit of training is a stretch of steps. It begins at a checkpoint and writes the next one before
it is committed: whatever is lost is done again from a checkpoint that stands, and ends with the
same numbers (on a CPU to the last bit; on a GPU as far as its own products repeat).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from measure import feature_ablation, parallelogram, steering
from measure.activations import Activations
from measure.crosscoder import Crosscoder
from measure.crosscoder_records import CrosscoderStep
from measure.crosscoder_training import Settings, Trainer, train_steps
from measure.errors import BadInput
from measure.harvest import Asked
from measure.problems import ProblemSet
from measure.prompts import Progress
from measure.request import Measurement, sha256_of
from measure.rollouts import Sampling

METHOD = "crosscoder"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
N_STRETCHES = 20
N_TOLD = 200  # steps whose figures are kept
DESCRIBE = "latents"


def plan(
    asked: Asked, settings: Settings, n_contexts: int, device_kind: str, batch_size: int
) -> Measurement:
    """A crosscoder over a base and its distilled derivative."""
    harvested = {name: getattr(asked, name) for name in ("layer", "n_tokens", "max_length")}
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models={"base": asked.base_id, "distilled": asked.distilled_id},
        prompt_set=asked.text,
        prompt_set_sha256=asked.text_sha256,
        seeds=(settings.seed,),
        dtype=asked.dtype,
        device_kind=device_kind,
        options={**harvested, "settings": asdict(settings), "n_contexts": n_contexts},
        units=(*stretches(settings.n_steps), DESCRIBE),
        batch_size=batch_size,
    )


def stretches(n_steps: int) -> tuple[str, ...]:
    """Names of the units of training, by first and last step."""
    n = min(N_STRETCHES, n_steps)
    edges = [i * n_steps // n for i in range(n + 1)]
    return tuple(
        f"steps-{first:07d}-{end - 1:07d}" for first, end in zip(edges, edges[1:], strict=False)
    )


def steps_of(unit: str) -> tuple[int, int]:
    """First step of a unit of training, and the one after its last."""
    first, last = unit.removeprefix("steps-").split("-")
    return int(first), int(last) + 1


class Training:
    """A crosscoder in training, with its checkpoints in a folder."""

    def __init__(
        self, activations: Activations, settings: Settings, folder: Path, device: str
    ) -> None:
        self._activations = activations
        self._settings = settings
        self._folder = folder
        self._trainer = Trainer(activations.d_model, settings, activations.scales, device)

    def can_start(self, unit: str) -> bool:
        """Whether a stretch's checkpoint stands."""
        first, _ = steps_of(unit)
        return first in (0, self._trainer.step) or checkpoint(self._folder, first).is_file()

    def records(self, unit: str, progress: Progress) -> list[CrosscoderStep]:
        """Train one stretch and keep its end; checkpoints before its beginning are removed."""
        first, end = steps_of(unit)
        if self._trainer.step != first:
            self._trainer.load(checkpoint(self._folder, first))
        found = list(self._steps(end, progress))
        self._trainer.save(checkpoint(self._folder, end))
        for path in self._folder.glob("step-*.safetensors"):
            if path not in (checkpoint(self._folder, first), checkpoint(self._folder, end)):
                path.unlink()
        return found

    def _steps(self, end: int, progress: Progress) -> Iterator[CrosscoderStep]:
        settings, done = self._settings, self._trainer.step
        batches = self._activations.batches(settings.batch_size, settings.seed, done)
        told_every = max(1, settings.n_steps // N_TOLD)
        for step, figures in train_steps(self._trainer, batches, end, told_every):
            progress(step + 1 - done)
            done = step + 1
            yield CrosscoderStep(
                step=step,
                n_tokens=(step + 1) * settings.batch_size,
                loss=figures.loss,
                sparsity_loss=figures.sparsity_loss,
                fvu_base=figures.fvu[0],
                fvu_distilled=figures.fvu[1],
                l0=figures.l0,
                dead_share=figures.dead_share,
                threshold=figures.threshold,
                rate=figures.rate,
                gradient_norm=figures.gradient_norm,
            )


def checkpoint(folder: Path, step: int) -> Path:
    """Where training stands before a step."""
    return folder / f"step-{step:07d}.safetensors"


def trained(folder: Path, d_model: int, settings: Settings, device: str = "cpu") -> Crosscoder:
    """The crosscoder after its last step.

    Raises:
        BadInput: its checkpoint is not on this machine.
    """
    path = checkpoint(folder, settings.n_steps)
    if not path.is_file():
        raise BadInput(
            f"the crosscoder was trained, but its checkpoint {str(path)!r} is gone: bring it back, "
            "or train another with `--seed`"
        )
    # The scales are part of what is loaded.
    trainer = Trainer(d_model, settings, Crosscoder(1, 1).scales, device)
    trainer.load(path)
    return trainer.crosscoder.eval()


# --- what its latents do ------------------------------------------------------------------------


def plan_ablation(
    coder: Measurement, *, n_texts: int, n_pairs: int, n_draws: int, batch_size: int
) -> Measurement:
    """Latents taken out of both models."""
    options = {"n_texts": n_texts, "n_pairs": n_pairs, "n_draws": n_draws}
    return _of(coder, feature_ablation.METHOD, feature_ablation.VERSION, options, batch_size)


def plan_steering(
    coder: Measurement, asked: ProblemSet, sampling: Sampling, directions: tuple[str, ...],
    batch_size: int,
) -> Measurement:  # fmt: skip
    """Latents added to the distilled model; one unit a direction."""
    found = _of(coder, steering.METHOD, steering.VERSION, sampling.options(), batch_size)
    return replace(
        found,
        prompt_set=asked.name,
        prompt_set_sha256=asked.sha256,
        seeds=(sampling.seed,),
        units=directions,
    )


def plan_geometry(
    models: Mapping[str, str], layer: int, relations: list[parallelogram.Relation], dtype: str,
    device_kind: str, batch_size: int,
) -> Measurement:  # fmt: skip
    """Parallelograms of word pairs in both models; it needs no crosscoder."""
    return Measurement(
        method=parallelogram.METHOD,
        method_version=parallelogram.VERSION,
        models=models,
        prompt_set="word pairs",
        prompt_set_sha256=sha256_of([[one.name, one.pairs] for one in relations]),
        dtype=dtype,
        device_kind=device_kind,
        options={"layer": layer, "n_axes": list(parallelogram.N_AXES)},
        units=tuple(one.name for one in relations),
        batch_size=batch_size,
    )


def _of(
    coder: Measurement, method: str, version: int, options: Mapping[str, object], batch_size: int
) -> Measurement:
    inputs = {"crosscoder": coder.measurement_id}
    return replace(
        coder,
        method=method,
        method_version=version,
        options={"layer": coder.options["layer"], "inputs": inputs, **options},
        units=("all",),
        batch_size=batch_size,
    )
