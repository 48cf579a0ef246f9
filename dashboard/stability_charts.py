"""The charts of capability and the proxies R: the plane, profiles, and one trajectory."""

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
from dashboard.stability_words import BESIDE, COMPONENTS, MEANINGS
from dashboard.step_text import OUTSIDE, VIOLATION

PICKED = "picked"  # the selection of a student on the plane
_BAR, _ROW, _AROUND = 15, 54, 100
_ROOM = 1.12
_NAME = "width < 500 ? datum.number : datum.student"  # a phone has no room for names
_MOST_NAMES = 4  # names of more students would lie on each other


@drawn_once
def plane(students: pl.DataFrame) -> alt.LayerChart:
    """Each student's distance from its teacher: in K along, in R up; noise and envelope.

    `students` is `stability_student` of one teacher and its plain counterpart. A click on a student
    is the selection `PICKED` of its `model_role`; `number` names it where names have no room.
    """
    drawn = students.drop_nulls(["delta_k", "delta_r"]).with_columns(
        model_role=pl.col("role"),
        colour=pl.col("family").map_elements(colour, return_dtype=pl.String, skip_nulls=False),
        opacity=pl.when(pl.col("asymmetry") == "NOT ENOUGH").then(PALE).otherwise(FULL),
        is_plain=pl.col("teacher_role") == "plain-teacher",
        said_k=said("delta_k"),
        said_r=said("delta_r"),
        said_noise=said("noise_r"),
        interval_k=_interval("delta_k"),
        interval_r=_interval("delta_r"),
    )
    noise = drawn.sort(pl.col("components").str.count_matches(","), descending=True)["noise_r"]
    epsilon = drawn["epsilon_k"][0] if drawn.height else 0.05
    right = _ROOM * max([2 * epsilon, *drawn["ci_high_delta_k"].drop_nulls(), *drawn["delta_k"]])
    top = _ROOM * max([0.1, *drawn["ci_high_delta_r"].drop_nulls(), *drawn["delta_r"], *noise[:1]])
    x = alt.X(
        "delta_k:Q",
        title="ΔK: distance in accuracy, 0 to 1",
        scale=alt.Scale(domain=[0, right], nice=False),
        axis=alt.Axis(tickCount=6),
    )
    y = alt.Y(
        "delta_r:Q",
        title="ΔR: distance in the proxies",
        scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(tickCount=6),
    )
    tip = tooltips(
        N={
            "student": "Student", "teacher": "Teacher", "said_k": "ΔK",
            "interval_k": "ΔK, 95 % interval", "said_r": "ΔR", "interval_r": "ΔR, 95 % interval",
            "said_noise": "Noise of ΔR", "components": "Proxies compared",
            "asymmetry": "Asymmetry", "proposition": "Proposition 1",
            "measurement_id": "Measurement",
        },
        Q={"delta_k": "ΔK, exact", "delta_r": "ΔR, exact", "n_problems": "Stories, n"},
    )  # fmt: skip
    family = alt.Color("colour:N", scale=None)
    shade = alt.Opacity("opacity:Q", scale=None)
    band = pl.DataFrame(
        {
            "x": [0.0], "x2": [right], "y": [0.0], "y2": list(noise[:1]) or [0.0],
            "says": ["within the noise of ΔR"],
        }
    )  # fmt: skip
    near = pl.DataFrame({"x": [epsilon], "says": [f"ΔK = {epsilon:g}"]})
    layers: list[alt.Chart] = [
        alt.Chart(band).mark_rect(color=GREY, opacity=0.2)
        .encode(alt.X("x:Q"), alt.Y("y:Q"), alt.X2("x2:Q"), alt.Y2("y2:Q")),
        alt.Chart(band).mark_text(align="right", baseline="bottom", dx=-6, dy=-3)
        .encode(alt.X("x2:Q"), alt.Y("y:Q"), alt.Text("says:N")),
        alt.Chart(near).mark_rule(color=GREY, strokeDash=[5, 4]).encode(alt.X("x:Q")),
        alt.Chart(near).mark_text(align="left", dx=5, baseline="top")
        .encode(alt.X("x:Q"), alt.YValue(2), alt.Text("says:N")),
        alt.Chart(drawn.drop_nulls("envelope_r").sort("delta_k"))
        .mark_line(color=GREY, interpolate="step-after", strokeWidth=1.5, strokeDash=[2, 3])
        .encode(x, alt.Y("envelope_r:Q"), alt.Detail("teacher_role:N")),
        alt.Chart(drawn.drop_nulls("ci_low_delta_k")).mark_rule(strokeWidth=1.5)
        .encode(alt.X("ci_low_delta_k:Q"), y, family, shade, alt.X2("ci_high_delta_k:Q")),
        alt.Chart(drawn.drop_nulls("ci_low_delta_r")).mark_rule(strokeWidth=1.5)
        .encode(x, alt.Y("ci_low_delta_r:Q"), family, shade, alt.Y2("ci_high_delta_r:Q")),
    ]  # fmt: skip
    picked = alt.selection_point(name=PICKED, fields=["model_role"])
    for is_plain, shape in ((False, ROLE_SHAPES["derivative"]), (True, ROLE_SHAPES["reference"])):
        points = (
            alt.Chart(drawn.filter(pl.col("is_plain") == is_plain))
            .mark_point(shape=shape, filled=True, size=130, cursor="pointer")
            .encode(x, y, family, shade, alt.Detail("model_role:N"), tooltip=tip)
        )
        layers.append(points.add_params(picked) if not is_plain else points)
    name = _NAME if drawn.height <= _MOST_NAMES else "datum.number"
    for side, is_left in ((-1, True), (1, False)):
        mine = drawn.filter((pl.col("delta_k") > right * 0.6) == is_left)
        layers.append(
            alt.Chart(mine)
            .mark_text(align="right" if is_left else "left", dx=9 * side, dy=-9)
            .encode(x, y, alt.TextValue(alt.ExprRef(name)))
        )
    title = alt.Title(
        "Students against their teacher",
        subtitle=f"n = {drawn.height} students; 95 % intervals; measured",
    )
    return layered(layers, height=430, title=title)


@drawn_once
def profile(rows: pl.DataFrame, teacher: str, student: str) -> alt.LayerChart:
    """Components of a teacher and one student, a bar each; `rows` of `stability_component`."""
    names = {name: f"{name}: {MEANINGS[name]}" for name in COMPONENTS if name not in BESIDE}
    kept = (
        rows.filter(pl.col("component").is_in(list(names)))
        .drop_nulls("value")
        .with_columns(
            row=pl.col("component").replace_strict(names),
            colour=pl.col("family").map_elements(colour, return_dtype=pl.String, skip_nulls=False),
            said=said("value"),
            interval=_interval("value"),
            said_null=said("null_value"),
            whose=pl.when("is_teacher").then(pl.lit("teacher")).otherwise(pl.lit("student")),
            zero=pl.lit(0.0),
            end=pl.max_horizontal("value", "ci_high_value"),
        )
    )
    y = alt.Y(
        "row:N",
        title=None,
        scale=alt.Scale(domain=list(names.values())),
        axis=alt.Axis(
            labelAlign="left", labelPadding=-2, labelOffset=-25, labelLimit=1_000,
            labelOverlap=False, grid=False, zindex=1,
            labelExpr="width < 500 ? split(datum.label, ':')[0] : datum.label",
        ),
    )  # fmt: skip
    x = alt.X(
        "zero:Q", title="0 to 1", scale=alt.Scale(domain=[0, 1.12], nice=False),
        axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1]),
    )  # fmt: skip
    tip = tooltips(
        N={
            "model": "Model", "component": "Component", "said": "Value",
            "interval": "95 % interval", "said_null": "Null: steps dealt anew",
            "measurement_id": "Measurement",
        },
        Q={"value": "Exact", "n_problems": "Stories, n", "n_values": "Values"},
    )  # fmt: skip
    layers: list[alt.Chart] = []
    for whose, down, opacity in (("teacher", -8, 0.45), ("student", 9, 1.0)):
        mine = kept.filter(pl.col("whose") == whose)
        layers += [
            alt.Chart(mine).mark_bar(height=_BAR, yOffset=down, opacity=opacity)
            .encode(x, y, alt.Color("colour:N", scale=None), alt.X2("value:Q"), tooltip=tip),
            alt.Chart(mine.drop_nulls("ci_low_value"))
            .mark_rule(color=GREY, strokeWidth=2, yOffset=down)
            .encode(alt.X("ci_low_value:Q"), y, alt.X2("ci_high_value:Q")),
            alt.Chart(mine.drop_nulls("null_value"))
            .mark_tick(color=VIOLATION, thickness=2, size=_BAR, yOffset=down)
            .encode(alt.X("null_value:Q"), y),
            alt.Chart(mine).mark_text(align="left", baseline="middle", dx=5, yOffset=down)
            .encode(alt.X("end:Q"), y, alt.Text("said:N")),
        ]  # fmt: skip
    title = alt.Title(
        "Accuracies (K) and proxies (R)",
        subtitle=[f"pale: {teacher}; full: {student}", "lines: 95 % intervals; measured"],
        offset=26,
    )
    return layered(layers, height=_ROW * len(names) + _AROUND, title=title)


@drawn_once
def burdens(steps: pl.DataFrame) -> alt.LayerChart:
    """Burden of each step beside its limit; above it is a violation, with its letter."""
    drawn = steps.drop_nulls("b").with_columns(
        number=pl.col("t") + 1,
        zero=pl.lit(0.0),
        colour=pl.when("is_violation").then(pl.lit(VIOLATION)).otherwise(pl.lit(GREY)),
        said=said("b"),
        said_limit=said("b_limit"),
    )
    x = _steps_axis(drawn, None)
    tip = tooltips(
        N={"text": "Arrives at", "said": "Burden", "said_limit": "Limit"}, Q={"b": "Exact"}
    )
    y = alt.Scale(domain=[0, max([0.5, *drawn["b"], *drawn["b_limit"]]) * 1.1], nice=False)
    layers = (
        alt.Chart(drawn).mark_bar(size=16)
        .encode(x, alt.Y("zero:Q", title="Burden, 0 to 2", scale=y), y2=alt.Y2("b:Q"),
                color=alt.Color("colour:N", scale=None), tooltip=tip),
        alt.Chart(drawn).mark_tick(orient="horizontal", color=GREY, thickness=2, size=28)
        .encode(x, alt.Y("b_limit:Q"), tooltip=tip),
        alt.Chart(drawn.filter("is_violation")).mark_text(dy=-8, fontWeight="bold")
        .encode(x, alt.Y("b:Q"), alt.TextValue("V")),
    )  # fmt: skip
    title = alt.Title(
        "Burden of each step",
        subtitle=f"n = {drawn.height} steps; tick: the teacher's limit there; V: above it",
    )
    return layered(layers, height=170, title=title)


@drawn_once
def load(steps: pl.DataFrame) -> alt.Chart:
    """Path load after each step: it never falls."""
    drawn = steps.drop_nulls("path_load").with_columns(number=pl.col("t") + 1)
    return (
        alt.Chart(drawn)
        .mark_line(color=GREY, point=alt.OverlayMarkDef(size=50, filled=True, color=GREY))
        .encode(
            _steps_axis(drawn, None),
            alt.Y("path_load:Q", title="Load", scale=alt.Scale(zero=True)),
            tooltip=tooltips(N={"text": "Arrives at"}, Q={"path_load": "Load", "b": "Burden"}),
        )
        .properties(
            height=130,
            width="container",
            title=alt.Title("Path load", subtitle=f"n = {drawn.height} steps"),
        )
    )


@drawn_once
def region(steps: pl.DataFrame) -> alt.LayerChart:
    """Distance of each state from the model's own region, and the radius its load leaves."""
    drawn = steps.drop_nulls("distance").with_columns(
        number=pl.col("t") + 1,
        colour=pl.when("is_outside").then(pl.lit(OUTSIDE)).otherwise(pl.lit(GREY)),
    )
    x = _steps_axis(drawn, "Step")
    y = alt.Y("radius:Q", title="Mahalanobis distance", scale=alt.Scale(zero=True))
    tip = tooltips(
        N={"text": "Arrives at"}, Q={"distance": "Distance", "radius": "Radius", "slack": "Ratio"}
    )
    layers = (
        alt.Chart(drawn).mark_line(color=GREY, interpolate="step", strokeDash=[4, 3])
        .encode(x, y, tooltip=tip),
        alt.Chart(drawn).mark_point(filled=True, size=80, opacity=1)
        .encode(x, alt.Y("distance:Q"), alt.Color("colour:N", scale=None), tooltip=tip),
        alt.Chart(drawn.filter("is_outside")).mark_text(dy=-11, fontWeight="bold")
        .encode(x, alt.Y("distance:Q"), alt.TextValue("O")),
    )  # fmt: skip
    title = alt.Title(
        "Feasible region",
        subtitle=f"n = {drawn.height} steps; dashed: the radius after that load; O: outside",
    )
    return layered(layers, height=170, title=title)


def _steps_axis(steps: pl.DataFrame, title: str | None) -> alt.X:
    n = max([3, *steps["number"]])
    return alt.X(
        "number:Q",
        title=title,
        scale=alt.Scale(domain=[0.4, n + 0.6], nice=False),
        axis=alt.Axis(tickMinStep=1, format="d", tickCount=min(n, 12), grid=False),
    )


def _interval(column: str) -> pl.Expr:
    ends = (said(f"ci_{end}_{column}") for end in ("low", "high"))
    return pl.format("{} to {}", *ends)
