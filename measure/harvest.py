"""Activations of two models on the same tokens, streamed to shards on disk.

    x[i, m] = residual stream of model m (0 base, 1 distilled) at token i, after block `layer`

A text is cut into windows of
`max_length` tokens, each read with the model's own BOS before it; position 0 (the BOS, or the first
token of a model without one) is dropped for both. A shard is a .safetensors file of whole windows,
mapped into memory where it is read; the manifest names the shards that are complete and is replaced
after each, so that a run which was stopped goes on after the last one and ends with the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from measure import block_states, residual
from measure.errors import BadInput
from measure.models import CausalLM, out_of_memory_named
from measure.prompts import Progress
from measure.text_sources import TextSource

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

FORMAT = 1  # of the shards
MANIFEST = "manifest.json"
SIDES = ("base", "distilled")
STORAGE = torch.bfloat16  # good to 1/256 of a value: 4e-6 of the variance
MAX_SHARD_TOKENS = 2**15
MAX_SHARD_BYTES = 2**27
_TEXTS_AT_ONCE = 64  # tokenised together


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which activations: all that names a folder of shards."""

    base_id: str
    distilled_id: str
    text: str
    text_sha256: str
    layer: int
    n_tokens: int  # reached with the window that passes it
    max_length: int = 512
    dtype: str = "float32"  # of the models in memory
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Shard:
    """One complete file."""

    file: str
    n_tokens: int
    n_bytes: int
    next_text: int  # the first text that is not in it
    next_window: int
    norms: tuple[float, float]  # sum of |x| by side


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was asked for, and the shards that are complete."""

    asked: Asked
    d_model: int
    shards: tuple[Shard, ...] = ()
    is_complete: bool = False

    @property
    def n_tokens(self) -> int:
        """Tokens harvested so far."""
        return sum(shard.n_tokens for shard in self.shards)

    @property
    def scales(self) -> tuple[float, float]:
        """sqrt(d_model) over the mean norm, by side: what activations are multiplied by."""
        means = (sum(s.norms[side] for s in self.shards) / self.n_tokens for side in (0, 1))
        base, distilled = (self.d_model**0.5 / mean for mean in means)
        return base, distilled

    def write(self, folder: Path) -> None:
        """Replace the manifest of a folder in one step."""
        part = folder / f"{MANIFEST}.part"
        with part.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder without what is damaged, None where there is none.

    A shard that is missing or has another size takes those after it with it.
    """
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        shards = [_shard(**one) for one in found["shards"]]
        asked = Asked(**found["asked"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole: list[Shard] = []
    for shard in shards:
        path = folder / shard.file
        if not path.is_file() or path.stat().st_size != shard.n_bytes:
            break
        whole.append(shard)
    is_complete = bool(found["is_complete"]) and len(whole) == len(shards)
    return Manifest(asked, int(found["d_model"]), tuple(whole), is_complete)


def _shard(*, norms: Sequence[float], **fields: Any) -> Shard:
    base, distilled = norms
    return Shard(norms=(base, distilled), **fields)


def check_pair(base: CausalLM, distilled: CausalLM, layer: int) -> None:
    """Raises BadInput where the two cannot share a dictionary, or have no such block."""
    widths = base.card.hidden_size, distilled.card.hidden_size
    if widths[0] != widths[1]:
        raise BadInput(
            f"base {base.card.label!r} has width {widths[0]:,}, {distilled.card.label!r} "
            f"{widths[1]:,}: give the model it was derived from"
        )
    for model in (base, distilled):
        residual.check_layer(model, layer)


class _Reached(Exception):
    """The block that was asked for is done; those after it need not run."""


@torch.inference_mode()
def residual_after(
    model: CausalLM, rows: Sequence[Sequence[int]], layer: int
) -> Float[Tensor, "rows tokens d_model"]:
    """Residual stream after a block, of token ids padded right; later blocks do not run."""
    caught: list[Tensor] = []

    def catch(_: nn.Module, __: object, output: Any) -> NoReturn:
        caught.append(output if isinstance(output, Tensor) else output[0])
        raise _Reached

    handle = block_states.blocks(model)[layer].register_forward_hook(catch)
    try:
        model.states(model.pad(rows))
    except _Reached:
        pass
    finally:
        handle.remove()
    return caught[0]


def harvest(
    base: CausalLM,
    distilled: CausalLM,
    source: TextSource,
    asked: Asked,
    folder: Path,
    *,
    batch_size: int = 32,
    progress: Progress = lambda _: None,
) -> Manifest:
    """Fill a folder with the shards that it lacks; `progress` is told tokens, old ones included.

    Raises:
        BadInput: models that tokenise a text differently, a text without a token.
        OutOfMemory: the batch does not fit; the shards so far stay.
    """
    check_pair(base, distilled, asked.layer)
    folder.mkdir(parents=True, exist_ok=True)
    found = read_manifest(folder)
    manifest = found if found and found.asked == asked else Manifest(asked, base.card.hidden_size)
    progress(manifest.n_tokens)
    if manifest.is_complete:
        return manifest
    last = manifest.shards[-1] if manifest.shards else None
    texts = source.texts(last.next_text if last else 0)
    n_texts, n_windows = (last.next_text, last.next_window) if last else (0, 0)
    size = shard_tokens(asked.n_tokens, manifest.d_model)
    pair = _Pair(base, distilled, asked.max_length)
    while manifest.n_tokens < asked.n_tokens:
        windows, n_read = pair.windows(texts, min(size, asked.n_tokens - manifest.n_tokens))
        n_texts += n_read
        if not windows:
            break
        tensors = pair.activations(windows, asked.layer, batch_size, n_windows, progress)
        n_windows += len(windows)
        name = f"shard-{len(manifest.shards):05d}.safetensors"
        shard = _write(folder, name, tensors, n_texts, n_windows)
        manifest = replace(manifest, shards=(*manifest.shards, shard))
        manifest.write(folder)
    if not manifest.shards:
        raise BadInput(
            f"text {source.name!r} has no token to read: give texts of two words or more"
        )
    manifest = replace(manifest, is_complete=True)
    manifest.write(folder)
    return manifest


def shard_tokens(n_tokens: int, d_model: int) -> int:
    """Tokens of a shard: a twentieth of all, at most 32,768 and 128 MiB."""
    most = min(MAX_SHARD_TOKENS, MAX_SHARD_BYTES // (4 * d_model))
    return max(1, min(most, -(-n_tokens // 20)))


def _write(
    folder: Path, name: str, tensors: dict[str, Tensor], next_text: int, next_window: int
) -> Shard:
    norms = tensors["activations"].double().norm(dim=-1).sum(0)
    part = folder / f"{name}.part"
    save_file(tensors, part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(folder / name)
    return Shard(
        file=name,
        n_tokens=len(tensors["tokens"]),
        n_bytes=(folder / name).stat().st_size,
        next_text=next_text,
        next_window=next_window,
        norms=(float(norms[0]), float(norms[1])),
    )


def _next_texts(texts: Iterator[str], n_tokens: int) -> list[str]:
    """The next texts, a few together: not many more characters than there are tokens to fill."""
    some: list[str] = []
    n_characters = 0
    for text in texts:
        some.append(text)
        n_characters += len(text)
        if len(some) == _TEXTS_AT_ONCE or n_characters >= n_tokens:
            break
    return some


class _Pair:
    """Both models, reading the same windows."""

    def __init__(self, base: CausalLM, distilled: CausalLM, max_length: int) -> None:
        self._models = (base, distilled)
        self._prefixes = tuple(model.prefix_ids for model in self._models)
        self._skip = 0 if all(self._prefixes) else 1  # position 0 of a model without BOS
        reach = [model.max_tokens for model in self._models if model.max_tokens is not None]
        longest = max(len(prefix) for prefix in self._prefixes)
        self._length = min([max_length, *reach]) - longest
        if self._length <= self._skip:
            raise BadInput(f"windows of {max_length} tokens hold nothing: give 16 or more")
        self._is_same_tokenizer = base.tokenizes_as(distilled)

    def windows(self, texts: Iterator[str], n_tokens: int) -> tuple[list[list[int]], int]:
        """Windows of whole texts until they hold so many tokens; how many texts were read."""
        found: list[list[int]] = []
        n_read, n_found = 0, 0
        while n_found < n_tokens and (some := _next_texts(texts, n_tokens - n_found)):
            n_read += len(some)
            for ids in self._encode(some):
                for start in range(0, len(ids), self._length):
                    window = ids[start : start + self._length]
                    if len(window) > self._skip:
                        found.append(window)
                        n_found += len(window) - self._skip
        return found, n_read

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        base, distilled = self._models
        rows = base.encode_many(texts)
        if self._is_same_tokenizer:
            return rows
        for text, ours, theirs in zip(texts, rows, distilled.encode_many(texts), strict=True):
            if ours != theirs:
                raise BadInput(
                    f"base {base.card.label!r} and {distilled.card.label!r} read the text "
                    f"{text[:40]!r} as different token ids: give two models with one tokenizer"
                )
        return rows

    def activations(
        self,
        windows: Sequence[list[int]],
        layer: int,
        batch_size: int,
        first_window: int,
        progress: Progress,
    ) -> dict[str, Tensor]:
        """Both models' activations of windows, in their order; neighbours in length go together."""
        by_length = sorted(range(len(windows)), key=lambda i: len(windows[i]))
        rows: list[Tensor] = [torch.empty(0)] * len(windows)
        for start in range(0, len(windows), batch_size):
            batch = by_length[start : start + batch_size]
            sides = [
                self._read(side, [windows[i] for i in batch], layer)
                for side in range(len(self._models))
            ]
            for number, i in enumerate(batch):
                rows[i] = torch.stack([side[number] for side in sides], dim=1)
            progress(sum(len(rows[i]) for i in batch))
        lengths = torch.tensor([len(row) for row in rows])
        positions = [torch.arange(len(row)) + self._skip for row in rows]
        return {
            "activations": torch.cat(rows),
            "tokens": torch.cat([torch.tensor(w[self._skip :]) for w in windows]).int(),
            "window": (torch.arange(len(windows)) + first_window).repeat_interleave(lengths).int(),
            "position": torch.cat(positions).int(),
        }

    def _read(self, side: int, windows: Sequence[list[int]], layer: int) -> list[Tensor]:
        model, prefix = self._models[side], self._prefixes[side]
        first = len(prefix) + self._skip
        with out_of_memory_named(len(windows)):
            states = residual_after(model, [prefix + window for window in windows], layer)
            states = states.to("cpu", STORAGE)
        return [
            state[first : len(prefix) + len(window)]
            for state, window in zip(states, windows, strict=True)
        ]
