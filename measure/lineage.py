"""Weight lineage: was a model made from this base? By the weights alone.

Each weight of the derivative, W_d, against the base's W_b of the same slot and shape, both as
`[units, d]` (measure/tensors.py); sigma are singular values:

    cosine            <W_d, W_b> / |W_d||W_b|
    rel_displacement  |W_d - W_b| / |W_b|
    effective_rank    exp(H(sigma^2 / sum sigma^2)) of W_d - W_b: at most r after a LoRA of rank r
    sv_cosine         cosine of the sorted singular values: 1 for a rotated copy
    aligned_cosine    sum_i |<b_i, d_pi(i)>| / |b||d|, each unit of the base beside the one of the
                      derivative that pi gives it; only where the plain cosine is within its null

The nulls are those of measure/resemblance.py; aligning lifts the cosine of strangers too, so its
null are alignments with shuffled columns.

pi is greedy by mutual best |cosine|. Where every unit's best is another's, as in a permuted copy
and after fine-tuning it, that is the optimal assignment, since it reaches the bound sum_i max_j;
no matrix of all pairs is kept. Units are aligned one weight at a time: that sees through any order
of neurons, heads, kv-groups or rotary pairs, and needs no head count from a configuration.

Layers are matched first, by the median cosine over their weights at 16 units each, so that grafts
and depth students say which layer came from where. Not seen through: layers moved and permuted at
once, permuted experts, a rotated residual basis that was trained on.

Cost: each file is read once or twice; spectra and alignments take at most 1,024 evenly spaced units
(`n_units_used`). A stranger's MLP weight of 14336 x 4096, which is aligned four times, takes 13 to
20 s of one core and half a GiB. OUR DEFINITION.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from measure import resemblance
from measure.errors import NoWeights
from measure.models import use_threads
from measure.records import LineageLabel, WeightLineage, WeightLineagePair, single
from measure.request import NO_PROMPTS, Measurement
from measure.resemblance import QUANTILE, spaced
from measure.sources import Source
from measure.tensors import FLOATS, Part, Weights

if TYPE_CHECKING:  # shapes for the reader; a machine that only measures goes without
    from jaxtyping import Float

METHOD = "lineage"
VERSION = 1  # raise it when a number changes: it is part of a measurement's id
SEED = 0  # of the shuffled columns
SIGNATURE_UNITS = 16
MIN_LAYER_SHARE = 0.9
MIN_COMPARED_SHARE = 0.5
# 1 - sv_cosine of a rotated copy is rounding (1e-10 in bf16), of strangers 1e-6 and more.
ROTATED = 1e-8
# Goes through a model's weights, and may show how far it is.
Watch = Callable[[Sequence[Part]], Iterable[Part]]


def plan(derivative_id: str, base_id: str, *, is_pair_alone: bool = False) -> Measurement:
    """The measurement of one pair; its seed is of the shuffled columns.

    `is_pair_alone`: its weights' records are not kept.
    """
    return Measurement(
        method=METHOD,
        method_version=VERSION,
        models={"derivative": derivative_id, "base": base_id},
        prompt_set=NO_PROMPTS,
        prompt_set_sha256="",
        seeds=(SEED,),
        dtype="float64",
        backend="safetensors",
        options={"records": "pair"} if is_pair_alone else {},
        units=("all",),
    )


def measure_pair(
    derivative: Source, base: Source, watch: Watch = iter
) -> list[WeightLineagePair | WeightLineage]:
    """The pair's record and one a weight; alone and with a reason where one has no weights.

    `watch` is given the derivative's weights, to show how they are gone through.
    """
    opened: list[Weights] = []
    for role, source in (("derivative", derivative), ("base", base)):
        try:
            opened.append(Weights(source))
        except NoWeights as error:
            return [_unread(f"the {role} {error.reason}")]
    ours, theirs = opened
    return compare(ours, theirs, watch)


def compare(
    ours: Weights, theirs: Weights, watch: Watch = iter
) -> list[WeightLineagePair | WeightLineage]:
    """The record of a pair whose weights are at hand, and one a weight."""
    use_threads(ours.n_values)
    records = list(measure(ours, theirs, watch))
    layers = layers_of(records)
    found = verdict(layers, theirs.n_layers)
    pair = WeightLineagePair(
        lineage_label=found.label,
        label_reasons="; ".join(found.reasons),
        n_layers=sum(row.layer is not None for row in layers),
        n_base_layers=theirs.n_layers,
        n_layers_related=len(found.layer_map),
        reason=None,
    )
    return [pair, *records]


def _unread(reason: str) -> WeightLineagePair:
    return WeightLineagePair(
        lineage_label="NOT COMPARABLE",
        label_reasons=reason,
        n_layers=None,
        n_base_layers=None,
        n_layers_related=None,
        reason=reason,
    )


def measure(ours: Weights, theirs: Weights, watch: Watch = iter) -> Iterator[WeightLineage]:
    """The records of a pair, a weight of the derivative (ours) at a time."""
    base_layers = match_layers(ours, theirs)
    for part in watch(list(ours.parts.values())):
        base_layer = None if part.layer is None else base_layers[part.layer]
        is_alone = part.layer is not None and base_layer is None
        twin = None if is_alone else theirs.get(base_layer, part.slot)
        numbers: dict[str, Any] = dict.fromkeys(_NUMBERS)
        reason = _refusal(part, twin)
        if twin is not None and reason is None:
            found = _compare(theirs, twin, ours, part)
            numbers |= found or {}
            reason = None if found else "a weight is not finite, or 0 throughout"
        yield WeightLineage(
            layer=part.layer,
            base_layer=base_layer,
            slot=part.slot,
            kind=part.kind,
            is_matrix=len(part.shape) == 2,
            n_entries=math.prod(part.shape),
            reason=reason,
            **{name: _as_stored(name, value) for name, value in numbers.items()},
        )


_NUMBERS = (
    "n_units_used", "cosine", "null_cosine", "aligned_cosine", "null_cosine_aligned",
    "rel_displacement", "unchanged_frac", "effective_rank", "numerical_rank", "sv_cosine",
)  # fmt: skip
_IN_FULL = ("n_units_used", "numerical_rank", "sv_cosine")


def _as_stored(name: str, value: float | None) -> Any:
    """None for what some units cannot tell, being 0 throughout though the weight is not."""
    if value is None or not math.isfinite(value):
        return None
    return value if name in _IN_FULL else single(value)


def _refusal(part: Part, twin: Part | None) -> str | None:
    if twin is None:
        return "the base has no such weight"
    if twin.shape != part.shape:
        return f"shapes differ: {list(part.shape)} here, {list(twin.shape)} in the base"
    return None


def _compare(theirs: Weights, twin: Part, ours: Weights, part: Part) -> dict[str, Any]:
    """The numbers of a pair of weights of one shape; empty where they have no cosine."""
    sums = resemblance.overlap(zip(theirs.chunks(twin), ours.chunks(part), strict=True))
    if not (math.isfinite(sums.norm_difference) and sums.norm_a * sums.norm_b > 0):
        return {}
    b, d = (spaced(w.read(p)).double() for w, p in ((theirs, twin), (ours, part)))
    b, d = b.reshape(len(b), -1), d.reshape(len(d), -1)
    null = max(sums.null_independent, sums.null_permuted(b, d))
    numbers: dict[str, Any] = {
        "cosine": sums.cosine,
        "null_cosine": null,
        "rel_displacement": sums.norm_difference / sums.norm_a,
        "unchanged_frac": sums.n_equal / sums.n,
    }
    if len(part.shape) < 2:
        return numbers
    difference = resemblance.singular_values(d - b)
    rounding = max(torch.finfo(FLOATS[p.dtype]).eps for p in (part, twin))
    numbers |= {
        "n_units_used": len(b),
        "effective_rank": resemblance.effective_rank(difference),
        "numerical_rank": resemblance.numerical_rank(difference, b, rounding),
        "sv_cosine": resemblance.cosine_of(*map(resemblance.singular_values, (b, d))),
    }
    if sums.cosine <= null and part.layer is not None:
        generator = torch.Generator().manual_seed(SEED)
        whole = ours.read(part)
        numbers |= {
            "aligned_cosine": resemblance.aligned_cosine(b, whole),
            "null_cosine_aligned": resemblance.null_aligned(b, whole, generator),
        }
    return numbers


def match_layers(ours: Weights, theirs: Weights) -> dict[int, int | None]:
    """The base's layer for each of the derivative's: the most alike, else the one in its place.

    The most alike must be above the 99.9th percentile of the best of that many strangers.
    """
    n_theirs = theirs.n_layers
    found = {i: i if i < n_theirs else None for i in range(ours.n_layers)}
    if not n_theirs:
        return found
    alike: list[Tensor] = []
    n_values: list[int] = []
    for slot in sorted({part.slot for part in ours.parts.values() if _tells_layers(part)}):
        a, b = _signatures(ours, slot), _signatures(theirs, slot)
        if a.shape[1] == b.shape[1] > 0:
            alike.append(a @ b.T)
            n_values.append(a.shape[1])
    if not alike:
        return found
    floor = NormalDist().inv_cdf(1 - (1 - QUANTILE) / n_theirs) / math.sqrt(min(n_values))
    for layer, row in enumerate(torch.stack(alike).nanmedian(0).values.nan_to_num(-1.0)):
        best = int(row.argmax())
        is_in_place = layer < n_theirs and bool(row[layer] >= row[best] - 1e-6)
        if row[best] > floor and not is_in_place:
            found[layer] = best
    return found


def _tells_layers(part: Part) -> bool:
    return part.layer is not None and len(part.shape) == 2 and "experts" not in part.slot


def _signatures(weights: Weights, slot: str) -> Float[Tensor, "layers values"]:
    """Unit vectors of 16 units of the slot in each layer; NaN where it is missing or 0."""
    rows: dict[int, Tensor] = {}
    for layer in range(weights.n_layers):
        if (part := weights.get(layer, slot)) is not None:
            units = spaced(weights.read(part), SIGNATURE_UNITS).float().flatten()
            rows[layer] = units / units.norm()
    width = max(map(len, rows.values()), default=0)
    blank = torch.full((width,), math.nan)
    found = (rows.get(layer, blank) for layer in range(weights.n_layers))
    return torch.stack([row if len(row) == width else blank for row in found])


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLineage:
    """One row per pair of models and layer of the derivative, and one of what is outside them."""

    layer: int | None  # null: embedding and head
    base_layer: int | None
    n_weights: int  # matrices
    n_compared: int
    median_cosine: float | None  # plain
    median_aligned_cosine: float | None  # of those that were aligned
    median_margin: float | None  # above 0: related
    n_aligned: int  # above their null after aligning alone
    max_sv_cosine: float | None


def layers_of(records: Sequence[WeightLineage]) -> list[LayerLineage]:
    """The layers of a pair in order, embedding and head last; norms and biases left out."""
    matrices = [r for r in records if r.is_matrix and (r.layer is not None or _is_outer(r))]
    layers = sorted({r.layer for r in matrices if r.layer is not None})
    grouped = [(layer, [r for r in matrices if r.layer == layer]) for layer in (*layers, None)]
    return [_layer(layer, group) for layer, group in grouped if group]


def _is_outer(record: WeightLineage) -> bool:
    return record.kind in ("embed", "head")


def _layer(layer: int | None, records: Sequence[WeightLineage]) -> LayerLineage:
    compared = [r for r in records if r.cosine is not None]
    aligned = [r for r in compared if r.aligned_cosine is not None]
    return LayerLineage(
        layer=layer,
        base_layer=records[0].base_layer,
        n_weights=len(records),
        n_compared=len(compared),
        median_cosine=_median(r.cosine for r in compared),
        median_aligned_cosine=_median(r.aligned_cosine for r in aligned),
        median_margin=_median(r.margin for r in compared),
        n_aligned=sum((r.margin or 0) > 0 for r in aligned),
        max_sv_cosine=max((r.sv_cosine for r in compared if r.sv_cosine is not None), default=None),
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageVerdict:
    """Whether a model was made from a base."""

    label: LineageLabel
    layer_map: tuple[tuple[int, int], ...]  # related layers: the derivative's, the base's
    reasons: tuple[str, ...]


def verdict(layers: Sequence[LayerLineage], n_base_layers: int) -> LineageVerdict:
    """The verdict from the layers alone; a layer is related if its median margin is above 0."""
    blocks = [row for row in layers if row.layer is not None]
    related = [row for row in layers if row.median_margin is not None and row.median_margin > 0]
    layer_map = tuple(
        (row.layer, row.base_layer)
        for row in related
        if row.layer is not None and row.base_layer is not None
    )
    in_place = sum(ours == base for ours, base in layer_map)
    n_layers = max(len(blocks), n_base_layers)
    reasons = [_counted(blocks, n_base_layers, related)]
    if not any(row.n_compared for row in layers):
        label: LineageLabel = "NOT COMPARABLE"
        reasons = ["no weight has the shape that the base's has"]
    elif in_place > MIN_LAYER_SHARE * n_layers:
        label = "SAME LINEAGE"
    elif related:
        label = "PARTIAL"
        reasons.append(_where_from(blocks, dict(layer_map), n_base_layers))
    elif (doubt := _doubt(blocks)) is not None:
        label = "INCONCLUSIVE"
        reasons.append(doubt)
    else:
        label = "INDEPENDENT"
    return LineageVerdict(label=label, layer_map=layer_map, reasons=tuple(reasons))


def _counted(
    blocks: Sequence[LayerLineage], n_base_layers: int, related: Sequence[LayerLineage]
) -> str:
    above = [row for row in blocks if row in related]
    text = f"{len(above)} of {len(blocks)} layers are above the null (the base has {n_base_layers})"
    if (cosine := _median(row.median_cosine for row in blocks)) is not None:
        text += f", median cosine {cosine:.3f}"
    if n_aligned := sum(row.n_aligned for row in above):
        aligned = _median(row.median_aligned_cosine for row in above)
        text += f"; {n_aligned} weights only after aligning neurons or heads, then {aligned:.3f}"
    return text


def _where_from(
    blocks: Sequence[LayerLineage], layer_map: dict[int, int], n_base_layers: int
) -> str:
    """Which layers came from where, and which did not come from the base."""
    strangers = [str(row.layer) for row in blocks if row.layer not in layer_map]
    unused = [str(i) for i in range(n_base_layers) if i not in layer_map.values()]
    texts = [
        "layers " + ", ".join(f"{ours} from {base}" for ours, base in layer_map.items())
        if layer_map
        else "the embedding or head alone is the base's",
        f"not from the base: {', '.join(strangers)}" if strangers else "",
        f"not taken from it: {', '.join(unused)}" if unused else "",
    ]
    return "; ".join(filter(None, texts))


def _doubt(blocks: Sequence[LayerLineage]) -> str | None:
    """Why weights within the null are no proof of independence, if so."""
    placed = [row for row in blocks if row.base_layer is not None]
    n_weights = sum(row.n_weights for row in placed)
    n_compared = sum(row.n_compared for row in placed)
    if n_compared < MIN_COMPARED_SHARE * n_weights or not placed:
        return f"only {n_compared} of {n_weights} weights of the layers could be compared"
    if (_median(row.max_sv_cosine for row in placed) or 0) > 1 - ROTATED:
        return "singular values agree to rounding, as those of a rotated copy do"
    return None
