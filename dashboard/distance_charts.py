"""The charts of distances: centroid against CRP, prompts by sign, gaps by dominance."""

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
    row_names,
    rows_above,
    said,
    sized,
    tooltips,
)
from dashboard.words import NOT_INTERPRETABLE, signed

MOST_MARKS = 5_000
MOST_FLOORS = 24  # pairs whose floors and intervals are drawn; else the chosen one's
MARKED = "pair"  # the parameter that a click sets
UP, DOWN = "#0072B2", "#D55E00"  # of Okabe & Ito; the side of 0 says it, too
LEAST = 0.01  # logits; a log axis has no 0, and what lies lower is drawn here


@drawn_once
def centroid_against_crp(pairs: pl.DataFrame, chosen: str) -> alt.LayerChart:
    """Each pair's centroid over its CRP distance with the diagonal; the chosen one's floors.

    `pairs` are rows of the mart `centroid_crp` of one mode; `chosen` is a measurement's id.
    """
    rows = (
        pairs.drop_nulls(["centroid_distance", "crp_distance"])
        .top_k(MOST_MARKS // 4, by="crp_distance")
        .with_columns(
            x=pl.max_horizontal("crp_distance", pl.lit(LEAST)),
            y=pl.max_horizontal("centroid_distance", pl.lit(LEAST)),
            y_floor=pl.max_horizontal("centroid_floor", pl.lit(LEAST)),
            x_floor=pl.max_horizontal("crp_floor", pl.lit(LEAST)),
            colour=pl.col("family").map_elements(colour, return_dtype=pl.String, skip_nulls=False),
            opacity=pl.when(pl.col("divergence") == NOT_INTERPRETABLE).then(PALE).otherwise(FULL),
            centroid=said("centroid_distance"),
            crp=said("crp_distance"),
            interval=_interval("centroid_distance"),
            crp_interval=_interval("crp_distance"),
            floor_said=said("centroid_floor"),
            crp_floor_said=said("crp_floor"),
            cancels=said("cancellation"),
        )
    )
    ends = [v for name in ("x", "y", "x_floor", "y_floor") for v in rows[name].drop_nulls()]
    low, high = min(ends, default=0.1) / 1.5, max(ends, default=1.0) * 1.6
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    axis = alt.Axis(tickCount=5, format="~g")
    x = alt.X("x:Q", title="CRP distance, logits, log scale", scale=scale, axis=axis)
    y = alt.Y("y:Q", title="Centroid distance, logits, log scale", scale=scale, axis=axis)
    tip = tooltips(
        N={
            "derivative": "Derivative", "base": "From", "divergence": "They say",
            "divergence_reason": "Because", "centroid": "Centroid, logits",
            "interval": "95 % interval", "floor_said": "its floor", "crp": "CRP, logits",
            "crp_interval": "95 % interval of CRP", "crp_floor_said": "floor of CRP",
            "cancels": "CRP over centroid", "mode": "Mode", "measurement_id": "Measurement",
        },
        Q={"n_prompts": "Prompts, n"},
    )  # fmt: skip
    click = alt.selection_point(name=MARKED, fields=["derivative_id", "base_id"], empty=False)
    mine = rows.filter(pl.col("measurement_id") == chosen)
    floored = rows if rows.height <= MOST_FLOORS else mine
    diagonal = alt.Chart(pl.DataFrame({"x": [low, high], "y": [low, high]}))
    at = low * (high / low) ** 0.4
    hue = alt.Color("colour:N", scale=None)
    points = alt.Chart(rows).mark_point(
        shape=ROLE_SHAPES["derivative"], filled=True, size=110, cursor="pointer"
    )
    layers = (
        alt.Chart(mine.with_columns(low=pl.lit(low))).mark_rule(color=GREY, strokeDash=[5, 4])
        .encode(alt.X("x_floor:Q", scale=scale)),
        alt.Chart(mine).mark_rule(color=GREY, strokeDash=[5, 4])
        .encode(alt.Y("y_floor:Q", scale=scale)),
        diagonal.mark_line(color=GREY, strokeWidth=1.5).encode(x, y),
        alt.Chart(pl.DataFrame({"x": [at], "y": [at]}))
        .mark_text(align="right", dx=-10, dy=-4)
        .encode(x, y, alt.TextValue("nothing cancels")),
        alt.Chart(floored).mark_tick(orient="horizontal", color=GREY, size=12, thickness=1.5)
        .encode(x, alt.Y("y_floor:Q"), alt.OpacityValue(0.75)),
        alt.Chart(floored).mark_tick(orient="vertical", color=GREY, size=12, thickness=1.5)
        .encode(alt.X("x_floor:Q"), y, alt.OpacityValue(0.75)),
        alt.Chart(floored.filter(pl.col("ci_low_centroid_distance") > 0)).mark_rule(strokeWidth=1.5)
        .encode(x, alt.Y("ci_low_centroid_distance:Q"), y2=alt.Y2("ci_high_centroid_distance:Q"),
                color=hue, opacity=alt.Opacity("opacity:Q", scale=None)),
        points.encode(x, y, alt.Opacity("opacity:Q", scale=None), color=hue, tooltip=tip)
        .add_params(click),
        alt.Chart(mine).mark_point(shape="circle", size=420, strokeWidth=1.5, color=GREY)
        .encode(x, y),
    )  # fmt: skip
    title = alt.Title(
        "Centroid against CRP distance",
        subtitle=[
            f"n = {rows.height} pairs; measured",
            *(f"○ {one}" for one in mine["derivative"]),
        ],
    )
    return layered(layers, height=470, title=title)


@drawn_once
def prompts_by_sign(prompts: pl.DataFrame) -> alt.LayerChart:
    """A diverging strip: what each prompt did to the first gap, sorted; hollow within its noise."""
    rows = prompts.drop_nulls("d1").with_columns(
        colour=pl.when(pl.col("d1") > 0).then(pl.lit(UP)).otherwise(pl.lit(DOWN)),
        low=pl.col("d1") - 2 * pl.col("noise_se"),
        high=pl.col("d1") + 2 * pl.col("noise_se"),
        fill=pl.when(pl.col("is_signif").fill_null(value=False)).then(0.9).otherwise(0.25),
        moved=said("d1", signed),
        noise=said("noise_se"),
        g1=said("g1_share"),
        far=said("distance"),
    )
    drawn = rows if rows.height <= MOST_MARKS // 3 else rows.gather_every(rows.height // 1_500 + 1)
    tip = tooltips(
        N={
            "prompt_id": "Prompt", "category": "Category", "moved": "First gap, logits",
            "noise": "Noise (one standard error)", "g1": "Share of the first gap",
            "far": "Distance over all gaps, logits",
        },
        Q={"dominant_k": "Dominant gap"},
    )  # fmt: skip
    x = alt.X(
        "place:O", title="Prompts, sorted", axis=alt.Axis(labels=False, ticks=False, grid=False)
    )
    bars = alt.Chart(drawn)
    n_up, n_down = (int((rows["direction"] == name).sum()) for name in ("up", "down"))
    y = alt.Y("d1:Q", title="First gap, derivative less base, logits", axis=alt.Axis(tickCount=5))
    layers = (
        bars.mark_bar(strokeWidth=1)
        .encode(
            x, y, tooltip=tip, color=alt.Color("colour:N", scale=None),
            stroke=alt.Stroke("colour:N", scale=None),
            fillOpacity=alt.FillOpacity("fill:Q", scale=None),
        ),
        bars.mark_rule(color=GREY, opacity=0.8).encode(x, alt.Y("low:Q"), alt.Y2("high:Q")),
        alt.Chart(pl.DataFrame({"zero": [0]})).mark_rule(color=GREY).encode(alt.Y("zero:Q")),
    )  # fmt: skip
    title = alt.Title(
        f"{n_up} prompts up, {n_down} down",
        subtitle=f"n = {rows.height} prompts; filled: beyond twice its noise",
    )
    return layered(layers, height=300, title=title)


@drawn_once
def dominant_gaps(gaps: pl.DataFrame) -> alt.Chart:
    """In how many prompts each gap has the largest difference."""
    tip = tooltips(
        Q={"k": "Gap", "n_dominant": "Prompts it dominates", "n_up": "Up", "n_down": "Down"}
    )
    n = gaps["n_prompts"].max() or 0
    return (
        alt.Chart(gaps)
        .mark_bar(color=GREY)
        .encode(
            alt.X("k:O", title="Gap, 1: between the two best tokens", axis=alt.Axis(labelAngle=0)),
            alt.Y("n_dominant:Q", title="Prompts it dominates", axis=alt.Axis(tickMinStep=1)),
            tooltip=tip,
        )
        .properties(
            height=300,
            width="container",
            title=alt.Title("Which gap moves most", subtitle=f"n = {n} prompts"),
        )
    )


def _interval(value: str) -> pl.Expr:
    return pl.format("{} to {}", said(f"ci_low_{value}"), said(f"ci_high_{value}"))


REFERENCES = {"primary": "scale-matched reference", "shared": "shared comparator"}

_MARKS = {  # shape, filled, size: squares are references; filled is the centroid, hollow CRP
    "primary": ("triangle-up", True, 110),
    "primary_crp": ("triangle-up", False, 90),
    "shared": ("square", True, 80),
    "shared_crp": ("square", False, 70),
}


@drawn_once
def triangles(pairs: pl.DataFrame) -> alt.LayerChart:
    """D over C of each pair on a log axis about 1, by either reference and distance.

    `pairs` are rows of the mart `triangle_verdict` in their order.
    """
    names = row_names(pairs)
    ratios = pl.concat(
        pairs.select(
            "derivative_id",
            "derivative",
            "base",
            "verdict",
            "n_prompts",
            "measurement_id",
            row=pl.col("derivative_id").replace_strict(names, return_dtype=pl.String),
            colour=pl.col("family").map_elements(colour, return_dtype=pl.String, skip_nulls=False),
            against=pl.lit(REFERENCES[which]),
            reference="primary_reference" if which == "primary" else "shared_comparator",
            distance=pl.lit("CRP" if end else "centroid"),
            ratio=f"dc_{which}{end}",
            low=pl.lit(None, pl.Float64) if end else pl.col(f"low_dc_{which}"),
            high=pl.lit(None, pl.Float64) if end else pl.col(f"high_dc_{which}"),
            # In a CRP ratio nothing cancels; in the other a D under its floor is noise.
            opacity=pl.when(pl.lit(not end) & pl.col("is_d_below_sb"))
            .then(PALE * 0.7)
            .otherwise(FULL),
            mark=pl.lit(f"{which}{end}"),
        )
        for which in REFERENCES
        for end in ("", "_crp")
    ).filter(pl.col("ratio") > 0)
    ratios = ratios.with_columns(
        said=said("ratio"), ends=pl.format("{} to {}", said("low"), said("high"))
    )
    values = [*ratios["ratio"], 1.0]
    low, high = min(values) / 1.6, max(values) * 1.6
    low, high = min(low, 0.5), max(high, 2.0)
    x = alt.X(
        "ratio:Q",
        title="D over C, log scale; over 1: farther from its base than the stranger is",
        scale=alt.Scale(type="log", domain=[low, high], nice=False, clamp=True),
        axis=alt.Axis(tickCount=6, format="~g"),
    )
    y = rows_above(names)
    tip = tooltips(
        N={
            "derivative": "Derivative", "base": "From", "distance": "Distance",
            "against": "Against", "reference": "That is", "said": "D over C",
            "ends": "Outer ends of its interval", "verdict": "Verdict",
            "measurement_id": "Measurement",
        },
        Q={"n_prompts": "Prompts, n", "ratio": "Exact"},
    )  # fmt: skip
    hue, shade = alt.Color("colour:N", scale=None), alt.Opacity("opacity:Q", scale=None)
    bars = ratios.filter(pl.col("low") > 0, pl.col("high") > 0).with_columns(
        ratio=pl.col("low").clip(low, high), to=pl.col("high").clip(low, high)
    )
    break_side = alt.Chart(pl.DataFrame({"ratio": [1.0], "to": [high]}))
    marks = (
        alt.Chart(ratios.filter(pl.col("mark") == mark))
        .mark_point(shape=shape, filled=filled, size=size, strokeWidth=2)
        .encode(x, y, color=hue, opacity=shade, tooltip=tip)
        for mark, (shape, filled, size) in _MARKS.items()
    )
    layers = (
        break_side.mark_rect(color=GREY, opacity=0.13).encode(x, alt.X2("to:Q")),
        alt.Chart(pl.DataFrame({"ratio": [1.0]})).mark_rule(color=GREY).encode(x),
        alt.Chart(bars).mark_rule(strokeWidth=1.5).encode(x, y, hue, shade, alt.X2("to:Q")),
        *marks,
    )
    title = alt.Title(
        "Farther than a stranger?", subtitle=f"n = {pairs.height} pairs drawn; measured"
    )
    return sized(layers, title, len(names))
