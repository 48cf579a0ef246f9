"""The charts. Colours of text, axes and background are left to Streamlit, which knows light from dark.

Rows carry their name above themselves, inside the plot, so that a long name costs no width on a phone.
"""

import re
from typing import Any

import altair as alt
import polars as pl

from dashboard.words import NOT_INTERPRETABLE, number

# Okabe & Ito's colours, told apart by all common kinds of colour vision; yellow is left out, since it
# cannot be seen on white, and black, since it cannot be seen on a dark page.
FAMILY_COLOURS = {
    "llama": "#0072B2",
    "qwen": "#E69F00",
    "mistral": "#009E73",
    "gemma": "#CC79A7",
    "gpt": "#56B4E9",
    "phi": "#D55E00",
}
GREY = "#8A8F94"  # readable on both backgrounds; also a family without a colour of its own
ROLE_SHAPES = {
    "base": "circle",
    "derivative": "triangle-up",
    "teacher": "diamond",
    "reference": "square",
    "shared_comparator": "square",
}
PALE, FULL = 0.35, 1.0
EPSILON = 1e-4
LEFT_EDGE = 0.5  # multiples of epsilon; a log axis has no 0, so what lies lower is drawn here
_ROW, _NAME_ABOVE, _TEXT = 58, 19, 13


def enable_theme() -> None:
    """Make the theme Altair's own for this process."""

    @alt.theme.register("cicatrix", enable=True)
    def _theme() -> alt.theme.ThemeConfig:
        text = {"labelFontSize": _TEXT, "titleFontSize": _TEXT, "titleFontWeight": "normal"}
        return {
            "config": {
                "axis": {**text, "gridOpacity": 0.45, "titlePadding": 10, "labelPadding": 6},
                "title": {"anchor": "start", "fontSize": 15, "subtitleFontSize": _TEXT, "offset": 26},
                "view": {"stroke": None},
                "text": {"fontSize": 12},
            }
        }  # pyright: ignore[reportReturnType]


def colour(family: str | None) -> str:
    """The colour of a base family; versions of one family ('qwen2', 'Qwen') share it."""
    return FAMILY_COLOURS.get(re.sub(r"[-_ ]?[\d.]+$", "", (family or "").casefold()), GREY)


def row_names(frame: pl.DataFrame) -> dict[str, str]:
    """What to call each derivative: family and label, and its id where two would read alike."""
    rows = frame.select("derivative_id", "family", "derivative").unique(maintain_order=True).rows()
    names = [f"{family or 'unknown family'} · {label}" for _, family, label in rows]
    return {
        row[0]: name if names.count(name) == 1 else f"{name} ({row[0][:14]})"
        for row, name in zip(rows, names, strict=True)
    }


def scars(scar: pl.DataFrame, seeds: pl.DataFrame) -> alt.LayerChart:
    """Distance from the base in multiples of epsilon, a row a derivative, seeds as dots.

    `scar` gives the rows in their order, `seeds` (mart structural_distance) the dots and the strangers.
    """
    names = row_names(scar)
    look = scar.select(
        "derivative_id", status="structural_status", reason="structural_reason",
        row=pl.col("derivative_id").replace_strict(names),
        colour=pl.col("family").map_elements(colour, return_dtype=pl.String, skip_nulls=False),
        opacity=_opacity("structural_status"),
    )  # fmt: skip
    dots = seeds.drop_nulls("x_eps_pub").join(look, on="derivative_id").with_columns(
        x=pl.max_horizontal("x_eps_pub", pl.lit(LEFT_EDGE)),
        says=pl.format("seed {}", "seed"),
        x_eps=_said("x_eps_pub"),
        x_meas=_said("x_eps_meas"),
    )
    ranges = scar.select(
        "derivative_id",
        low=pl.max_horizontal("min_non_max_x_eps", pl.lit(LEFT_EDGE)),
        high=pl.max_horizontal("max_non_max_x_eps", pl.lit(LEFT_EDGE)),
        noise=pl.col("eps_measured") / EPSILON,
    ).join(look, on="derivative_id")  # fmt: skip
    own, strangers = dots.filter(pl.col("role") == "base"), dots.filter(
        pl.col("role").is_in(["reference", "shared_comparator"])
    )
    top = max([10.0, *dots["x"], *ranges["noise"].drop_nulls()])
    x = alt.X(
        "x:Q",
        title="Distance from the base, × ε (ε = 0.0001), log scale",
        scale=alt.Scale(type="log", domain=[LEFT_EDGE, top * 2.2], nice=False),
        axis=alt.Axis(values=[1, 10, 100, 1_000, 10_000, 100_000], format=",", tickCount=6),
    )
    y = _rows(names)
    by_seed = _tooltip(
        N={
            "derivative": "Derivative", "from_model": "From", "other": "To", "seed": "Seed",
            "x_eps": "Distance, × ε", "x_meas": "Distance, × measured ε", "status": "Against its floor",
            "reason": "Because",
        },
        Q={"distance": "Distance, exact", "eps_measured": "Measured ε", "n_dim": "Dimensions"},
    )  # fmt: skip
    family = alt.Color("colour:N", scale=None)
    shade = alt.Opacity("opacity:Q", scale=None)
    largest = own.filter("is_max_seed")
    return alt.layer(
        *_floor_line(),
        alt.Chart(strangers).mark_point(shape="square", size=70, color=GREY, strokeWidth=1.2)
        .encode(x, y, opacity=alt.value(0.6), tooltip=by_seed),
        alt.Chart(ranges.drop_nulls("low")).mark_rule(strokeWidth=3)
        .encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=family, opacity=shade),
        alt.Chart(own.filter(~pl.col("is_max_seed"))).mark_point(shape="circle", filled=True, size=75)
        .encode(x, y, color=family, opacity=shade, tooltip=by_seed),
        alt.Chart(largest).mark_point(shape="cross", filled=True, size=150, angle=45)
        .encode(x, y, color=family, opacity=shade, tooltip=by_seed),
        alt.Chart(largest).mark_text(dy=17, color=GREY).encode(x, y, text="says:N"),
        alt.Chart(ranges.filter(pl.col("noise") > 1)).mark_tick(thickness=2, size=22, color=GREY)
        .encode(x=alt.X("noise:Q"), y=y, tooltip=_tooltip(Q={"noise": "Measured ε, × 0.0001"})),
        *_not_interpretable(look.filter(pl.col("status") == NOT_INTERPRETABLE), y),
    ).properties(
        height=_ROW * max(len(names), 1), width="container",
        title=alt.Title("Structural scar of each derivative", subtitle=_n_said(scar)),
    )  # fmt: skip


def distances(functional: pl.DataFrame, measure: str, names: dict[str, str]) -> alt.LayerChart:
    """Distance of templates from the base's ('centroid' or 'crp'), the floor as a band from 0."""
    title = {"centroid": "Centroid distance", "crp": "CRP distance"}[measure]
    value, status = f"{measure}_distance", f"{measure}_status"
    rows = functional.filter(pl.col("derivative_id").is_in(list(names))).with_columns(
        row=pl.col("derivative_id").replace_strict(names, default=None),
        colour=pl.col("family").map_elements(colour, return_dtype=pl.String, skip_nulls=False),
        opacity=_opacity(status),
        said=_said(value), floor_said=_said(f"{measure}_floor"),
        interval=pl.format("{} to {}", _said(f"ci_low_{value}"), _said(f"ci_high_{value}")),
    )  # fmt: skip
    own = rows.filter(pl.col("role") == "derivative")
    strangers = rows.filter(pl.col("role").is_in(["reference", "shared_comparator"]))
    x = alt.X(f"{value}:Q", title=f"{title}, logits", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5))
    y = _rows(names)
    tooltip = _tooltip(
        N={
            "derivative": "Derivative", "base": "From", "other": "To", "said": f"{title}, logits",
            "interval": "95 % interval", "floor_said": "Floor, logits", "n_prompts": "Prompts",
            "n_prompts_dropped": "Prompts left out", status: "Against its floor", "mode": "Mode",
            "measurement_id": "Measurement",
        },
        Q={value: "Exact"},
    )  # fmt: skip
    family = alt.Color("colour:N", scale=None)
    shade = alt.Opacity("opacity:Q", scale=None)
    return alt.layer(
        alt.Chart(own).mark_bar(color=GREY, opacity=0.28, height=22)
        .encode(x=alt.X(f"{measure}_floor:Q"), y=y, tooltip=tooltip),
        alt.Chart(strangers).mark_point(shape="square", size=70, color=GREY, strokeWidth=1.2)
        .encode(x, y, opacity=alt.value(0.6), tooltip=tooltip),
        alt.Chart(own.drop_nulls(f"ci_low_{value}")).mark_rule(strokeWidth=2)
        .encode(x=alt.X(f"ci_low_{value}:Q"), x2=f"ci_high_{value}:Q", y=y, color=family, opacity=shade),
        alt.Chart(own).mark_point(shape=ROLE_SHAPES["derivative"], filled=True, size=120)
        .encode(x, y, color=family, opacity=shade, tooltip=tooltip),
        *_not_interpretable(own.filter(pl.col(status) == NOT_INTERPRETABLE), y),
    ).properties(
        height=_ROW * max(len(names), 1), width="container",
        title=alt.Title(title, subtitle="grey band: up to the floor"),
    )  # fmt: skip


def course(units: pl.DataFrame, n_units: int) -> alt.Chart:
    """Units done over time: the sparkline of a measurement."""
    return (
        alt.Chart(units)
        .mark_line(interpolate="step-after", point=alt.OverlayMarkDef(size=22), color=GREY)
        .encode(
            alt.X("committed_at:T", axis=None),
            alt.Y("n_units_done:Q", axis=None, scale=alt.Scale(domain=[0, max(n_units, 1)])),
            tooltip=_tooltip(N={"unit": "Unit"}, Q={"n_units_done": "Units done", "duration_s": "Took, s"}),
        )
        .properties(height=64, width="container")
    )


def _tooltip(**titles: dict[str, str]) -> list[alt.Tooltip]:
    """Fields with their titles, by Vega-Lite's type of them: N as text, Q as numbers."""
    return [
        alt.Tooltip(f"{field}:{kind}", title=title)
        for kind, fields in titles.items()
        for field, title in fields.items()
    ]  # pyright: ignore[reportReturnType]


def _rows(names: dict[str, str]) -> alt.Y:
    return alt.Y(
        "row:N",
        title=None,
        scale=alt.Scale(domain=list(names.values())),
        axis=alt.Axis(
            labelAlign="left", labelPadding=-2, labelOffset=-_NAME_ABOVE, labelLimit=1_000,
            labelOverlap=False, grid=False, zindex=1,
        ),
    )  # fmt: skip


def _floor_line() -> tuple[alt.Chart, alt.Chart]:
    at: Any = alt.Chart(pl.DataFrame({"x": [1.0], "says": ["floor, 1 ε"]}))
    line = at.mark_rule(strokeDash=[5, 4], color=GREY).encode(x="x:Q")
    text = at.mark_text(color=GREY, baseline="bottom").encode(x="x:Q", y=alt.value(-4), text="says:N")
    return line, text


def _not_interpretable(rows: pl.DataFrame, y: alt.Y) -> tuple[alt.Chart, ...]:
    if rows.is_empty():
        return ()
    text = alt.Chart(rows).mark_text(align="right", baseline="middle", color=GREY, dx=-2)
    return (text.encode(x=alt.value("width"), y=y, text=alt.value(NOT_INTERPRETABLE)),)


def _opacity(status: str) -> pl.Expr:
    return pl.when(pl.col(status) == NOT_INTERPRETABLE).then(PALE).otherwise(FULL)


def _said(column: str) -> pl.Expr:
    return pl.col(column).map_elements(number, return_dtype=pl.String, skip_nulls=False)


def _n_said(scar: pl.DataFrame) -> str:
    seeds = sorted({n for n in scar["n_seeds"] if n is not None})
    n_seeds = "–".join(str(n) for n in dict.fromkeys([*seeds[:1], *seeds[-1:]]))
    return f"n = {n_seeds} seeds for each of {scar.height} pairs; measured"
