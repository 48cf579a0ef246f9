"""What stands beside a verdict and decides nothing: stiffness, Fisher curvature, published numbers.

Stiffness is of the weights, all of them, and has no interval; nothing is inferred from it. Fisher
curvature has one over prompts; where the damping outweighs it, it is excluded from comparison. What
others published of the family's real models is of other sizes and of another tau: it is shown under
its own mark, and no null, direction or threshold has any of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from measure import verdicts
from measure.published import PublishedNumber
from measure.verdicts import Evidence
from warehouse.lake import Lake

Row = Mapping[str, Any]
_NUMBERS = {
    "stiffness": (
        "stiffness", "stiffness_rms", "stiffness_row_mean", "stiffness_o", "gamma_mean", "sigma_w",
        "tied", "n_rows",
    ),
    "fisher": (
        "kappa_f", "ci_low_kappa_f", "ci_high_kappa_f", "n_prompts", "n_prompts_dropped",
        "kappa_norm2_mean", "rho_f", "fisher_status", "halves_ratio", "is_repeatable",
    ),
}  # fmt: skip
_VALUE = {"stiffness": "stiffness", "fisher": "kappa_f"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Observable:
    """A number of derivative and base that no verdict rests on, with what belongs to it."""

    name: Literal["stiffness", "fisher"]
    derivative: Row  # empty where it was not measured
    base: Row
    excluded: tuple[str, ...]  # why the two are not to be compared; empty if they may be

    def models(self) -> Iterator[tuple[str, Row]]:
        """Role and numbers, of those that were measured."""
        for role, row in (("derivative", self.derivative), ("base", self.base)):
            if row.get(_VALUE[self.name]) is not None:
                yield role, row


def observables(lake: Lake, derivative_id: str, base_id: str) -> tuple[Observable, ...]:
    """Stiffness and Fisher curvature of a pair, from their marts."""
    return tuple(_observable(lake, name, (derivative_id, base_id)) for name in _NUMBERS)


def _observable(lake: Lake, name: str, ids: tuple[str, str]) -> Observable:
    assert name in ("stiffness", "fisher")
    found = lake.query(f"select * from {name} where model_id in (?, ?)", list(ids))
    rows = {row["model_id"]: row for row in found.iter_rows(named=True)}
    of_role = dict(zip(("derivative", "base"), map(rows.get, ids), strict=True))
    return Observable(
        name=name,
        **{
            role: {} if row is None else {column: row[column] for column in _NUMBERS[name]}
            for role, row in of_role.items()
        },
        excluded=tuple(
            f"{role} {why}" for role, row in of_role.items() for why in _why_excluded(name, row)
        ),
    )


def _why_excluded(name: str, row: Row | None) -> Iterator[str]:
    if row is None:
        yield "not measured"
    elif row[_VALUE[name]] is None:
        yield row["reason"] or "unknown"
    elif name == "fisher":
        yield from verdicts.why_inadmissible(
            Evidence(name=name, layer="thermodynamic", supports=None, rho_f=row["rho_f"])
        )
        if row["is_repeatable"] is False:
            yield f"halves of its prompts differ by {row['halves_ratio']:.3g}, at most 3 may be"


# What stands beside the numbers of each section: its name, the quantity, the convention.
_SHOWN: Mapping[str, Sequence[tuple[str, str, str | None]]] = {
    "structural": (("scar x eps", "x_eps", "non_max_range"),),
    "functional": (
        ("D/C", "dc_ratio", "primary, centroid"),
        ("shared", "dc_ratio", "shared, centroid"),
        ("centroid", "centroid_distance", "base to derivative"),
    ),
    "thermodynamic": (("delta-norm", "delta_norm", None), ("stiffness", "stiffness", None)),
}


def published(lake: Lake, family: str | None) -> tuple[PublishedNumber, ...]:
    """What others published of a family; empty for one they did not look at."""
    rows = lake.query(
        "select pair as subject, * exclude (pair) from published where family = ?", [family]
    )
    return tuple(PublishedNumber(**row) for row in rows.iter_rows(named=True))


def said(numbers: Sequence[PublishedNumber], section: str) -> str | None:
    """The numbers that belong beside a section's own, by model; None if there are none."""
    by_model: dict[str, list[str]] = {}
    for name, quantity, convention in _SHOWN[section]:
        for one in numbers:
            if (one.quantity, one.convention) == (quantity, convention):
                by_model.setdefault(one.subject, []).append(f"{name} {_number(one)}")
    return "; ".join(f"{model} {', '.join(told)}" for model, told in by_model.items()) or None


def _number(one: PublishedNumber) -> str:
    if one.value is not None:
        return f"{one.value:,.4g}"
    return f"{one.low:,.4g}-{one.high:,.4g}" if one.low is not None else str(one.text)
