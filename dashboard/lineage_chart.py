"""The map of lineage: bases, their derivatives by loudness, and teachers."""

from typing import cast

import altair as alt
import polars as pl

from dashboard.charts import (
    FULL,
    GREY,
    LOWEST,
    PALE,
    ROLE_SHAPES,
    colour,
    drawn_once,
    layered,
    said,
    tooltips,
)
from dashboard.words import NOT_INTERPRETABLE

MARKED = "model"  # the parameter that a click sets
MOST_MARKS = 5_000
MOST_NAMED = 24  # derivatives up to which each carries its name
_LANE = 30  # pixels a unit of height
_TALLEST = 1_500  # pixels; more than that scrolls out of sight
_NAME = 18  # pixels between the names of two teachers
_TICKS = (1, 10, 100, 1_000, 10_000, 100_000)


@drawn_once
def lineage_map(nodes: pl.DataFrame, edges: pl.DataFrame) -> alt.LayerChart:
    """Bases at the left, each derivative in its base's lane by loudness, teachers at the right.

    `nodes` and `edges` are rows of the marts `lineage_node` and `lineage_edge`.
    """
    loudest = cast("float | None", nodes["x_eps"].max()) or 10.0
    left, unknown, right = LOWEST / 30, LOWEST / 3, max(loudest, 10.0) * 12
    at = (
        pl.when(pl.col("kind") == "base").then(left)
        .when(pl.col("kind") == "teacher").then(right)
        .otherwise(pl.max_horizontal(pl.col("x_eps").fill_null(unknown), pl.lit(unknown)))
    )  # fmt: skip
    is_pale = pl.col("structural_status") == NOT_INTERPRETABLE
    drawn = _spread(nodes.head(MOST_MARKS // 2)).with_columns(
        x=at,
        colour=pl.col("family").map_elements(colour, return_dtype=pl.String, skip_nulls=False),
        opacity=pl.when(is_pale).then(PALE).otherwise(FULL),
        said=said("x_eps"),
        known=pl.col("is_distilled").replace_strict(
            {True: "distilled", False: "not distilled"}, default="not known",
            return_dtype=pl.String,
        ),
    )  # fmt: skip
    lines = _lines(drawn, edges)
    top = (cast("float | None", drawn["y"].max()) or 1.0) + 1.2
    x = alt.X(
        "x:Q",
        title="Derivatives by their distance from the base, × ε (ε = 0.0001), log scale",
        scale=alt.Scale(type="log", domain=[left / 1.6, right * 1.6], nice=False),
        axis=alt.Axis(values=[t for t in _TICKS if t < right / 4], format=",", grid=True),
    )
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[top, -0.2], nice=False))
    hue = alt.Color("colour:N", scale=None)
    click = alt.selection_point(name=MARKED, fields=["model_id", "kind"], empty=False)
    tip = tooltips(
        N={
            "model": "Model", "kind": "It is", "family": "Family", "known": "Known as",
            "said": "Distance from its base, × ε", "structural_status": "Against its floor",
            "model_id": "Id",
        },
        Q={"n_derivatives": "Derivatives"},
    )  # fmt: skip
    edge_tip = tooltips(
        N={"from_model": "From", "to_model": "To", "kind": "Lineage of", "evidence": "Evidence"}
    )
    from_base, taught = (pl.col("kind") == kind for kind in ("weight", "capability"))
    is_head = pl.col("kind").is_in(["base", "teacher"])
    derivatives = drawn.filter(pl.col("kind") == "derivative")
    named = derivatives if derivatives.height <= MOST_NAMED else derivatives.clear()
    points = (
        alt.Chart(drawn.filter(pl.col("kind") == kind))
        .mark_point(shape=ROLE_SHAPES[kind], filled=True, size=size, cursor="pointer")
        .encode(x, y, alt.Opacity("opacity:Q", scale=None), color=hue, tooltip=tip)
        for kind, size in (("derivative", 75), ("teacher", 130), ("base", 150))
    )
    first, *others = points
    layers = (
        alt.Chart(lines.filter(from_base)).mark_rule()
        .encode(
            x, y, alt.X2("to_x:Q"), alt.Y2("to_y:Q"), hue, alt.OpacityValue(0.35),
            alt.StrokeWidth("width:Q", scale=None), tooltip=edge_tip,
        ),
        alt.Chart(lines.filter(taught)).mark_rule(strokeDash=[4, 4], color=GREY)
        .encode(
            x, y, alt.X2("to_x:Q"), alt.Y2("to_y:Q"), alt.Opacity("opacity:Q", scale=None),
            alt.StrokeWidth("width:Q", scale=None), tooltip=edge_tip,
        ),
        first.add_params(click),
        *others,
        alt.Chart(drawn.filter(pl.col("kind") == "base"))
        .mark_text(align="left", dx=-6, dy=-15).encode(x, y, alt.Text("model:N")),
        alt.Chart(drawn.filter(pl.col("kind") == "teacher"))
        .mark_text(align="right", dx=6, dy=-15).encode(x, y, alt.Text("model:N")),
        alt.Chart(named).mark_text(align="left", dx=9).encode(x, y, alt.Text("model:N")),
    )  # fmt: skip
    n = {kind: drawn.filter(pl.col("kind") == kind).height for kind in ROLE_SHAPES}
    title = alt.Title(
        "Who was made from whom",
        subtitle=f"n = {n['base']} bases, {n['derivative']} derivatives, {n['teacher']} teachers",
    )
    height = min(int(_LANE * top * (1.0 if drawn.filter(is_head).height < 12 else 0.8)), _TALLEST)
    return layered(layers, height=max(height, 220) + 90, title=title)


def _spread(nodes: pl.DataFrame) -> pl.DataFrame:
    """The nodes with their teachers so far apart that each name can be read."""
    height = cast("float | None", nodes["y"].max()) or 1.0
    apart = _NAME * max(height / _TALLEST, 1 / _LANE)
    ys: list[float] = []
    teachers = nodes.filter(pl.col("kind") == "teacher").sort("y", "model_id")
    for y in teachers["y"]:
        ys.append(max(y, ys[-1] + apart) if ys else y)
    if ys and ys[-1] > height:  # the lowest would leave the map: all of them go up
        lift = min(ys[-1] - height, ys[0])
        ys = [y - lift for y in ys]
    moved = teachers.select("model_id", "kind", moved=pl.Series(ys, dtype=pl.Float64))
    return (
        nodes.join(moved, on=["model_id", "kind"], how="left", maintain_order="left")
        .with_columns(y=pl.coalesce("moved", "y"))
        .drop("moved")
    )


def _lines(drawn: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """Each edge from where it starts to where it ends; wider where the scar is louder."""
    ends = drawn.select("model_id", "base_id", "x", "y", "colour", role="kind")
    starts = ends.filter(pl.col("role") != "derivative").select(
        kind=pl.col("role").replace({"base": "weight", "teacher": "capability"}),
        from_id="model_id", x="x", y="y", colour="colour",
    )  # fmt: skip
    targets = ends.filter(pl.col("role") == "derivative").select(
        to_id="model_id", lane="base_id", to_x="x", to_y="y"
    )
    # A capability edge has no lane of its own: it ends where the derivative stands.
    return (
        edges.join(starts, on=["kind", "from_id"])
        .join(targets, on="to_id")
        .filter((pl.col("kind") == "capability") | (pl.col("lane") == pl.col("from_id")))
        .head(MOST_MARKS // 2)
        .with_columns(
            width=pl.when(pl.col("kind") == "weight")
            .then(0.5 + pl.col("x_eps").fill_null(0).clip(1).log10() * 0.7)
            .otherwise(pl.when("is_measured").then(2.0).otherwise(1.0)),
            opacity=pl.when("is_measured").then(0.8).otherwise(0.3),
        )
    )


@drawn_once
def by_block(blocks: pl.DataFrame, family: str | None) -> alt.LayerChart:
    """Cosine of each block with the base's beside its null.

    `blocks` are rows of the mart `lineage_layer` of one pair, without embedding and head.
    """
    rows = blocks.head(MOST_MARKS // 4).with_columns(
        cosine=said("median_cosine"),
        null=said("median_null_cosine"),
        matched=said("median_aligned_cosine"),
        moved=said("median_rel_displacement"),
    )
    x = alt.X("layer:O", title="Block of the derivative", axis=alt.Axis(labelAngle=0))
    y = alt.Y(
        "median_cosine:Q", title="Cosine with the base's block",
        scale=alt.Scale(domain=[min(0.0, *blocks["median_cosine"].drop_nulls()), 1.0]),
    )  # fmt: skip
    tip = tooltips(
        N={
            "cosine": "Cosine", "null": "Null", "matched": "After matching",
            "moved": "Moved, parts of the base's norm",
        },
        Q={"layer": "Block", "base_layer": "Base's block", "n_compared": "Matrices, n"},
    )  # fmt: skip
    marks = alt.Chart(rows)
    layers = (
        marks.mark_tick(color=GREY, thickness=3, size=22).encode(
            x, alt.Y("median_null_cosine:Q"), tooltip=tip
        ),
        marks.mark_point(shape="circle", filled=False, size=150, color=GREY).encode(
            x, alt.Y("median_aligned_cosine:Q"), tooltip=tip
        ),
        marks.mark_point(shape="circle", filled=True, size=90, color=colour(family)).encode(
            x, y, tooltip=tip
        ),
    )
    title = alt.Title("Block by block", subtitle=f"n = {rows.height} blocks; measured")
    return layered(layers, height=300, title=title)
