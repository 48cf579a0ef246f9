"""The charts. Grid, title and background are left to Streamlit, which knows light from dark.

Rows carry their name above themselves, inside the plot: a long name costs no width on a phone.
Channels are objects, `alt.Text("note:N")` and not `text="note:N"`: to find the class of a bare name
Altair goes through its whole schema, 3 ms each time.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar, cast

import altair as alt
import polars as pl
import streamlit as st

from dashboard.words import NOT_INTERPRETABLE, n_said, number

_P = ParamSpec("_P")
_Drawn = TypeVar("_Drawn", alt.Chart, alt.LayerChart)
_MOST_DRAWN = 16  # charts of one function that are kept, of all who look

# Okabe & Ito's colours, told apart by all common kinds of colour vision; without yellow, which
# cannot be seen on white, and black, which cannot be seen on a dark page.
FAMILY_COLOURS = {
    "llama": "#0072B2",
    "qwen": "#E69F00",
    "mistral": "#009E73",
    "gemma": "#CC79A7",
    "gpt": "#56B4E9",
    "phi": "#D55E00",
}
GREY = "#8A8F94"  # seen on both backgrounds; also a family without a colour of its own
ROLE_SHAPES = {
    "base": "circle",
    "derivative": "triangle-up",
    "teacher": "diamond",
    "reference": "square",
    "shared_comparator": "square",
}
PALE, FULL = 0.5, 1.0
_INK = {"light": ("#1d2329", "#5d646b"), "dark": ("#e6e8e6", "#a3abb2")}  # names, notes
EPSILON = 1e-4
LEFT_EDGE = 0.4  # multiples of epsilon; a log axis has no 0, so what lies lower is drawn at LOWEST
LOWEST = 0.5
_ROW, _NAME_ABOVE, _NOTE_ABOVE, _NOTE_BELOW, _TEXT = 58, 20, 15, 18, 13
_BAND, _FAINT = 20, 0.28
_AROUND = 135  # what title, subtitle and axis take of a chart's height


def drawn_once(make: Callable[_P, _Drawn]) -> Callable[_P, _Drawn]:
    """A function of rows to a chart, kept for the same rows: most of a page stays at a click.

    Streamlit's own fingerprint of a frame misses changes in the midst of many rows; this does not.
    """
    keep = st.cache_resource(
        max_entries=_MOST_DRAWN, show_spinner=False, hash_funcs={pl.DataFrame: _bytes_of}
    )
    return keep(make)


def _bytes_of(frame: pl.DataFrame) -> bytes:
    return hashlib.sha256(frame.write_ipc(None).getvalue()).digest()


def enable_theme() -> None:
    """Make the theme Altair's own for this process."""

    @alt.theme.register("cicatrix", enable=True)
    def _theme() -> alt.theme.ThemeConfig:
        return {
            "config": {
                "axis": {
                    "labelFontSize": _TEXT,
                    "titleFontSize": _TEXT,
                    "titleFontWeight": "normal",
                    "gridOpacity": 0.45,
                    "titlePadding": 10,
                    "labelPadding": 6,
                },
                "title": {
                    "anchor": "start",
                    "fontSize": 15,
                    "subtitleFontSize": _TEXT,
                    "subtitleColor": GREY,
                    "subtitlePadding": 5,
                    "offset": 12,
                },
                "view": {"stroke": None},
                "text": {"fontSize": 12, "color": GREY},
            }
        }


def inked(spec: dict[str, Any], mode: str | None) -> dict[str, Any]:
    """A chart's spec, names and notes as dark or light as the page asks, if that is known."""
    if mode not in _INK:
        return spec
    ink, note = _INK[mode]
    config = spec.get("config", {})
    own = {
        "axisY": {"labelColor": ink},
        "axisX": {"labelColor": note, "titleColor": note},
        "text": {"color": note},
        "title": {"subtitleColor": note},
    }
    merged = {name: config.get(name, {}) | colours for name, colours in own.items()}
    return spec | {"config": config | merged}


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


@drawn_once
def scars(scar: pl.DataFrame, seeds: pl.DataFrame) -> alt.LayerChart:
    """Distance from the base in multiples of epsilon, a row a derivative, seeds as dots.

    `scar` gives the rows in their order, `seeds` (structural_distance) the dots and strangers.
    """
    names = row_names(scar)
    look = scar.select(
        "derivative_id", status="structural_status", reason="structural_reason",
        row=pl.col("derivative_id").replace_strict(names),
        colour=pl.col("family").map_elements(colour, return_dtype=pl.String, skip_nulls=False),
        opacity=_opacity("structural_status"),
    )  # fmt: skip
    dots = (
        seeds.drop_nulls("x_eps_pub")
        .join(look, on="derivative_id")
        .with_columns(
            x=pl.max_horizontal("x_eps_pub", pl.lit(LOWEST)),
            says=pl.format("seed {}", "seed"),
            x_eps=said("x_eps_pub"),
            x_meas=said("x_eps_meas"),
        )
    )
    ranges = scar.select(
        "derivative_id",
        low=pl.max_horizontal("min_non_max_x_eps", pl.lit(LOWEST)),
        high=pl.max_horizontal("max_non_max_x_eps", pl.lit(LOWEST)),
        floor=pl.max_horizontal(pl.lit(1.0), pl.col("eps_measured") / EPSILON),
    ).join(look, on="derivative_id")  # fmt: skip
    own, strangers = (
        dots.filter(pl.col("role") == "base"),
        dots.filter(pl.col("role").is_in(["reference", "shared_comparator"])),
    )
    top = max([10.0, *dots["x"], *ranges["floor"]])
    x = alt.X(
        "x:Q",
        title="Distance from the base, × ε (ε = 0.0001), log scale",
        scale=alt.Scale(type="log", domain=[LEFT_EDGE, top * 2.2], nice=False),
        axis=alt.Axis(values=[1, 10, 100, 1_000, 10_000, 100_000], format=",", tickCount=6),
    )
    y = rows_above(names)
    by_seed = tooltips(
        N={
            "derivative": "Derivative", "from_model": "From", "other": "To", "seed": "Seed",
            "x_eps": "Distance, × ε", "x_meas": "Distance, × measured ε",
            "status": "Against its floor", "reason": "Because",
        },
        Q={"distance": "Distance, exact", "eps_measured": "Measured ε", "n_dim": "Dimensions"},
    )  # fmt: skip
    family = alt.Color("colour:N", scale=None)
    shade = alt.Opacity("opacity:Q", scale=None)
    largest = own.filter("is_max_seed")
    layers = (
        *_floor(ranges, y),
        alt.Chart(strangers).mark_point(shape="square", size=70, color=GREY, strokeWidth=1.2)
        .encode(x, y, alt.OpacityValue(0.6), tooltip=by_seed),
        alt.Chart(ranges.drop_nulls("low")).mark_rule(strokeWidth=3)
        .encode(alt.X("low:Q"), alt.X2("high:Q"), y=y, color=family, opacity=shade),
        alt.Chart(own.remove("is_max_seed")).mark_point(shape="circle", filled=True, size=75)
        .encode(x, y, color=family, opacity=shade, tooltip=by_seed),
        alt.Chart(largest).mark_point(shape="cross", filled=True, size=150, angle=45)
        .encode(x, y, color=family, opacity=shade, tooltip=by_seed),
        alt.Chart(largest).mark_text(dy=_NOTE_BELOW).encode(x, y, alt.Text("says:N")),
        _first(strangers, names).mark_text(dy=-_NOTE_ABOVE)
        .encode(x, y, alt.TextValue("unrelated")),
        *_not_interpretable(look.filter(pl.col("status") == NOT_INTERPRETABLE), y),
    )  # fmt: skip
    title = alt.Title("Structural scar of each derivative", subtitle=_n_said(scar), offset=28)
    return sized(layers, title, len(names))


_KINDS = {True: "distilled", False: "not distilled", None: "not known"}
_DECLARED = ", declared"
_KINDS_IN_ORDER = [
    *(kind + by for kind in ("distilled", "not distilled") for by in ("", _DECLARED)),
    _KINDS[None],
]


@drawn_once
def families(scar: pl.DataFrame) -> alt.LayerChart:
    """Every derivative's scar by family and by what is known of it: distilled, not, not known.

    What its user declared is a row of its own.
    """
    is_declared = (pl.col("declared_by") == "user") & pl.col("is_distilled").is_not_null()
    rows = (
        scar.drop_nulls("median_non_max_x_eps")
        .with_columns(
            kind=pl.concat_str(
                pl.col("is_distilled").map_elements(
                    _KINDS.__getitem__, return_dtype=pl.String, skip_nulls=False
                ),
                pl.when(is_declared).then(pl.lit(_DECLARED)).otherwise(pl.lit("")),
            ),
            colour=pl.col("family").map_elements(colour, return_dtype=pl.String, skip_nulls=False),
            x=pl.max_horizontal("median_non_max_x_eps", pl.lit(LOWEST)),
            said=said("median_non_max_x_eps"),
        )
        .sort("family", pl.col("kind").cast(pl.Enum(_KINDS_IN_ORDER)))
        .with_columns(n=pl.len().over("family", "kind"))
        .with_columns(row=pl.format("{} · {}, n = {}", "family", "kind", "n"))
    )
    names = {row: row for row in rows["row"].unique(maintain_order=True)}
    x = alt.X(
        "x:Q",
        title="Median distance from the base, × ε (ε = 0.0001), log scale",
        scale=alt.Scale(type="log", domain=[LEFT_EDGE, max([10.0, *rows["x"]]) * 2.2], nice=False),
        axis=alt.Axis(values=[1, 10, 100, 1_000, 10_000, 100_000], format=",", tickCount=6),
    )
    y = rows_above(names)
    tooltip = tooltips(
        N={
            "derivative": "Derivative", "method": "Recipe", "kind": "Known as", "base": "From",
            "said": "Median distance, × ε", "structural_status": "Against its floor",
        },
        Q={"n_seeds": "Seeds"},
    )  # fmt: skip
    family = alt.Color("colour:N", scale=None)
    is_other = pl.col("is_distilled").eq_missing(False)
    layers = (
        alt.Chart(rows.filter(is_other)).mark_point(shape="circle", size=55, strokeWidth=1.3)
        .encode(x, y, alt.OpacityValue(0.75), color=family, tooltip=tooltip),
        alt.Chart(rows.remove(is_other))
        .mark_point(shape=ROLE_SHAPES["derivative"], filled=True, size=110)
        .encode(x, y, alt.OpacityValue(0.85), color=family, tooltip=tooltip),
    )  # fmt: skip
    subtitle = [
        f"n = {rows.height} derivatives; measured", "each the median of its seeds but the largest"
    ]  # fmt: skip
    return sized(layers, alt.Title("Scars by family", subtitle=subtitle, offset=28), len(names))


@drawn_once
def distances(functional: pl.DataFrame, measure: str, names: dict[str, str]) -> alt.LayerChart:
    """Distance of templates from the base's ('centroid' or 'crp'), the floor as a band from 0."""
    title = {"centroid": "Centroid distance", "crp": "CRP distance"}[measure]
    value, status = f"{measure}_distance", f"{measure}_status"
    rows = functional.filter(pl.col("derivative_id").is_in(list(names))).with_columns(
        row=pl.col("derivative_id").replace_strict(names, default=None),
        colour=pl.col("family").map_elements(colour, return_dtype=pl.String, skip_nulls=False),
        opacity=_opacity(status),
        said=said(value), floor_said=said(f"{measure}_floor"),
        interval=pl.format("{} to {}", said(f"ci_low_{value}"), said(f"ci_high_{value}")),
    )  # fmt: skip
    own = rows.filter(pl.col("role") == "derivative")
    strangers = rows.filter(pl.col("role").is_in(["reference", "shared_comparator"]))
    x = alt.X(
        f"{value}:Q",
        title=f"{title}, logits",
        scale=alt.Scale(zero=True),
        axis=alt.Axis(tickCount=5),
    )
    y = rows_above(names)
    tooltip = tooltips(
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
    layers = (
        alt.Chart(own).mark_bar(height=_BAND, color=GREY, opacity=_FAINT)
        .encode(alt.X(f"{measure}_floor:Q"), y=y, tooltip=tooltip),
        alt.Chart(strangers).mark_point(shape="square", size=70, color=GREY, strokeWidth=1.2)
        .encode(x, y, alt.OpacityValue(0.6), tooltip=tooltip),
        alt.Chart(own.drop_nulls(f"ci_low_{value}")).mark_rule(strokeWidth=2)
        .encode(alt.X(f"ci_low_{value}:Q"), y, family, shade, alt.X2(f"ci_high_{value}:Q")),
        alt.Chart(own).mark_point(shape=ROLE_SHAPES["derivative"], filled=True, size=120)
        .encode(x, y, color=family, opacity=shade, tooltip=tooltip),
        _first(strangers.drop_nulls(value), names)
        .mark_text(dy=_NOTE_BELOW, align="right", dx=6)
        .encode(x, y, alt.TextValue("unrelated")),
        *_not_interpretable(own.filter(pl.col(status) == NOT_INTERPRETABLE), y),
    )  # fmt: skip
    return sized(
        layers,
        alt.Title(
            title, subtitle=f"{n_said(own['n_prompts'], 'prompt')}; grey band: up to the floor"
        ),
        len(names),
    )


def course(units: pl.DataFrame, n_units: int) -> alt.Chart:
    """Units done over time: the sparkline of a measurement."""
    return (
        alt.Chart(units)
        .mark_line(interpolate="step-after", point=alt.OverlayMarkDef(size=22), color=GREY)
        .encode(
            alt.X("committed_at:T", axis=None),
            alt.Y("n_units_done:Q", axis=None, scale=alt.Scale(domain=[0, max(n_units, 1)])),
            tooltip=tooltips(
                N={"unit": "Unit"}, Q={"n_units_done": "Units done", "duration_s": "Took, s"}
            ),
        )
        .properties(height=64, width="container")
    )


def layered(
    layers: Iterable[alt.Chart], *, height: float, title: alt.Title | str
) -> alt.LayerChart:
    """The layers as one chart, as wide as its place."""
    # All at once: each `properties` on layers copies them whole. Altair cannot say that what it
    # returns here is no facet.
    drawn = alt.layer(*layers, height=height, width="container", title=title)
    return cast(alt.LayerChart, drawn)


def sized(layers: Iterable[alt.Chart], title: alt.Title, n_rows: int) -> alt.LayerChart:
    """The layers as one chart, as high as its rows need."""
    return layered(layers, height=_ROW * max(n_rows, 1) + _AROUND, title=title)


def tooltips(**titles: dict[str, str]) -> list[alt.Tooltip]:
    """Fields with their titles, by Vega-Lite's type of them: N as text, Q as numbers."""
    return [
        alt.Tooltip(f"{field}:{kind}", title=title)
        for kind, fields in titles.items()
        for field, title in fields.items()
    ]  # pyright: ignore[reportReturnType]


def rows_above(names: dict[str, str]) -> alt.Y:
    """Rows in this order, each with its name above itself."""
    return alt.Y(
        "row:N",
        title=None,
        scale=alt.Scale(domain=list(names.values())),
        axis=alt.Axis(
            labelAlign="left", labelPadding=-2, labelOffset=-_NAME_ABOVE, labelLimit=1_000,
            labelOverlap=False, grid=False, zindex=1,
        ),
    )  # fmt: skip


def _floor(ranges: pl.DataFrame, y: alt.Y) -> tuple[alt.Chart, ...]:
    """A band in each row up to its floor: 1 epsilon, or the pair's own noise if that is larger."""
    rows = alt.Chart(ranges.with_columns(edge=pl.lit(LEFT_EDGE)))
    floor = alt.X("floor:Q")
    tip = tooltips(Q={"floor": "Floor, × ε"})
    noisy = alt.Chart(ranges.filter(pl.col("floor") > 1))
    return (
        rows.mark_bar(height=_BAND, color=GREY, opacity=_FAINT).encode(
            alt.X("edge:Q"), y, alt.X2("floor:Q"), tooltip=tip
        ),
        rows.mark_tick(thickness=1.5, size=_BAND, color=GREY).encode(floor, y, tooltip=tip),
        alt.Chart(pl.DataFrame({"x": [1.0], "says": ["floor, 1 ε"]}))
        .mark_text(baseline="bottom")
        .encode(alt.X("x:Q"), alt.YValue(-6), alt.Text("says:N")),
        noisy.mark_text(dy=_NOTE_BELOW).encode(floor, y, alt.TextValue("noise")),
    )


def _first(strangers: pl.DataFrame, names: dict[str, str]) -> alt.Chart:
    """The topmost stranger, to carry the label of all."""
    rows = list(names.values())
    topmost = min(strangers["row"], key=rows.index, default="")
    return alt.Chart(strangers.filter(pl.col("row") == topmost).head(1))


def _not_interpretable(rows: pl.DataFrame, y: alt.Y) -> tuple[alt.Chart, ...]:
    if rows.is_empty():
        return ()
    text = alt.Chart(rows).mark_text(align="right", baseline="middle", dy=_NOTE_BELOW)
    return (text.encode(alt.XValue("width"), alt.TextValue(NOT_INTERPRETABLE), y=y),)


def _opacity(status: str) -> pl.Expr:
    return pl.when(pl.col(status) == NOT_INTERPRETABLE).then(PALE).otherwise(FULL)


def said(column: str, says: Callable[[float | None], str] = number) -> pl.Expr:
    """A column as it reads: in three digits, a dash where it is not known."""
    return pl.col(column).map_elements(says, return_dtype=pl.String, skip_nulls=False)


def _n_said(scar: pl.DataFrame) -> str:
    seeds = sorted({n for n in scar["n_seeds"] if n is not None})
    n_seeds = "–".join(str(n) for n in dict.fromkeys([*seeds[:1], *seeds[-1:]]))
    return f"n = {n_seeds} seeds for each of {scar.height} pairs; measured"
