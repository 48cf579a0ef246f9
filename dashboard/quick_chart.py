"""A chart of whatever rows a statement gave: a column against another."""

import math
from typing import Literal

import altair as alt
import polars as pl

from dashboard import charts

MOST_MARKS = 5_000
Mark = Literal["points", "line", "bars"]
_HEIGHT = 380
_ROW, _LEAST, _MOST = 22, 160, 1_400  # pixels of a row of names, and of all of them
_FAMILY = "family"


def numeric_columns(frame: pl.DataFrame) -> list[str]:
    """Columns that an axis of numbers can show."""
    return [name for name, kind in frame.schema.items() if kind.is_numeric()]


def plain_columns(frame: pl.DataFrame) -> list[str]:
    """Columns with one value in a row: no lists."""
    return [name for name, kind in frame.schema.items() if not kind.is_nested()]


def drawn(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that are drawn: all of them, or evenly chosen ones up to `MOST_MARKS`."""
    return frame.gather_every(max(1, math.ceil(frame.height / MOST_MARKS)))


def chart(frame: pl.DataFrame, x: str, y: str, mark: Mark, *, is_log: bool) -> alt.Chart:
    """Column `y` over `x` for the `drawn` rows; names lie in rows, `family` gives the colour.

    On a log axis rows at 0 or below have no place, and are left out.
    """
    # Fields of our own names: what Vega-Lite reads in a dot or bracket of a typed name, it may not.
    columns = [pl.col(x).alias("x"), pl.col(y).cast(pl.Float64).alias("y")]
    if frame.schema[x].is_decimal():
        columns[0] = columns[0].cast(pl.Float64)
    has_family = _FAMILY in frame.columns
    if has_family:
        columns.append(pl.col(_FAMILY).cast(pl.String).alias("family"))
    rows = drawn(frame).select(columns).filter(pl.col("y").is_finite())
    if is_log:
        rows = rows.filter(pl.col("y") > 0)
    scale = (
        alt.Scale(type="log", nice=False, padding=12)
        if is_log
        else alt.Scale(zero=mark == "bars", nice=True)
    )
    axis = alt.Axis(tickCount=5)
    tooltip = [alt.Tooltip("x", title=x), alt.Tooltip("y:Q", title=y)]
    if has_family:
        tooltip.append(alt.Tooltip("family:N", title=_FAMILY))
    marked = {
        "points": alt.Chart(rows).mark_point(filled=True, size=45, opacity=0.8),
        "line": alt.Chart(rows).mark_line(point=alt.OverlayMarkDef(size=25)),
        "bars": alt.Chart(rows).mark_bar(),
    }[mark]
    coloured = marked.encode(
        color=_family_colour(rows)
        if has_family
        else alt.ColorValue(charts.FAMILY_COLOURS["llama"]),
        tooltip=tooltip,
    )
    if not _is_name(frame.schema[x]):
        return coloured.encode(
            alt.X("x", title=x), alt.Y("y:Q", title=y, scale=scale, axis=axis)
        ).properties(height=_HEIGHT, width="container")
    # Names stand in rows, where they can be read; in the order of the answer.
    row = alt.Y("x:N", title=x, sort=None, axis=alt.Axis(labelLimit=140, titleAnchor="end"))
    axis.orient = "top"  # in sight where the rows begin, however many there are
    height = min(max(_ROW * rows["x"].n_unique(), _LEAST), _MOST)
    return coloured.encode(alt.X("y:Q", title=y, scale=scale, axis=axis), row).properties(
        height=height, width="container"
    )


def _is_name(kind: pl.DataType) -> bool:
    return not (kind.is_numeric() or kind.is_temporal())


def _family_colour(rows: pl.DataFrame) -> alt.Color:
    names = rows["family"].drop_nulls().unique().sort().to_list()
    scale = alt.Scale(domain=names, range=[charts.colour(name) for name in names])
    return alt.Color(
        "family:N", scale=scale, legend=alt.Legend(orient="top", title=None, columns=3)
    )
