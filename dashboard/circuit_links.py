"""The edges of a circuit as lines of its graph."""

from typing import Any

import altair as alt
import polars as pl

from dashboard.charts import GREY, said, tooltips
from dashboard.component_charts import HARMS, HELPS
from dashboard.words import signed

MOST = 60  # edges drawn
BOW = 1.1  # columns that a line along its own column swings out, at most
_ENDS = ("source", "destination")
_STEPS = 12  # points of a line


def lines(
    edges: pl.DataFrame, nodes: pl.DataFrame, mlp_column: int, n_layers: int, x: alt.X, y: alt.Y
) -> list[alt.Chart]:
    """A curve an edge, and a place for the logits below the last layer; nothing of no edges.

    `edges` are rows of the mart `circuit_link`; `nodes` have a `component`, its `column` and its
    `layer`.
    """
    if edges.is_empty():
        return []
    places = {row["component"]: (row["column"], row["layer"]) for row in nodes.to_dicts()}
    places["output"] = (mlp_column, n_layers)
    strongest = (
        edges.filter("is_apart", *(pl.col(end).is_in(list(places)) for end in _ENDS))
        .sort(pl.col("delta_p_edge").abs(), descending=True)
        .unique(["source", "destination"], keep="first", maintain_order=True)
        .head(MOST)
        .with_columns(
            name=pl.format("{} to {} ({})", "source", "destination", "reader"),
            points=said("delta_p_edge", signed),
            interval=pl.format(
                "{} to {}",
                said("ci_low_delta_p_edge", signed),
                said("ci_high_delta_p_edge", signed),
            ),
            kept=pl.col("is_kept").replace_strict({True: "yes", False: "no"}),
            thick=pl.col("delta_p_edge").abs(),
            is_lost=pl.col("delta_p_edge") < 0,
        )
    )
    drawn = pl.DataFrame(
        [
            {**row, "column": at[0], "layer": at[1], "step": step}
            for row in strongest.to_dicts()
            for step, at in enumerate(_curve(places[row["source"]], places[row["destination"]]))
        ],
        schema_overrides={"column": pl.Float64, "layer": pl.Float64},
    )
    logits = pl.DataFrame({"column": [mlp_column], "layer": [n_layers], "component": ["logits"]})
    told = alt.Chart(logits)
    layers = [
        told.mark_point(shape="triangle-down", size=90, color=GREY, filled=True, opacity=1)
        .encode(x, y),
        told.mark_text(dy=20, baseline="middle").encode(x, y, alt.Text("component:N")),
    ]  # fmt: skip
    if drawn.is_empty():
        return layers
    tip = tooltips(
        N={
            "name": "From, to (read by)", "points": "Points without it",
            "interval": "95 % interval", "kept": "Costs more than the budget",
            "measurement_id": "Measurement",
        },
        Q={"n_prompts": "Prompts, n"},
    )  # fmt: skip
    for is_lost, colour in ((True, HELPS), (False, HARMS)):
        mine = drawn.filter(pl.col("is_lost") == is_lost)
        if not mine.is_empty():
            layers.append(
                alt.Chart(mine).mark_line(color=colour, opacity=0.55, strokeCap="round")
                .encode(
                    x, y, alt.Order("step:Q"), alt.Detail("name:N"),
                    alt.StrokeWidth(
                        "thick:Q", legend=None,
                        scale=alt.Scale(domain=[0, 100], range=[0.8, 9], clamp=True),
                    ),
                    tooltip=tip,
                )
            )  # fmt: skip
    return layers


def _curve(start: tuple[Any, Any], end: tuple[Any, Any]) -> list[tuple[float, float]]:
    """Points from one place to another; along a column it swings out, the further the longer."""
    (x0, y0), (x1, y1) = start, end
    bow = min(0.25 * (y1 - y0), BOW) if x0 == x1 and y1 - y0 > 1 else 0.0
    found: list[tuple[float, float]] = []
    for step in range(_STEPS + 1):
        t = step / _STEPS
        out = 2 * t * (1 - t) * 2 * bow  # a parabola, `bow` at its middle
        found.append((x0 + t * (x1 - x0) + out, y0 + t * (y1 - y0)))
    return found
