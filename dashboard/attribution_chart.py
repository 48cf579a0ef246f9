"""The chart of teacher attribution: what each candidate has in common with a distilled model."""

import altair as alt
import polars as pl

from dashboard.charts import FULL, GREY, PALE, drawn_once, layered, said, tooltips
from dashboard.rollout_text import LABEL_COLOURS
from dashboard.words import n_said

EDGE = -0.5  # what lies lower is marked here: how far below nothing in common says little
_ROW, _NAME_ABOVE, _NOTE_ABOVE, _BAND, _AROUND = 58, 22, 15, 18, 125
_ENDS = {"low": EDGE, "high": 1.04}


def row_names(ranking: pl.DataFrame) -> dict[tuple[str, str], str]:
    """What to call each candidate, by measurement and role; told apart by problems if need be."""
    rows = ranking.select("measurement_id", "role", "distilled", "teacher", "prompt_set").rows()
    names = [f"{distilled}: {teacher}" for _, _, distilled, teacher, _ in rows]
    return {
        row[:2]: name if names.count(name) == 1 else f"{name} ({row[4]}, {row[0][:8]})"
        for row, name in zip(rows, names, strict=True)
    }


@drawn_once
def ranking(rows: pl.DataFrame) -> alt.LayerChart:
    """Share of each candidate with its interval above its null, a row each, in the order given.

    `rows` are of `teacher_attribution`. A candidate that nothing is attributed to is pale.
    """
    names = row_names(rows)
    drawn = rows.with_columns(
        row=pl.Series(names.values(), dtype=pl.String),
        x=pl.col("share").clip(*_ENDS.values()),
        low=pl.col("ci_low_share").clip(*_ENDS.values()),
        high=pl.col("ci_high_share").clip(*_ENDS.values()),
        edge=pl.lit(EDGE),
        is_beyond=pl.col("share") < EDGE,
        opacity=pl.when("is_attributed").then(FULL).otherwise(PALE),
        said=said("share"),
        interval=pl.format("{} to {}", said("ci_low_share"), said("ci_high_share")),
    ).with_columns(
        note=pl.when(pl.col("share").is_null())
        .then(pl.lit("not known"))
        .when("is_beyond")
        .then(pl.format("← {}", "said"))
        .when("is_attributed")
        .then(pl.format("{}, attributed", "said"))
        .otherwise("said")
    )
    y = alt.Y(
        "row:N",
        title=None,
        scale=alt.Scale(domain=list(names.values())),
        axis=alt.Axis(
            labelAlign="left", labelPadding=-2, labelOffset=-_NAME_ABOVE, labelLimit=1_000,
            labelOverlap=False, grid=False, zindex=1,
        ),
    )  # fmt: skip
    x = alt.X(
        "x:Q",
        title="In common beyond the base, share",
        scale=alt.Scale(domain=list(_ENDS.values()), nice=False),
        axis=alt.Axis(values=[-0.5, 0, 0.5, 1]),
    )
    tip = tooltips(
        N={
            "distilled": "Distilled", "student": "Base", "teacher": "Candidate", "said": "Share",
            "interval": "95 % interval", "share_status": "Against its null",
            "attribution": "Verdict", "prompt_set": "Problems", "reason": "Why there is none",
            "measurement_id": "Measurement",
        },
        Q={
            "null_share": "Null", "rank": "Rank", "n_questions": "Problems, n",
            "n_rollouts_distilled": "Rollouts of the distilled", "n_rollouts_own": "and its own",
        },
    )  # fmt: skip
    colour = alt.ColorValue(LABEL_COLOURS["Teacher"])
    shade = alt.Opacity("opacity:Q", scale=None)
    known = drawn.drop_nulls("share")
    inside = known.remove("is_beyond")
    layers = (
        alt.Chart(drawn).mark_bar(height=_BAND, color=GREY, opacity=0.28)
        .encode(alt.X("edge:Q"), y, alt.X2("null_share:Q"), tooltip=tip),
        alt.Chart(drawn).mark_tick(thickness=1.5, size=_BAND, color=GREY)
        .encode(alt.X("null_share:Q"), y, tooltip=tip),
        alt.Chart(drawn.head(1)).mark_text(dy=_NOTE_ABOVE, align="left", dx=4)
        .encode(alt.X("null_share:Q"), y, alt.TextValue("null")),
        alt.Chart(inside.drop_nulls("low")).mark_rule(strokeWidth=3)
        .encode(alt.X("low:Q"), y, alt.X2("high:Q"), color=colour, opacity=shade),
        alt.Chart(inside.filter("is_attributed")).mark_point(filled=True, size=110)
        .encode(x, y, alt.OpacityValue(1), color=colour, tooltip=tip),
        alt.Chart(inside.remove("is_attributed"))
        .mark_point(filled=False, size=80, strokeWidth=1.8)
        .encode(x, y, color=colour, opacity=shade, tooltip=tip),
        alt.Chart(inside.filter(pl.col("share") <= 0.5))
        .mark_text(align="left", dx=8)
        .encode(alt.X("high:Q"), y, alt.Text("note:N")),
        alt.Chart(inside.filter(pl.col("share") > 0.5))
        .mark_text(align="right", dx=-10).encode(alt.X("low:Q"), y, alt.Text("note:N")),
        alt.Chart(drawn.filter(pl.col("is_beyond").fill_null(value=True)))
        .mark_text(align="left", dx=5).encode(alt.X("edge:Q"), y, alt.Text("note:N"), tooltip=tip),
    )  # fmt: skip
    title = alt.Title(
        "Who taught it? Each candidate beside its null",
        subtitle=f"{n_said(rows['n_questions'], 'problem')}; 95 % intervals; measured",
    )
    height = _ROW * max(rows.height, 1) + _AROUND
    return layered(layers, height=height, title=title)
