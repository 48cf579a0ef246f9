"""Family calibration from the lake: where models of known lineage were moved to, by layer.

Who is distilled is known of the models of the zoo, and of those that their user declared with
`cicatrix declare` (table `organism`). A `--teacher` of a measurement is a suspicion and calibrates
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from measure.calibration import Calibration, Derivative
from measure.verdicts import Layer
from warehouse.lake import Lake

if TYPE_CHECKING:
    from jaxtyping import Float

    Matrix = Float[NDArray[np.float64], "derivatives values"]

LAYERS: tuple[Layer, ...] = ("structural", "functional")  # delta-norm is a gate and moves nothing

ALIKE = ("protocol", "n_values", "tokenizer")  # what displacements must share to be compared


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """A derivative and the calibration that may judge it."""

    calibration: Calibration
    asked: Derivative
    # of known lineage in this family: of another tokenizer, measured otherwise, of unknown noise
    n_left_out: int


def displacements(lake: Lake, layer: Layer) -> pl.DataFrame:
    """The rows of the mart `displacement` in one layer."""
    return lake.query("select * from displacement where layer = ? order by derivative_id", [layer])


def question(frame: pl.DataFrame, layer: Layer, derivative_id: str, base_id: str) -> Question | str:
    """What is asked of one derivative; or why its layer has no displacement to ask about."""
    is_asked = (pl.col("derivative_id") == derivative_id) & (pl.col("base_id") == base_id)
    found = frame.filter(is_asked)
    if found.is_empty():
        return "it has no displacement from its base here"
    asked = found.row(0, named=True)
    if asked["floor"] is None:
        return "the noise of its displacement is unknown or too large"
    family = frame.filter(family=asked["family"])
    like = _like(family, *(asked[name] for name in ALIKE))
    members = like.filter(is_asked | pl.col("is_distilled").is_not_null())
    vectors = _vectors(members)
    if not vectors.shape[1]:
        return "every prompt failed in one of the models compared"
    every = _derivatives(members, vectors)
    n_known = family["is_distilled"].count()
    return Question(
        calibration=_calibration(members, every, layer),
        asked=every[members["derivative_id"].to_list().index(derivative_id)],
        n_left_out=n_known - members["is_distilled"].count(),
    )


def families(frame: pl.DataFrame, layer: Layer) -> list[Calibration]:
    """A calibration a family, of its members measured by the protocol that most of them share."""
    known = frame.filter(pl.col("is_distilled").is_not_null() & pl.col("floor").is_not_null())
    found: list[Calibration] = []
    for (_,), family in known.group_by("family", maintain_order=True):
        shared = (
            family.group_by(*ALIKE)
            .agg(pl.len(), pl.col("measured_at").max())
            .sort("len", "measured_at", "protocol", "tokenizer", descending=True)
        )
        members = _like(family, *(shared[name][0] for name in ALIKE))
        vectors = _vectors(members)
        if vectors.shape[1]:
            found.append(_calibration(members, _derivatives(members, vectors), layer))
    return sorted(found, key=lambda one: one.family)


def _like(frame: pl.DataFrame, *alike: object) -> pl.DataFrame:
    """Displacements that may be compared: the same in all of ALIKE, and their noise is known."""
    return frame.filter(pl.col("floor").is_not_null(), **dict(zip(ALIKE, alike, strict=True)))


def _vectors(members: pl.DataFrame) -> Matrix:
    """Their displacements, over the values that all of them have."""
    n_values = members["n_values"][0]
    every = members["displacement"].cast(pl.Array(pl.Float64, n_values)).to_numpy()
    vectors = np.asarray(every, dtype=np.float64).reshape(members.height, n_values)
    return vectors[:, np.isfinite(vectors).all(axis=0)]


def _derivatives(members: pl.DataFrame, vectors: Matrix) -> list[Derivative]:
    return [
        Derivative(name=name, recipe=recipe, displacement=vector, is_declared=said_by == "user")
        for name, recipe, said_by, vector in zip(
            *(members[column] for column in ("derivative_id", "recipe", "declared_by")),
            vectors,
            strict=True,
        )
    ]


def _calibration(members: pl.DataFrame, every: Sequence[Derivative], layer: Layer) -> Calibration:
    known = list(zip(every, members["is_distilled"], strict=True))
    return Calibration(
        family=members["family"][0],
        layer=layer,
        floor=float(np.median(members["floor"].to_numpy())),
        distilled=tuple(one for one, is_distilled in known if is_distilled is True),
        null=tuple(one for one, is_distilled in known if is_distilled is False),
    )
