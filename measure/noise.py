"""Whether alignment falls when a student is disturbed: a metric that does not can show nothing.

Noise N(0, sigma^2) is added to every head's output z and every MLP's output of the student; then
its influences, its similarities to the teacher and A (`measure/matching.py`, influences over the
largest, greedy) are taken anew, for sigma = 0, 0.05, ... 2 and 5 seeds (methods 4.12).

    A responds if Spearman(sigma, A) < -0.9 and A(0) - A(2) > 0.1, A a mean over seeds

There is one draw a seed, of a forward pass over all prompts; the ablated runs, which start from
it, and the corrupted one have the same, so that an effect is no difference of two draws, and it is
multiplied by each sigma. Absolute sigmas mean nothing across models: the relative scale multiplies
them with the component's root mean square. A is taken where noise has destroyed the task as well,
as the paper does; such points say so, and the verdict tells what is left without them.

Source: Haskins & Adams 2026, arXiv 2505.10822, which does not say where it adds noise: that, the
draws and the relative scale are OUR DEFINITION.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from measure import ablation
from measure.circuit_records import NoisePoint, NoiseVerdict
from measure.circuit_verdicts import spearman
from measure.components import Blocks
from measure.hooks import Edit, input_edited, output_edited
from measure.influence import Sweep, or_none, task_baseline
from measure.matching import (
    delta_influence,
    expected_null,
    influence_gaps,
    matched_components,
    score,
)
from measure.models import CausalLM
from measure.prompts import Progress
from measure.similarity import similarity
from measure.tasks import TaskSet

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float, Int
    from numpy.typing import NDArray

METHOD = "noise"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
SIGMAS = tuple(step / 20 for step in range(41))
SEEDS = (0, 1, 2, 3, 4)
MIN_FALL = 0.1
MAX_SPEARMAN = -0.9

Scale = Literal["absolute", "relative"]


@dataclass(frozen=True, slots=True)
class Observed:
    """What alignment needs of one model on a task."""

    sweep: Sweep
    patterns: Float[NDArray[np.float32], "prompts heads queries keys"]
    outputs: Float[NDArray[np.float32], "layers prompts tokens width"]


@dataclass(frozen=True, slots=True)
class _Draws:
    """What is added to each layer's z and MLP output; a row a prompt."""

    z: tuple[Float[Tensor, "prompts tokens heads*head_dim"], ...]
    mlp: tuple[Float[Tensor, "prompts tokens d_model"], ...]

    def times(self, sigma: float, sizes: _Draws) -> _Draws:
        pairs = ((self.z, sizes.z), (self.mlp, sizes.mlp))
        z, mlp = (tuple(sigma * s * d for d, s in zip(*pair, strict=True)) for pair in pairs)
        return _Draws(z, mlp)


class NoisyBlocks(Blocks):
    """A decoder's layers with noise where it is set; for all prompts of a task at once.

    A part that is given to `run` is taken to have its noise already.
    """

    noise: _Draws | None = None

    def run(
        self,
        layer: int,
        before: Float[Tensor, "prompts tokens d_model"],
        *,
        z: Tensor | None = None,
        mlp: Tensor | None = None,
        edit_z: Edit | None = None,
        edit_mlp: Edit | None = None,
        only: int | None = None,
    ) -> Float[Tensor, "prompts tokens d_model"]:
        """The residual stream after a layer, as of any `Blocks`; edits see the noise."""
        if self.noise is not None:
            edit_z = _noisy(self.noise.z[layer], edit_z, None) if z is None else None
            edit_mlp = _noisy(self.noise.mlp[layer], edit_mlp, only) if mlp is None else None
        return super().run(layer, before, z=z, mlp=mlp, edit_z=edit_z, edit_mlp=edit_mlp, only=only)

    def patterns(
        self, ids: Int[Tensor, "prompts tokens"]
    ) -> Float[Tensor, "prompts layers*heads tokens tokens"]:
        """Attention patterns of all heads; those of the first layer have no noise before them."""
        with self._whole_pass_noisy():
            return super().patterns(ids)

    @contextmanager
    def _whole_pass_noisy(self) -> Generator[None]:
        with ExitStack() as stack:
            if self.noise is not None:
                for block, z, mlp in zip(self._blocks, self.noise.z, self.noise.mlp, strict=True):
                    stack.enter_context(input_edited(block.projection, _noisy(z, None, None)))
                    module = block.layer.get_submodule(block.mlp)
                    stack.enter_context(output_edited(module, _noisy(mlp, None, None)))
            yield


def _noisy(noise: Tensor, edit: Edit | None, only: int | None) -> Edit:
    """Noise first, then the edit; of several runs of the same prompts each has the same noise."""
    there = noise if only is None else noise[:, [only]]

    def add(value: Tensor) -> Tensor:
        value = value + there.repeat(len(value) // len(there), 1, 1)
        return value if edit is None else edit(value)

    return add


def observe(
    model: CausalLM, task: TaskSet, progress: Progress, blocks: Blocks | None = None
) -> Observed:
    """Ablations, patterns and MLP outputs of a model on a task's clean prompts."""
    ids = torch.from_numpy(task.clean)
    blocks = blocks or Blocks(model, ids)
    sweep = ablation.Sweep(model, task, rows=len(ids), blocks=blocks)
    ablated = [sweep.layer(layer, progress) for layer in range(blocks.n_layers)]
    found = Sweep(
        components=[component.name for component in blocks.components],
        is_head=np.array([component.is_head for component in blocks.components]),
        ld_clean=sweep.clean(),
        ld_ablated=np.concatenate(ablated),
    )
    outputs = torch.stack(_parts(blocks, ids)[1]).float()
    return Observed(found, blocks.patterns(ids).cpu().numpy(), outputs.cpu().numpy())


@torch.inference_mode()
def _parts(blocks: Blocks, ids: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The heads' outputs z and the MLP's of every layer."""
    stream, z, mlp = blocks.embed(ids), list[Tensor](), list[Tensor]()
    for layer in range(blocks.n_layers):
        parts = blocks.read(layer, stream)
        stream = parts.after
        z.append(parts.z)
        mlp.append(parts.mlp)
    return z, mlp


def noise_curve(
    teacher: Observed,
    student: CausalLM,
    task: TaskSet,
    progress: Progress,
    *,
    has_bos: bool,
    why_other_basis: str | None,
    scale: Scale = "absolute",
    sigmas: Sequence[float] = SIGMAS,
    seeds: Sequence[int] = SEEDS,
) -> Iterator[NoisePoint]:
    """A record a seed and sigma; the student's sweep runs once for each.

    `has_bos`, `why_other_basis`: see `measure.similarity.similarity`. `progress` hears of prompts
    times components.
    """
    ids = torch.from_numpy(task.clean)
    blocks = NoisyBlocks(student, ids)
    parts = _parts(blocks, ids)
    sizes = _Draws(*(tuple(map(torch.ones_like, of)) for of in parts))
    if scale == "relative":
        sizes = _root_mean_squares(blocks, *parts)
    for seed in seeds:
        draws = _draw(seed, *parts)
        for sigma in sigmas:
            blocks.noise = draws.times(sigma, sizes) if sigma else None
            found = observe(student, task, progress, blocks)
            yield _point(teacher, found, scale, sigma, seed, has_bos, why_other_basis)


def _draw(seed: int, z: Sequence[Tensor], mlp: Sequence[Tensor]) -> _Draws:
    generator = torch.Generator().manual_seed(seed)

    def like(value: Tensor) -> Tensor:
        return torch.randn(value.shape, generator=generator).to(value)

    return _Draws(tuple(map(like, z)), tuple(map(like, mlp)))


def _root_mean_squares(blocks: Blocks, z: Sequence[Tensor], mlp: Sequence[Tensor]) -> _Draws:
    """Of each head and each MLP over prompts, tokens and dimensions, broadcast to its output."""
    of_heads: list[Tensor] = []
    for layer, value in enumerate(z):
        size = torch.ones_like(value)
        for head in range(blocks.n_heads(layer)):
            where = blocks.head_slice(layer, head)
            size[:, :, where] = value[:, :, where].square().mean().sqrt()
        of_heads.append(size)
    of_mlps = [torch.ones_like(value) * value.square().mean().sqrt() for value in mlp]
    return _Draws(tuple(of_heads), tuple(of_mlps))


def _point(
    teacher: Observed,
    student: Observed,
    scale: Scale,
    sigma: float,
    seed: int,
    has_bos: bool,
    why_other_basis: str | None,
) -> NoisePoint:
    alike = similarity(
        (teacher.patterns, student.patterns),
        (teacher.outputs, student.outputs),
        has_bos=has_bos,
        why_other_basis=why_other_basis,
    )
    sweeps = teacher.sweep, student.sweep
    lost = [of.ld_clean.mean() - of.ld_ablated.mean(1) for of in sweeps]
    raw = np.maximum(0, lost[0]), np.maximum(0, lost[1])
    matched = matched_components(*sweeps, alike.heads, alike.mlps, "greedy")
    found = score(matched.similarity, matched.weight, delta_influence(matched, *raw, "max"))
    null = expected_null(matched, teacher.sweep, influence_gaps(*sweeps, raw, "max"))
    baseline = task_baseline(student.sweep.ld_clean)
    return NoisePoint(
        scale=scale,
        sigma=sigma,
        seed=seed,
        n_prompts=baseline.n_prompts,
        mean_ld=float(student.sweep.ld_clean.mean()),
        alignment=or_none(float(found.alignment)),
        mean_similarity=float(found.mean_similarity),
        mean_abs_delta_influence=or_none(float(found.mean_abs_delta_influence)),
        null_alignment=or_none(float(null)),
        reason=baseline.reason,
    )


# --- the verdict --------------------------------------------------------------------------------


def noise_verdict(points: Sequence[NoisePoint]) -> NoiseVerdict:
    """Of the points of one scale; none where A is unknown at a sigma or never varies."""
    sigmas = sorted({point.sigma for point in points})
    at = {sigma: [p for p in points if p.sigma == sigma] for sigma in sigmas}
    curve = [_mean([p.alignment for p in at[sigma]]) for sigma in sigmas]
    doing = [i for i, s in enumerate(sigmas) if all(p.reason is None for p in at[s])]
    known = [value for value in curve if value is not None]
    found = _spearman(sigmas, known) if len(known) == len(sigmas) else None
    reason = None
    if len(known) < len(sigmas):
        reason = f"A is unknown at {len(sigmas) - len(known)} of {len(sigmas)} sigmas"
    elif found is None:
        reason = f"A at {len(sigmas)} sigmas has no order"
    fall = known[0] - known[-1] if len(known) > 1 else 0.0
    of_doing = [value for i in doing if (value := curve[i]) is not None]
    return NoiseVerdict(
        scale=points[0].scale if points else "absolute",
        n_sigmas=len(sigmas),
        n_seeds=len({point.seed for point in points}),
        spearman=found,
        alignment_at_0=curve[0] if curve and sigmas[0] == 0 else None,
        alignment_at_largest=curve[-1] if curve else None,
        responds=None if found is None else found < MAX_SPEARMAN and fall > MIN_FALL,
        n_sigmas_doing_task=len(doing),
        spearman_doing_task=_spearman([sigmas[i] for i in doing], of_doing)
        if len(of_doing) == len(doing)
        else None,
        reason=reason,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """None of fewer than 3 pairs, or where one does not vary."""
    return spearman(a, b) if len(a) > 2 else None
