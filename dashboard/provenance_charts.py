"""The charts of sentence provenance: shares of each pair, curves by position, areas."""

from collections.abc import Callable
from typing import cast

import altair as alt
import polars as pl

from dashboard.charts import FULL, GREY, PALE, drawn_once, layered, said, tooltips
from dashboard.rollout_text import LABEL_COLOURS, LETTERS
from dashboard.words import TRANSFER, n_said, percent, signed

LABELS = tuple(LABEL_COLOURS)  # in the order of the stack: Teacher starts at 0
OUTCOMES = {True: "right", False: "wrong"}
_ROW, _BAR, _THIN, _UNDER, _AROUND = 118, 24, 15, 19, 110
_LINE_HEIGHT = 17
_LONG = 0.5  # a bar this long holds its own note
_WIDE, _NARROW = 0.16, 0.05  # a part that has room for its share, or for its letter
_EARS = {"distilled": "its own sentences", "student": "null", "control": "wrong teacher"}


def pair_names(pairs: pl.DataFrame) -> dict[str, str]:
    """What to call each pair in two lines, by its measurement; told apart by that if need be."""
    names = {
        row["measurement_id"]: f"{row['family'] or 'unknown family'} · {row['distilled']}\n"
        f"Teacher {percent(row['teacher_share'])} · {row['teacher']} · {row['transfer']}"
        for row in pairs.iter_rows(named=True)
    }
    seen = list(names.values())
    return {
        key: name if seen.count(name) == 1 else f"{name} ({key[:8]})" for key, name in names.items()
    }


@drawn_once
def breakdown(pairs: pl.DataFrame, shares: pl.DataFrame) -> alt.LayerChart:
    """Shares of the labels, a row a pair of `provenance` in its order, Teacher's beside its nulls.

    `shares` is `provenance_breakdown`. Where the verdict is NOT ENOUGH the row is pale.
    """
    names = pair_names(pairs)
    rows = (
        shares.remove("is_part_of_boosted")
        .drop_nulls("share")
        .join(
            pairs.select("measurement_id", "transfer", "transfer_reasons", "control"),
            on="measurement_id",
        )
        .with_columns(
            row=pl.col("measurement_id").replace_strict(names),
            place=pl.col("label").replace_strict({label: i for i, label in enumerate(LABELS)}),
            opacity=pl.when(pl.col("transfer") == TRANSFER[2]).then(PALE).otherwise(FULL),
            of=pl.col("rollouts_of").replace_strict(_EARS),
            said=said("share", percent),
            null=said("null_share", percent),
            wrong=said("control_share", percent),
            interval=_interval("share", percent),
        )
    )
    own = rows.filter(pl.col("rollouts_of") == "distilled").with_columns(
        note=pl.when(pl.col("share") >= _WIDE)
        .then(pl.format("{} {}", pl.col("label").replace_strict(LETTERS), "said"))
        .when(pl.col("share") >= _NARROW)
        .then(pl.col("label").replace_strict(LETTERS))
        .otherwise(pl.lit(""))
    )
    teacher = rows.filter(pl.col("label") == "Teacher")
    y = alt.Y(
        "row:N",
        title=None,
        scale=alt.Scale(domain=list(names.values())),
        axis=alt.Axis(
            labelExpr="split(datum.label, '\\n')", labelAlign="left", labelPadding=-2,
            labelBaseline="bottom", labelOffset=-_BAR / 2 - _LINE_HEIGHT - 5, labelLimit=1_000,
            labelLineHeight=_LINE_HEIGHT, labelOverlap=False, grid=False, zindex=1,
        ),
    )  # fmt: skip
    x = alt.X(
        "share:Q",
        title="Share of sentences",
        stack="zero",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    order = alt.Order("place:Q")
    shade = alt.Opacity("opacity:Q", scale=None)
    tip = tooltips(
        N={
            "distilled": "Distilled", "student": "Base", "teacher": "Teacher", "of": "Of",
            "label": "Label", "said": "Share", "interval": "95 % interval",
            "null": "Null: base's own sentences", "wrong": "With a wrong teacher",
            "transfer": "Verdict", "transfer_reasons": "Because", "prompt_set": "Problems",
            "measurement_id": "Measurement",
        },
        Q={"n_sentences": "Sentences with it", "n_all": "of", "n_questions": "Questions, n"},
    )  # fmt: skip
    colours = alt.Color(
        "label:N",
        legend=None,
        scale=alt.Scale(domain=list(LABELS), range=[LABEL_COLOURS[label] for label in LABELS]),
    )
    middle = alt.X("share:Q", stack="zero", bandPosition=0.5)
    layers = [
        alt.Chart(own).mark_bar(height=_BAR)
        .encode(x, y, color=colours, opacity=shade, order=order, tooltip=tip),
        alt.Chart(own).mark_text(baseline="middle", fontWeight="bold")
        .encode(
            middle, y, order=order, text=alt.Text("note:N"), detail=alt.Detail("label:N"),
            color=alt.when(alt.datum.label == "Student").then(alt.value("#fff"))
            .otherwise(alt.value("#000")),
        ),
        *_whisker(teacher.filter(pl.col("rollouts_of") == "distilled"), y, _BAR / 2 - 4, "#000"),
    ]  # fmt: skip
    for line, whose in enumerate(("student", "control")):
        found = teacher.filter(pl.col("rollouts_of") == whose)
        layers += _beneath(_with_missing(found, pairs, names, whose), y, tip, _UNDER * (line + 1))
    title = alt.Title(
        "Where the sentences come from",
        subtitle=f"n = {pairs.height} pairs; measured" if pairs.height != 1 else "n = 1 pair",
        offset=34,
    )
    return layered(layers, height=_ROW * max(pairs.height, 1) + _AROUND, title=title)


def _with_missing(
    found: pl.DataFrame, pairs: pl.DataFrame, names: dict[str, str], whose: str
) -> pl.DataFrame:
    """The notes of one kind of comparison; a pair that lacks it says so."""
    text = {
        "student": pl.format("{} null: {}'s own sentences", "said", "student"),
        "control": pl.format("{} with a wrong teacher, {}", "said", "control"),
    }[whose]
    none = {"student": "no null: the base has no sentences", "control": "no wrong teacher given"}
    missing = pairs.join(found, on="measurement_id", how="anti").select(
        row=pl.col("measurement_id").replace_strict(names, return_dtype=pl.String),
        share=pl.lit(0.0),
        opacity=pl.lit(FULL),
        note=pl.lit(none[whose]),
    )
    return pl.concat([found.with_columns(note=text), missing], how="diagonal_relaxed").with_columns(
        end=pl.max_horizontal("share", "ci_high_share"), zero=pl.lit(0.0)
    )


def _beneath(rows: pl.DataFrame, y: alt.Y, tip: list[alt.Tooltip], offset: int) -> list[alt.Chart]:
    """A thin bar under the row's own, with its note after it, or in it where it is long."""
    down = offset + (_BAR - _THIN) / 2 + 1
    short, long = rows.filter(pl.col("end") <= _LONG), rows.filter(pl.col("end") > _LONG)
    return [
        alt.Chart(rows)
        .mark_bar(height=_THIN, yOffset=down, color=LABEL_COLOURS["Teacher"], opacity=0.45)
        .encode(alt.X("zero:Q"), y, alt.X2("share:Q"), tooltip=tip),
        *_whisker(rows.drop_nulls("ci_low_share"), y, down, GREY),
        alt.Chart(short)
        .mark_text(align="left", baseline="middle", dx=6, yOffset=down)
        .encode(alt.X("end:Q"), y, alt.Text("note:N")),
        alt.Chart(long)
        .mark_text(align="left", baseline="middle", dx=6, yOffset=down)
        .encode(alt.X("zero:Q"), y, alt.Text("note:N")),
    ]


def _whisker(rows: pl.DataFrame, y: alt.Y, down: float, colour: str) -> list[alt.Chart]:
    return [
        alt.Chart(rows.drop_nulls("ci_low_share"))
        .mark_rule(strokeWidth=2, color=colour, yOffset=down)
        .encode(alt.X("ci_low_share:Q"), y, alt.X2("ci_high_share:Q"))
    ]


@drawn_once
def position(rows: pl.DataFrame, label: str, counted_by: str) -> alt.LayerChart:
    """Share of one label by position, right and wrong answers, with Wilson bands.

    `rows` are of one pair, from `provenance_position`.
    """
    drawn = (
        rows.filter(pl.col("label") == label, pl.col("counted_by") == counted_by)
        .sort("is_correct", "place")
        .with_columns(
            outcome=pl.col("is_correct").replace_strict(OUTCOMES, return_dtype=pl.String),
            x=pl.col("place") + 1 if counted_by == "sentence" else (pl.col("place") + 0.5) * 5,
            said=said("share", percent),
            interval=_interval("share", percent),
        )
    )
    last = drawn.filter(pl.col("place") == pl.col("place").max()).with_columns(
        is_above=pl.col("share").rank("ordinal") > 1  # names of the two lines, clear of each other
    )
    ends = (drawn["x"].min(), drawn["x"].max())
    low, high = (float(cast(float, end)) if end is not None else 0.0 for end in ends)
    room = 0.14 * max(high - low, 1)
    x = alt.X(
        "x:Q",
        title="Sentence number" if counted_by == "sentence" else "Part of the rollout, %",
        scale=alt.Scale(domain=[low - room / 4, high + room], nice=False),
        axis=alt.Axis(tickMinStep=1, tickCount=8, format="d", grid=False),
    )
    share = alt.Scale(domain=[0, 1])
    y = alt.Y(
        "share:Q",
        title=None,
        scale=share,
        axis=alt.Axis(format=".0%", tickCount=3, labelFlush=False),
    )
    tip = tooltips(
        N={"label": "Label", "outcome": "Answer", "said": "Share", "interval": "95 % interval"},
        Q={"x": "Position", "n_label": "Sentences with it", "n_all": "of"},
    )
    colour = LABEL_COLOURS[label]
    layers: list[alt.Chart] = []
    for is_correct in OUTCOMES:
        mine = drawn.filter(pl.col("is_correct") == is_correct)
        dash = [] if is_correct else [5, 4]
        layers += [
            # The band of a single position has no width.
            (
                alt.Chart(mine).mark_area(opacity=0.22 if is_correct else 0.1, color=colour)
                if drawn["place"].n_unique() > 1
                else alt.Chart(mine).mark_rule(strokeWidth=2, strokeDash=dash, color=colour)
            ).encode(x, alt.Y("ci_low_share:Q"), alt.Y2("ci_high_share:Q")),
            alt.Chart(mine).mark_line(color=colour, strokeWidth=2, strokeDash=dash).encode(x, y),
            alt.Chart(mine)
            .mark_point(color=colour, filled=is_correct, size=55, strokeWidth=1.6, opacity=1)
            .encode(x, y, tooltip=tip),
        ]  # fmt: skip
    layers += [
        alt.Chart(last.filter(pl.col("is_above") == is_above))
        .mark_text(align="left", dx=8, dy=-8 if is_above else 8)
        .encode(x, y, alt.Text("outcome:N"))
        for is_above in (True, False)
    ]
    title = alt.Title(
        f"{LETTERS[label]}  {label}, share of sentences",
        subtitle=f"{n_said(drawn['n_all'], 'sentence')}; measured",
    )
    return layered(layers, height=210, title=title)


@drawn_once
def areas(rows: pl.DataFrame) -> alt.LayerChart:
    """How much more of each label right answers have than wrong ones, raw and within questions.

    `rows` are of one pair, from `provenance_correctness`; an area that is missing is not drawn.
    """
    drawn = rows.drop_nulls("area").with_columns(
        said=said("area", signed),
        interval=_interval("area", signed),
        letter=pl.format("{}  {}", pl.col("label").replace_strict(LETTERS), "label"),
    )
    y = alt.Y(
        "letter:N",
        title=None,
        scale=alt.Scale(domain=[f"{LETTERS[label]}  {label}" for label in LABELS]),
        axis=alt.Axis(grid=False, labelFontWeight="bold", ticks=False, labelPadding=10),
    )
    x = alt.X(
        "area:Q",
        title="Area, right less wrong answers",
        axis=alt.Axis(tickCount=5),
    )
    colours = alt.Color(
        "label:N",
        legend=None,
        scale=alt.Scale(domain=list(LABELS), range=[LABEL_COLOURS[label] for label in LABELS]),
    )
    tip = tooltips(
        N={
            "label": "Label", "kind": "Kind", "said": "Area, positions × share",
            "interval": "95 % interval", "correctness": "Verdict", "measurement_id": "Measurement",
        },
        Q={"n_positions": "Positions", "n_questions": "Questions, n", "area": "Exact"},
    )  # fmt: skip
    layers: list[alt.Chart] = [
        alt.Chart(pl.DataFrame({"x": [0.0]})).mark_rule(color=GREY, strokeDash=[4, 3])
        .encode(alt.X("x:Q"))
    ]  # fmt: skip
    for kind, down in (("raw", -14), ("within", 14)):
        mine = drawn.filter(pl.col("kind") == kind)
        layers += [
            alt.Chart(mine.drop_nulls("ci_low_area")).mark_rule(strokeWidth=2, yOffset=down)
            .encode(alt.X("ci_low_area:Q"), y, colours, alt.X2("ci_high_area:Q")),
            alt.Chart(mine)
            .mark_point(
                shape="square" if kind == "raw" else "circle", filled=kind == "within", size=85,
                strokeWidth=1.8, opacity=1, yOffset=down,
            )
            .encode(x, y, colours, tooltip=tip),
            alt.Chart(mine).mark_text(dy=-12, yOffset=down).encode(
                x, y, alt.TextValue("raw" if kind == "raw" else "within questions")
            ),
        ]  # fmt: skip
    title = alt.Title(
        "Do right answers have more of a label?",
        subtitle=f"{n_said(drawn['n_questions'], 'question')}; 95 % intervals; measured",
    )
    return layered(layers, height=72 * len(LABELS) + 90, title=title)


def _interval(column: str, says: Callable[[float | None], str]) -> pl.Expr:
    ends = (said(f"ci_{end}_{column}", says) for end in ("low", "high"))
    return pl.format("{} to {}", *ends)
