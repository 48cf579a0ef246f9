"""The map of lineage stays readable with many models."""

import polars as pl
import pytest

from dashboard import lineage_chart

EDGES = pl.DataFrame(
    schema={
        "kind": pl.String, "from_id": pl.String, "to_id": pl.String, "from_model": pl.String,
        "to_model": pl.String, "x_eps": pl.Float64, "is_measured": pl.Boolean,
        "evidence": pl.String,
    }
)  # fmt: skip


def node(kind: str, name: str, y: float) -> dict[str, object]:
    return {
        "kind": kind, "model_id": name, "model": name, "family": "llama", "base_id": None, "y": y,
        "x_eps": None, "structural_status": "above its floor", "is_distilled": False,
        "n_derivatives": 1,
    }  # fmt: skip


@pytest.mark.parametrize("at", [5.0, 50.0, 100.0])
def test_names_of_teachers_at_one_height_are_drawn_apart(at: float):
    nodes = [node("base", f"base-{n}", float(n)) for n in range(101)]
    nodes += [node("teacher", f"teacher-{n}", at) for n in range(8)]
    chart = lineage_chart.lineage_map(pl.DataFrame(nodes), EDGES).to_dict()
    drawn = {row["model_id"]: row["y"] for rows in chart["datasets"].values() for row in rows}
    ys = sorted(y for name, y in drawn.items() if name.startswith("teacher"))
    pixels = 1_500 / 101.2  # of a unit of height: the map is as high as it may be
    assert min(b - a for a, b in zip(ys, ys[1:], strict=False)) * pixels >= 17
    assert ys[0] >= 0 and ys[-1] <= 101  # none leaves the map
    assert drawn["base-7"] == 7  # what they are beside stays
