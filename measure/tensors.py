"""A model's weights by what they are, read from its safetensors files; no model is made.

Every weight is one or more `Part`s, seen as `[units, d]`: what it has many of (neurons, the rows
of its heads, tokens) by the residual stream. So q, k, v, gate, up, embedding and head are as
PyTorch's Linear keeps them, o and down are transposed, and GPT-2's Conv1D is the other way round.
Fused weights (c_attn, qkv_proj, gate_up_proj) are cut into their parts. Shapes and tensor names
alone say which is which, never the configuration.

Files are mapped, not read: what is held in memory is the chunk asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from measure.errors import NoWeights
from measure.models import FINAL_NORMS
from measure.records import WeightKind
from measure.sources import Source, safetensors_header

# Values of a chunk: 2**22 in float64 are 32 MiB.
MAX_VALUES = 2**22
FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.(.+)")
EXPERT = re.compile(r"experts\.\d+\.")
# Tables that old checkpoints keep beside what was learnt: causal masks, rotary frequencies.
BUFFER = re.compile(r"(?:^|\.)(?:attn|attention)\.(?:masked_)?bias$|(?:inv_freq|position_ids)$")
KINDS: Mapping[str, WeightKind] = {
    "q_proj": "q", "k_proj": "k", "v_proj": "v",
    "o_proj": "o", "out_proj": "o", "attn.c_proj": "o",
    "attention.dense": "o", "self_attn.dense": "o",
    "c_attn": "qkv", "qkv_proj": "qkv", "query_key_value": "qkv",
    "gate_proj": "gate", "w1": "gate", "gate_up_proj": "gate_up",
    "up_proj": "up", "w3": "up", "c_fc": "up", "fc1": "up", "dense_h_to_4h": "up",
    "down_proj": "down", "w2": "down", "mlp.c_proj": "down", "fc2": "down", "dense_4h_to_h": "down",
    "embed_tokens": "embed", "wte": "embed", "embed_in": "embed",
    "wpe": "position", "lm_head": "head", "embed_out": "head",
}  # fmt: skip
CONV1D = ("c_attn", "c_fc", "c_proj")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One weight, or its share of a fused one."""

    name: str  # of its tensor
    layer: int | None  # from 0; None outside the blocks
    slot: str  # what it is in its layer, in any architecture: 'q', 'q.bias', 'final_norm'
    kind: WeightKind
    shape: tuple[int, ...]  # as seen: [units, d], or [units] of a norm or bias
    dtype: str  # as stored: 'F32', 'F16', 'BF16', 'F64'
    is_transposed: bool = False
    first_unit: int = 0  # of the tensor, as seen


class Weights:
    """The parts of a model by layer and slot, and their values on demand."""

    def __init__(self, source: Source) -> None:
        """Raises NoWeights for GGUF and for weights that are not stored as floats."""
        if source.gguf_file is not None:
            raise NoWeights(
                source.ref,
                "is a GGUF file, whose blocks hold no weights to compare: "
                "give the folder with safetensors that it was made from",
            )
        self.source = source
        self._files: dict[str, Any] = {}
        entries: dict[str, dict[str, Any]] = {}
        for file in sorted(source.folder.glob("*.safetensors")):
            header = safetensors_header(file)
            handle = safe_open(file, framework="pt")
            entries |= header
            self._files |= dict.fromkeys(header, handle)
        self.parts: dict[tuple[int | None, str], Part] = {}
        for part in _parts(source, entries):
            key = (part.layer, part.slot)
            # A second tower in the same files: told apart by its whole name.
            unique = part if key not in self.parts else replace(part, layer=None, slot=part.name)
            self.parts[unique.layer, unique.slot] = unique

    @property
    def n_layers(self) -> int:
        """One more than the highest layer that holds a weight."""
        return 1 + max((p.layer for p in self.parts.values() if p.layer is not None), default=-1)

    @property
    def n_values(self) -> int:
        """Values of all parts."""
        return sum(math.prod(part.shape) for part in self.parts.values())

    def get(self, layer: int | None, slot: str) -> Part | None:
        """The part of a layer and slot; a tied head is the embedding."""
        found = self.parts.get((layer, slot))
        return self.parts.get((None, "embed")) if found is None and slot == "head" else found

    def read(self, part: Part) -> Tensor:
        """The part as [units, d] in its stored type: a view of the mapped file."""
        tensor: Tensor = self._files[part.name].get_tensor(part.name)
        if tensor.ndim > 2:
            tensor = tensor.flatten(0, -2)
        if part.is_transposed:
            tensor = tensor.T
        return tensor.narrow(0, part.first_unit, part.shape[0])

    def chunks(self, part: Part) -> Iterator[Tensor]:
        """Consecutive units of a part in float64, at most MAX_VALUES values at once."""
        whole = self.read(part)
        width = whole[0].numel() if len(whole) else 1
        for units in whole.split(max(1, MAX_VALUES // width)):
            yield units.double()


def _parts(source: Source, entries: Mapping[str, Mapping[str, Any]]) -> Iterator[Part]:
    shapes: dict[str, tuple[int, ...]] = {n: tuple(e["shape"]) for n, e in entries.items()}
    width = _width(shapes)
    is_conv1d = any(
        _stem(name) == "c_fc" and shape[0] == width != shape[-1]
        for name, shape in shapes.items()
        if name.endswith(".weight")
    )
    for name, shape in shapes.items():
        dtype = str(entries[name]["dtype"])
        if BUFFER.search(name) or not shape:
            continue
        if dtype not in FLOATS:
            if len(shape) < 2:
                continue
            raise NoWeights(
                source.ref,
                f"stores {name!r} as {dtype}: "
                "give the model before quantisation, in float32, float16 or bfloat16",
            )
        match = LAYER.search(name)
        layer, suffix = (int(match[1]), match[2]) if match else (None, name)
        kind = _kind(suffix)
        weight_kind = _weight_kind(suffix)
        transposed = len(shape) == 2 and (weight_kind in ("o", "down")) != (
            is_conv1d and _stem(name) in CONV1D
        )
        seen = shape if len(shape) < 3 else (math.prod(shape[:-1]), shape[-1])
        part = Part(
            name=name,
            layer=layer,
            slot=_slot(suffix, weight_kind, kind, layer is None),
            kind=kind,
            shape=seen[::-1] if transposed else seen,
            dtype=dtype,
            is_transposed=transposed,
        )
        n_o = _o_units(shapes, name, suffix, is_conv1d) if weight_kind == "qkv" else None
        yield from _cut(part, weight_kind, n_o) if len(shape) < 3 else (part,)


def _cut(part: Part, fused: WeightKind, n_q: int | None) -> Iterator[Part]:
    """The parts of a fused weight or bias; query heads have as many units as o."""
    n_units = part.shape[0]
    sizes: dict[WeightKind, int] = {}
    if fused == "gate_up" and n_units % 2 == 0:
        sizes = {"gate": n_units // 2, "up": n_units // 2}
    # GPT-NeoX's query_key_value interleaves its heads: it stays whole.
    elif fused == "qkv" and n_q is not None and n_units > n_q and (n_units - n_q) % 2 == 0:
        sizes = {"q": n_q, "k": (n_units - n_q) // 2, "v": (n_units - n_q) // 2}
    if not sizes:
        yield part
        return
    first = 0
    for kind, size in sizes.items():
        yield replace(
            part,
            slot=part.slot.replace(fused, kind),
            kind=kind if part.kind == fused else part.kind,
            shape=(size, *part.shape[1:]),
            first_unit=first,
        )
        first += size


def _o_units(
    shapes: Mapping[str, tuple[int, ...]], name: str, suffix: str, is_conv1d: bool
) -> int | None:
    """Units of the o matrix beside a fused qkv; None where the heads are interleaved."""
    if "query_key_value" in suffix:
        return None
    block = name.removesuffix(suffix)
    for other, shape in shapes.items():
        is_o = other.startswith(block) and _weight_kind(other.removeprefix(block)) == "o"
        if is_o and len(shape) == 2:
            return shape[0] if is_conv1d and _stem(other) in CONV1D else shape[1]
    return None


def _width(shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """Width of the residual stream, by the embedding."""
    return next((s[-1] for n, s in shapes.items() if _weight_kind(n) == "embed"), None)


def _stem(name: str) -> str:
    return name.removesuffix(".weight").removesuffix(".bias").rsplit(".", 1)[-1]


def _weight_kind(suffix: str) -> WeightKind:
    """The kind of the weight that a tensor is, or is the bias of."""
    stem = suffix.removesuffix(".weight").removesuffix(".bias")
    last_two, last = ".".join(stem.split(".")[-2:]), stem.rsplit(".", 1)[-1]
    if "norm" in last or last.startswith("ln"):
        return "norm"
    return KINDS.get(last_two) or KINDS.get(last) or "other"


def _kind(suffix: str) -> WeightKind:
    return "bias" if suffix.endswith("bias") else _weight_kind(suffix)


def _slot(suffix: str, weight_kind: WeightKind, kind: WeightKind, is_outside: bool) -> str:
    bias = ".bias" if kind == "bias" else ""
    if is_outside and weight_kind == "norm" and _stem(suffix) in FINAL_NORMS:
        return "final_norm" + bias
    if weight_kind in ("norm", "other"):
        return suffix.removesuffix(".weight")
    expert = EXPERT.search(suffix)
    return (expert[0] if expert else "") + weight_kind + bias
