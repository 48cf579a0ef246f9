"""A lake with planted displacements: who moved where is known, since it was put there.

A base stands at tau 0.5 in every dimension and at template 0; a derivative at that plus its vector,
of which the first half moves the dimensions of the seeds, and all of it, if asked, the gaps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from making import distance_row, measurement, model, tau_row, template_row

from warehouse.lake import Lake
from warehouse.rows import to_arrow
from warehouse.tables import INSTANT, TABLES

EPOCH = datetime.fromtimestamp(0, UTC)
SEEDS, N_DIM = (0, 1), 8
N_VALUES = len(SEEDS) * N_DIM
PROMPTS = ("p0", "p1")


@dataclass(frozen=True)
class Plant:
    """A derivative: of known lineage if it has a method; `gaps` None: no templates measured."""

    name: str
    family: str
    tau: Sequence[float]  # of N_VALUES, in units of 1e-4, one floor of a seed
    method: str | None = None
    is_distilled: bool = False
    gaps: Sequence[float] | None = None  # of 20, logits

    @property
    def base(self) -> str:
        """Its family's base."""
        return f"{self.family}-base"


def plant(lake: Lake, plants: Sequence[Plant]) -> None:
    """Write all of them, and their bases, in one transaction."""
    tables: dict[str, list[dict[str, object]]] = {}
    for family in dict.fromkeys(one.family for one in plants):
        base = Plant(name=f"{family}-base", family=family, tau=[0.0] * N_VALUES, gaps=[0.0] * 20)
        _add_model(tables, base)
    for one in plants:
        _add_model(tables, one)
        add = {"derivative_id": one.name, "role": "base", "model_id": one.base}
        _put(tables, "comparison", {**add, "declared_by": "zoo"})
        if one.gaps is not None:
            _add_distance(tables, one)
    lake.add_measured({name: to_arrow(TABLES[name], rows) for name, rows in tables.items()})


def _put(tables: dict[str, list[dict[str, object]]], name: str, *rows: dict[str, object]) -> None:
    """Rows with every column: instants from the epoch, what is not said null."""
    for row in rows:
        at = EPOCH + timedelta(microseconds=len(tables.get(name, [])))
        instants = {c.name: at for c in TABLES[name].columns if c.type == INSTANT}
        tables.setdefault(name, []).append({**instants, **row})


def _add_model(tables: dict[str, list[dict[str, object]]], one: Plant) -> None:
    _put(tables, "model", model(one.name, family=one.family, label=one.name))
    if one.method is not None:
        organism = {
            "model_id": one.name, "name": one.name, "method": one.method, "role": "derivative",
            "is_distilled": one.is_distilled, "base_id": one.base, "teacher_id": None, "seed": 0,
            "is_shipped": False, "declared_by": "zoo",
        }  # fmt: skip
        _put(tables, "organism", organism)
    taus = 0.5 + np.array(one.tau).reshape(len(SEEDS), N_DIM) * 1e-4
    rows = [
        {**tau_row(seed, dim, float(tau), float(tau)), "measurement_id": f"s-{one.name}"}
        for seed, values in zip(SEEDS, taus, strict=True)
        for dim, tau in enumerate(values)
    ]
    _add_measurement(
        tables, f"s-{one.name}", "structural", {"model": one.name}, "structural_tau", rows
    )
    if one.gaps is not None:
        values = list(map(float, one.gaps))
        templates = [
            {**template_row(p, template=values), "measurement_id": f"t-{one.name}"} for p in PROMPTS
        ]
        _add_measurement(
            tables, f"t-{one.name}", "template", {"model": one.name}, "prompt_template", templates
        )


def _add_distance(tables: dict[str, list[dict[str, object]]], one: Plant) -> None:
    """The comparison of the two templates: every prompt moved alike, so CRP is the centroid's."""
    assert one.gaps is not None
    norm = float(np.linalg.norm(one.gaps))
    over = {"centroid_distance": norm, "crp_distance": norm, "n_prompts": len(PROMPTS),
            "ci_low_centroid_distance": norm, "ci_high_centroid_distance": norm,
            "ci_low_crp_distance": norm, "ci_high_crp_distance": norm}  # fmt: skip
    row = {**distance_row("derivative", **over), "measurement_id": f"d-{one.name}"}
    options = f'{{"inputs":{{"base":"t-{one.base}","derivative":"t-{one.name}"}},"mode":"free"}}'
    models = {"base": one.base, "derivative": one.name}
    _add_measurement(
        tables, f"d-{one.name}", "template_distance", models, "template_distance", [row],
        options=options,
    )  # fmt: skip


def _add_measurement(
    tables: dict[str, list[dict[str, object]]],
    measurement_id: str,
    method: str,
    models: dict[str, str],
    table: str,
    rows: list[dict[str, object]],
    **over: object,
) -> None:
    seeds = list(SEEDS) if method == "structural" else []
    _put(tables, "measurement", measurement(measurement_id, method, 1, seeds=seeds, **over))
    for role, model_id in models.items():
        member = {"measurement_id": measurement_id, "role": role, "model_id": model_id}
        _put(tables, "measurement_model", member)
    done = {"measurement_id": measurement_id, "unit": "all", "n_rows": len(rows), "duration_s": 1.0}
    _put(tables, "unit", done)
    _put(tables, table, *rows)


def directions(rng: np.random.Generator, n: int, size: float) -> np.ndarray:
    """Random displacements of tau of that norm, in floors of all seeds together."""
    drawn = rng.normal(size=(n, N_VALUES))
    return size * np.sqrt(len(SEEDS)) * drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def family_of(
    family: str,
    rng: np.random.Generator,
    *,
    shift: float,
    n_recipes: int = 4,
    n_null: int = 25,
    with_gaps: bool = True,
) -> list[Plant]:
    """Distilled ones moved by `shift` along one direction of the family; all by noise of 10."""
    axis = directions(rng, 1, 1.0)[0]
    noise = directions(rng, n_recipes + n_null, 10.0)
    gaps = rng.normal(size=20)
    gaps /= np.linalg.norm(gaps)
    moved = rng.normal(size=(n_recipes + n_null, 20)) * 0.01
    distilled = [
        Plant(
            f"{family}-distilled-{i}", family, shift * axis + noise[i], f"distilled-{i}", True,
            shift * 0.01 * gaps + moved[i] if with_gaps else None,
        )
        for i in range(n_recipes)
    ]  # fmt: skip
    null = [
        Plant(
            f"{family}-null-{i}", family, noise[i], "sft" if i % 2 else "pruned", False,
            moved[i] if with_gaps else None,
        )
        for i in range(n_recipes, n_recipes + n_null)
    ]  # fmt: skip
    return [*distilled, *null]
