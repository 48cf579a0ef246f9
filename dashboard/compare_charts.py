"""The charts of two derivatives: paired differences, and blocks of weights."""

import altair as alt
import polars as pl

from dashboard.charts import (
    FULL,
    GREY,
    PALE,
    ROLE_SHAPES,
    colour,
    drawn_once,
    layered,
    said,
    tooltips,
)
from dashboard.words import UNITS, n_said, signed


@drawn_once
def paired(differences: pl.DataFrame, one: str, other: str) -> alt.LayerChart:
    """Mean differences with their ends, each in parts of its own largest end, about 0.

    `differences` are rows of the mart `paired_difference`.
    """
    largest = pl.max_horizontal(
        pl.col("low").abs(), pl.col("high").abs(), pl.col("mean_difference").abs()
    )
    size = pl.when(largest > 0).then(largest).otherwise(1.0)
    rows = differences.with_columns(
        row=pl.concat_str("quantity", "mode", separator="|", ignore_nulls=True),
        at=pl.col("mean_difference") / size,
        from_at=pl.col("low") / size,
        to_at=pl.col("high") / size,
        opacity=pl.when("is_apart").then(FULL).otherwise(PALE * 0.8),
        differs=said("mean_difference", signed),
        ends=pl.format("{} to {}", said("low", signed), said("high", signed)),
        mean_a_said=said("mean_a"),
        mean_b_said=said("mean_b"),
    ).with_columns(label=pl.format("{} {}", "differs", pl.col("unit").replace(UNITS)))
    x = alt.X(
        "at:Q",
        title=["← less than the other · more →", "difference, in parts of its largest end"],
        scale=alt.Scale(domain=[-1.1, 1.1]),
        axis=alt.Axis(labels=False, ticks=False, values=[0]),
    )
    in_two_lines = alt.Axis(
        labelExpr="split(datum.label, '|')", labelLimit=190, labelOffset=-7, grid=False
    )
    y = alt.Y("row:N", title=None, sort=None, axis=in_two_lines)
    tip = tooltips(
        N={
            "quantity": "Quantity", "mode": "Mode", "differs": "Mean difference", "ends": "Ends",
            "spread": "Which are", "mean_a_said": "Mean of the one",
            "mean_b_said": "Mean of the other", "unit": "Unit",
        },
        Q={"n": "Pairs, n"},
    )  # fmt: skip
    shade = alt.Opacity("opacity:Q", scale=None)
    layers = (
        alt.Chart(pl.DataFrame({"at": [0.0]})).mark_rule(color=GREY).encode(x),
        alt.Chart(rows.drop_nulls("from_at"))
        .mark_rule(strokeWidth=2, color=GREY)
        .encode(alt.X("from_at:Q"), y, alt.X2("to_at:Q"), opacity=shade),
        alt.Chart(rows)
        .mark_point(shape=ROLE_SHAPES["derivative"], filled=True, size=120, color=GREY)
        .encode(x, y, opacity=shade, tooltip=tip),
        alt.Chart(rows).mark_text(dy=-13).encode(x, y, alt.Text("label:N")),
    )
    title = alt.Title(
        f"{one} less {other}",
        subtitle=f"{n_said(rows['n'], 'pair')}, of prompts or of seeds; measured",
    )
    return layered(layers, height=46 * max(rows.height, 1) + 90, title=title)


@drawn_once
def blocks(rows: pl.DataFrame, one: str, other: str, family: str | None) -> alt.LayerChart:
    """How far each block moved from the base's, both derivatives; the first apart is ringed."""
    sides = pl.concat(
        rows.select(
            "layer", "is_first", value=f"displacement_{side}", who=pl.lit(name), side=pl.lit(side)
        )
        for side, name in (("a", one), ("b", other))
    ).with_columns(says=said("value"))
    x = alt.X("layer:Q", title="Block", axis=alt.Axis(tickMinStep=1, format="d"))
    y = alt.Y("value:Q", title="Moved, parts of the base's norm", scale=alt.Scale(zero=True))
    tip = tooltips(N={"who": "Derivative", "says": "Moved"}, Q={"layer": "Block"})
    hue = {"a": colour(family), "b": GREY}
    last = sides.filter(pl.col("layer") == pl.col("layer").max())
    parts = [
        alt.Chart(sides.filter(pl.col("side") == side))
        .mark_line(color=hue[side], strokeDash=dash, point=alt.OverlayMarkDef(color=hue[side]))
        .encode(x, y, tooltip=tip)
        for side, dash in (("a", [1, 0]), ("b", [6, 4]))
    ]
    layers = (
        *parts,
        alt.Chart(sides.filter("is_first"))
        .mark_point(shape="circle", size=320, strokeWidth=1.5, color=GREY)
        .encode(x, y),
        alt.Chart(last).mark_text(align="right", dy=-14).encode(x, y, alt.Text("who:N")),
    )
    title = alt.Title("Blocks of weights", subtitle=f"n = {rows.height} blocks; measured")
    return layered(layers, height=280, title=title)
