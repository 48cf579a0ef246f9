"""Activation patching: where a corrupted run is set right by what the clean one has at a token.

In the corrupted run of a prompt one part of one layer, at the tokens of one role, is given the
clean run's activation; all else runs on from there (methods 4.10):

    resid   the residual stream that enters the layer
    attn    the heads' outputs z before the output projection, of one head or of all
    mlp     the MLP's output
    qk      one head's queries and keys, with the corrupted values: where it looks
    ov      one head's values, with the corrupted pattern: what it moves

With D the mean logit difference over prompts, recovery = (D_patched - D_corrupted) / (D_clean -
D_corrupted): 0 nothing, 1 all of it. It is a ratio of means, as a prompt whose two runs hardly
differ would outweigh all others, and is null where D_clean - D_corrupted is within its interval
of 0 or below 0.5. The raw effect D_patched - D_corrupted is in logits. Within a layer, heads are
compared by recovery over the layer's mean and by z-score over its heads.

Source: Haskins & Adams 2026, arXiv 2505.10822; the ratio of means and its refusal are OUR
DEFINITION.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from measure.ablation import ROWS, difference
from measure.circuit_records import PatchedCell, PatchingEffect
from measure.components import AttentionInput, Blocks
from measure.errors import BadInput
from measure.intervals import N_RESAMPLES, SEED
from measure.models import CausalLM
from measure.prompts import Progress
from measure.tasks import TaskSet

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float
    from numpy.typing import NDArray

    Values = Float[NDArray[np.float64], "cells prompts"]

METHOD = "patching"
VERSION = 1  # raise it when a number changes: it is part of the measurement's id
MIN_LOGIT_DIFF = 0.5  # below it nothing is divided by a difference (methods 4.3)
_NOTHING = 1e-9  # rounding of recoveries

Part = Literal["resid", "attn", "mlp", "qk", "ov"]
PARTS: tuple[Part, ...] = get_args(Part)
_INPUTS: dict[Part, tuple[AttentionInput, ...]] = {"qk": ("q", "k"), "ov": ("v",)}


@dataclass(frozen=True, slots=True)
class Cell:
    """What is patched: a part of a layer at the tokens of a role; no head means all of them."""

    layer: int
    head: int | None
    part: Part
    role: str


@dataclass(frozen=True, slots=True)
class _Start:
    """A patched run at its layer: its stream there, and the parts that are given to it."""

    cell: Cell
    before: Tensor
    z: Tensor | None = None
    mlp: Tensor | None = None


class Patching:
    """Both runs of a task, and patches between them, layer by layer.

    It keeps the residual stream of both before every layer: 2 x layers x prompts x tokens x
    d_model.
    """

    def __init__(self, model: CausalLM, task: TaskSet, rows: int = ROWS) -> None:
        self._blocks = Blocks(model, torch.from_numpy(task.clean))
        self._task = task
        self._rows = rows
        self._tokens = torch.from_numpy(np.stack([task.answer, task.foil], axis=1))
        self._clean, self._corrupted = (
            self._streams(torch.from_numpy(ids)) for ids in (task.clean, task.corrupted)
        )

    @property
    def n_layers(self) -> int:
        """Layers of the model."""
        return self._blocks.n_layers

    def cells(
        self, layer: int, parts: Iterable[Part] = PARTS, roles: Iterable[str] | None = None
    ) -> list[Cell]:
        """What can be patched in a layer: of `attn` all heads together, then one by one.

        Raises:
            BadInput: a role that the task does not have.
        """
        wanted = tuple(self._task.roles) if roles is None else tuple(roles)
        for role in wanted:
            self._where(role)
        heads: list[int | None] = [*range(self._blocks.n_heads(layer))]
        of_part: dict[Part, list[int | None]] = {
            "resid": [None], "attn": [None, *heads], "mlp": [None], "qk": heads, "ov": heads,
        }  # fmt: skip
        given = tuple(parts)
        return [
            Cell(layer, head, part, role)
            for part in given
            for role in wanted
            for head in of_part[part]
        ]

    @torch.inference_mode()
    def differences(
        self,
    ) -> tuple[Float[NDArray[np.float64], " prompts"], Float[NDArray[np.float64], " prompts"]]:
        """Logit differences of the clean and of the corrupted run."""
        clean, corrupted = (
            difference(self._blocks.final(run[-1], self._tokens, self._task.position))
            for run in (self._clean, self._corrupted)
        )
        return clean, corrupted

    @torch.inference_mode()
    def patched(self, cells: Sequence[Cell], progress: Progress) -> Values:
        """Logit differences of the corrupted run with each cell of one layer patched.

        `progress` hears of prompts times cells.
        """
        found = np.empty((len(cells), len(self._tokens)))
        for start in range(0, len(self._tokens), self._rows):
            chunk = slice(start, start + self._rows)
            n_prompts = len(self._tokens[chunk])
            together = max(1, self._rows // n_prompts)
            done = 0
            for some in _alike(self._starts(cells, chunk), together):
                stream = self._from(some)
                tokens = self._tokens[chunk].repeat(len(some), 1)
                logits = self._blocks.final(stream, tokens, self._task.position)
                rows = difference(logits).reshape(len(some), -1)
                found[done : done + len(some), chunk] = rows
                done += len(some)
                progress(len(some) * n_prompts)
        return found

    def records(
        self,
        layer: int,
        progress: Progress,
        parts: Iterable[Part] = PARTS,
        roles: Iterable[str] | None = None,
    ) -> Iterator[PatchingEffect | PatchedCell]:
        """A layer's effects on each prompt, then what they come to."""
        cells = self.cells(layer, parts, roles)
        clean, corrupted = self.differences()
        patched = self.patched(cells, progress)
        for cell, row in zip(cells, patched, strict=True):
            for key, *found in zip(self._task.keys, clean, corrupted, row, strict=True):
                yield PatchingEffect(
                    prompt_id=key,
                    layer=cell.layer,
                    head=cell.head,
                    part=cell.part,
                    role=cell.role,
                    ld_clean=float(found[0]),
                    ld_corrupted=float(found[1]),
                    ld_patched=float(found[2]),
                )
        yield from summaries(cells, clean, corrupted, patched)

    def _where(self, role: str) -> list[int]:
        if role not in self._task.roles:
            raise BadInput(
                f"task {self._task.name!r} has no role {role!r}: give one of "
                f"{', '.join(self._task.roles)}"
            )
        return list(self._task.roles[role])

    @torch.inference_mode()
    def _streams(self, ids: Tensor) -> list[Tensor]:
        """The residual stream before each layer and after the last."""
        chunks = [self._blocks.embed(some) for some in ids.split(self._rows)]
        streams = [torch.cat(chunks)]
        for layer in range(self._blocks.n_layers):
            chunks = [self._blocks.run(layer, some) for some in chunks]
            streams.append(torch.cat(chunks))
        return streams

    def _starts(self, cells: Sequence[Cell], chunk: slice) -> Iterator[_Start]:
        """Each cell's patched run, made when it is asked for; cells of one layer."""
        if not cells:
            return
        blocks, layer = self._blocks, cells[0].layer
        clean, before = self._clean[layer][chunk], self._corrupted[layer][chunk]
        good, bad = blocks.read(layer, clean), blocks.read(layer, before)
        for (part, role), some in groupby(cells, lambda cell: (cell.part, cell.role)):
            where = self._where(role)
            if part == "resid":
                yield from (_Start(cell, _mixed(before, clean, where)) for cell in some)
            elif part == "mlp":
                mlp = _mixed(bad.mlp, good.mlp, where)
                yield from (_Start(cell, before, bad.z, mlp) for cell in some)
            else:
                inputs = _INPUTS.get(part)
                z = (
                    self._z(layer, clean, before, inputs, where)
                    if inputs
                    else _mixed(bad.z, good.z, where)
                )
                yield from (_Start(c, before, self._of_head(c, bad.z, z)) for c in some)

    def _z(
        self,
        layer: int,
        clean: Tensor,
        before: Tensor,
        inputs: Sequence[AttentionInput],
        where: list[int],
    ) -> Tensor:
        """All heads' outputs with these inputs of the attention clean at some tokens.

        Heads do not meet within a layer, so that one pass serves all of them.
        """
        kept: dict[AttentionInput, Tensor] = {}

        def keep(name: AttentionInput, value: Tensor) -> Tensor:
            kept[name] = value
            return value

        def patch(name: AttentionInput, value: Tensor) -> Tensor:
            return _mixed(value, kept[name], where)

        self._blocks.attend(layer, clean, {name: partial(keep, name) for name in inputs})
        return self._blocks.attend(layer, before, {name: partial(patch, name) for name in inputs})

    def _of_head(self, cell: Cell, usual: Tensor, patched: Tensor) -> Tensor:
        if cell.head is None:
            return patched
        z, where = usual.clone(), self._blocks.head_slice(cell.layer, cell.head)
        z[:, :, where] = patched[:, :, where]
        return z

    def _from(self, some: Sequence[_Start]) -> Tensor:
        """The stream after the last layer of runs that are given the same parts."""
        last, layer = self.n_layers - 1, some[0].cell.layer
        stream = self._blocks.run(
            layer,
            torch.cat([start.before for start in some]),
            z=_joined([start.z for start in some]),
            mlp=_joined([start.mlp for start in some]),
            only=self._task.position if layer == last else None,
        )
        for later in range(layer + 1, last + 1):
            only = self._task.position if later == last else None
            stream = self._blocks.run(later, stream, only=only)
        return stream


def _mixed(usual: Tensor, patch: Tensor, where: list[int]) -> Tensor:
    value = usual.clone()
    value[:, where] = patch[:, where]
    return value


def _joined(given: Sequence[Tensor | None]) -> Tensor | None:
    known = [value for value in given if value is not None]
    return torch.cat(known) if known else None


def _alike(starts: Iterator[_Start], together: int) -> Iterator[list[_Start]]:
    """Runs that can go at once: next to each other, with the same parts given."""
    for _, group in groupby(starts, lambda start: (start.z is None, start.mlp is None)):
        while some := list(islice(group, together)):
            yield some


# --- one row a cell -----------------------------------------------------------------------------


def summaries(
    cells: Sequence[Cell],
    ld_clean: Float[NDArray[np.float64], " prompts"],
    ld_corrupted: Float[NDArray[np.float64], " prompts"],
    ld_patched: Values,
) -> list[PatchedCell]:
    """A row a cell, in order; give all heads of a layer, a part and a role together."""
    gap, effects = ld_clean - ld_corrupted, ld_patched - ld_corrupted
    means, drawn = effects.mean(1), _resampled(np.vstack([gap, effects]))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    reason = _why_no_recovery(float(gap.mean()), float(low[0]), float(high[0]), len(gap))
    recovery = np.full(len(cells), np.nan) if reason else means / gap.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio_low, ratio_high = np.percentile(drawn[:, 1:] / drawn[:, :1], [2.5, 97.5], axis=0)
    over_mean, z_score = _within_layers(cells, recovery)
    several = len(gap) > 1
    return [
        PatchedCell(
            layer=cell.layer,
            head=cell.head,
            part=cell.part,
            role=cell.role,
            n_prompts=len(gap),
            mean_effect=float(means[i]),
            ci_low_effect=float(low[i + 1]) if several else None,
            ci_high_effect=float(high[i + 1]) if several else None,
            recovery=_known(recovery[i]),
            ci_low_recovery=None if reason else float(ratio_low[i]),
            ci_high_recovery=None if reason else float(ratio_high[i]),
            over_layer_mean=_known(over_mean[i]),
            z_in_layer=_known(z_score[i]),
            reason=reason,
        )
        for i, cell in enumerate(cells)
    ]


def _why_no_recovery(mean: float, low: float, high: float, n_prompts: int) -> str | None:
    if n_prompts < 2:
        return f"{n_prompts} prompt, at least 2 are needed"
    if low <= 0 <= high:
        return f"clean less corrupted is {mean:.2f} [{low:.2f}, {high:.2f}], not apart from 0"
    if mean < MIN_LOGIT_DIFF:
        return f"clean less corrupted is {mean:.2f}, below {MIN_LOGIT_DIFF}"
    return None


def _resampled(values: Values) -> Float[NDArray[np.float64], "resamples cells"]:
    """Means over 10,000 draws of the prompts."""
    n = values.shape[1]
    counts = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES)
    return counts @ values.T / n


def _within_layers(
    cells: Sequence[Cell], recovery: Float[NDArray[np.float64], " cells"]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each head its recovery over the mean of its layer's heads, and its z-score among them.

    NaN for what is no head, and where the mean or the spread is 0.
    """
    over_mean, z_score = np.full((2, len(cells)), np.nan)
    groups: dict[tuple[int, Part, str], list[int]] = {}
    for index, cell in enumerate(cells):
        if cell.head is not None:
            groups.setdefault((cell.layer, cell.part, cell.role), []).append(index)
    for some in groups.values():
        values = recovery[some]
        mean, spread = values.mean(), values.std()
        if abs(mean) > _NOTHING:
            over_mean[some] = values / mean
        if spread > _NOTHING:
            z_score[some] = (values - mean) / spread
    return over_mean, z_score


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
