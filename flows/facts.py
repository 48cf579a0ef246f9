"""What the lake knows of a pair, in the words of the rules: rows of marts, a scar, a triangle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from flows.targets import Target
from measure.records import Mode
from measure.verdicts import Scar, Triangle
from warehouse.lake import Lake

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A pair in the lake: ids by role, and how the user named them."""

    target: Target
    ids: Mapping[str, str]  # of 'derivative', 'base', and the other roles that were given

    def command(self, role: str) -> str:
        """The command that brings a role that is missing, those that were given kept."""
        given = {name: ref for name, ref in self.target.others().items() if name != role}
        options = {**given, role: {"reference": "R", "shared_comparator": "C"}[role]}
        told = " ".join(f"--{name.replace('_', '-')} {ref}" for name, ref in options.items())
        return f"`cicatrix verdict {self.target.model} {told}`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The rows of the marts that a pair's verdict is made of; empty where not measured."""

    pair: Pair
    derivative: str
    base: str
    family: str | None
    scar: Row
    functional: Mapping[str, Row]  # by mode
    winner_gap: Mapping[str, Row]
    triangle: Mapping[tuple[str, str], Row]  # by mode and role
    lineage: Row

    @property
    def derivative_id(self) -> str:
        """The model asked about."""
        return self.pair.ids["derivative"]

    @property
    def base_id(self) -> str:
        """The base it is judged against."""
        return self.pair.ids["base"]

    @classmethod
    def of(cls, lake: Lake, pair: Pair) -> Facts:
        """Look them up."""
        names = lake.query(
            "select derivative.label, base.label as base_label, "
            "coalesce(base.family, derivative.family) as family "
            "from model as derivative, model as base "
            "where derivative.model_id = ? and base.model_id = ?",
            [pair.ids["derivative"], pair.ids["base"]],
        ).row(0, named=True)
        scar = _rows(lake, "structural_scar", pair)
        functional = _rows(lake, "functional_distance", pair).filter(role="derivative")
        lineage = _rows(lake, "lineage", pair).sort("measured_at", descending=True)
        triangle = _rows(lake, "triangle", pair).sort("measured_at")
        for role in ("reference", "shared_comparator"):
            if (chosen := pair.ids.get(role)) is not None:
                triangle = triangle.filter(
                    (pl.col("role") != role) | (pl.col("reference_id") == chosen)
                )
        return cls(
            pair=pair,
            derivative=names["label"],
            base=names["base_label"],
            family=names["family"],
            scar=next(scar.iter_rows(named=True), {}),
            functional={row["mode"]: row for row in functional.iter_rows(named=True)},
            winner_gap={
                row["mode"]: row for row in _rows(lake, "winner_gap", pair).iter_rows(named=True)
            },
            lineage=next(lineage.iter_rows(named=True), {}),
            # of several references the newest stays
            triangle={(row["mode"], row["role"]): row for row in triangle.iter_rows(named=True)},
        )


def _rows(lake: Lake, mart: str, pair: Pair) -> pl.DataFrame:
    return lake.query(
        f"select * from {mart} where derivative_id = ? and base_id = ?",
        [pair.ids["derivative"], pair.ids["base"]],
    )


def scar_of(facts: Facts) -> Scar | None:
    """The scar as the rules take it; None with fewer than two seeds."""
    row = facts.scar
    if row.get("max_non_max_x_eps") is None:
        return None
    return Scar(
        pair=f"{facts.derivative} < {facts.base}",
        family=facts.family or facts.base,
        origin="measured",
        min_non_max=row["min_non_max_x_eps"],
        median_non_max=row["median_non_max_x_eps"],
        max_non_max=row["max_non_max_x_eps"],
        max_seed=row["max_seed_x_eps"],
        gini_max_seed=row["gini_max_seed"],
        top_dim_share_max_seed=row["top_dim_share_max_seed"],
        eps_measured=row["eps_measured"],
    )


def null_medians(lake: Lake, displaced: pl.DataFrame, facts: Facts) -> list[float]:
    """Median scars of the other non-distilled models, of those measured as this one was.

    `displaced` has the structural rows of the mart `displacement`.
    """
    is_asked = pl.col("derivative_id") == facts.derivative_id
    asked = displaced.filter(is_asked, base_id=facts.base_id)
    null = displaced.filter(~is_asked & ~pl.col("is_distilled"))
    scars = lake.query(
        "select derivative_id, base_id, median_non_max_x_eps from structural_scar "
        "where median_non_max_x_eps is not null"
    )
    found = null.join(asked, on="protocol", how="semi").join(scars, on=["derivative_id", "base_id"])
    return found["median_non_max_x_eps"].sort().to_list()


def triangle_of(facts: Facts, mode: Mode) -> Triangle:
    """The triangle as the rules take it; of each role its own row."""
    pair = facts.functional.get(mode, {})
    primary = facts.triangle.get((mode, "reference"), {})
    shared = facts.triangle.get((mode, "shared_comparator"), {})
    return Triangle(
        dc_primary=primary.get("dc"),
        dc_shared=shared.get("dc"),
        dc_primary_crp=primary.get("dc_crp"),
        d=(primary or shared).get("d", pair.get("centroid_distance")),
        c_primary=primary.get("c"),
        c_shared=shared.get("c"),
        crp_shared=shared.get("c_crp"),
        self_baseline=(primary or shared or pair).get("self_baseline"),
        shift_1=(primary or shared).get(
            "shift_1", facts.winner_gap.get(mode, {}).get("mean_signed_g1")
        ),
        shift_1_to_reference=primary.get("shift_1_to_reference"),
    )
