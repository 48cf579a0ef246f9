"""The charts of components: heat maps of layers by heads, matches as links, prompts of one."""

from typing import Any, cast

import altair as alt
import polars as pl

from dashboard.charts import GREY, drawn_once, layered, said, tooltips
from dashboard.words import number, signed

MOST_MARKS = 5_000
MARKED = "component"  # the parameter that a click on a map sets
HELPS, HARMS = "#0072B2", "#D55E00"  # of Okabe & Ito; the name and the sign say it, too
_CLEAR = {HELPS: "rgba(0,114,178,0.03)", HARMS: "rgba(213,94,0,0.03)"}
SHADES = {  # what a map shows: its title, whether it has a sign, and how it reads
    "influence": ("influence_max", "Influence, share of the largest", False),
    "effect": ("effect", "Effect, logits lost without it", True),
    "drop": ("drop_pct", "Drop, % of the logit difference", False),
}
_ROW, _LOW_ROW, _AROUND = 34, 18, 190
_FAINT = 0.18  # a link between two components that do nothing
_DARK = 0.5  # similarity from which a cell wants white letters
_LEAST_NAMED = 0.1  # influence from which a component is named beside its mark


def most(frame: pl.DataFrame, by: str, marks: int = MOST_MARKS) -> pl.DataFrame:
    """The rows a chart can hold: those with the largest absolute values."""
    return frame.top_k(marks, by=pl.col(by).abs()) if frame.height > marks else frame


def scale_of(effects: pl.DataFrame, shade: str) -> tuple[float, float]:
    """The ends that all maps share: from 0, or on both sides of it where a sign exists."""
    column, _, has_sign = SHADES[shade]
    largest = cast("float | None", effects[column].abs().max()) or 1.0
    return (-largest if has_sign else 0.0, largest)


@drawn_once
def heat_map(
    effects: pl.DataFrame, shade: str, ends: tuple[float, float], name: str, note: str = ""
) -> alt.LayerChart:
    """Layers by heads, the MLP a column of its own; in a circuit: ringed; not known: grey.

    `effects` are rows of the mart `component_effect` of one model on one task.
    """
    column, title, _ = SHADES[shade]
    drawn = most(effects, "effect").with_columns(
        column=_column(),
        shade=pl.col(column),
        effect_said=said("effect", signed),
        interval=_interval("effect", signed),
        drop_said=said("drop_pct"),
        drop_interval=_interval("drop_pct", number),
        influence_said=said("influence_max"),
        estimate_said=said("estimated_effect", signed),
        rank_said=pl.format("{} of {}", "rank", pl.len()),
        circuit=pl.col("is_in_circuit").replace_strict(
            {True: "in it", False: "outside"}, default="not extracted", return_dtype=pl.String
        ),
    )
    tip = tooltips(
        N={
            "component": "Component", "rank_said": "Rank by effect",
            "effect_said": "Effect, logits", "interval": "95 % interval",
            "influence_said": "Influence, 0 to 1", "drop_said": "Drop, %",
            "drop_interval": "95 % of the drop", "estimate_said": "Estimated effect, logits",
            "circuit": "Circuit at 20 %", "reason": "Not known because", "model": "Model",
            "measurement_id": "Measurement",
        },
        Q={"n_prompts": "Prompts, n", "effect": "Effect, exact"},
    )  # fmt: skip
    heads = cast("int | None", effects["head"].max())
    columns = [str(head) for head in range((heads if heads is not None else -1) + 1)]
    n_layers = cast("int | None", effects["layer"].max()) or 0
    x = alt.X(
        "column:N",
        title="Head",
        scale=alt.Scale(domain=[*columns, "MLP"], paddingInner=0.06),
        axis=alt.Axis(orient="top", labelAngle=0, grid=False, ticks=False, domain=False),
    )
    y = alt.Y(
        "layer:O",
        title="Layer",
        scale=alt.Scale(domain=list(range(n_layers + 1)), paddingInner=0.06),
        axis=alt.Axis(grid=False, ticks=False, domain=False),
    )
    colour = colours("shade", ends, title)
    click = alt.selection_point(name=MARKED, fields=["component"], empty=False)
    cell = alt.Chart(drawn).mark_rect(stroke=GREY, strokeWidth=0.5, cursor="pointer")
    known = pl.col("shade").is_not_null()
    layers = (
        alt.Chart(drawn.remove(known))
        .mark_rect(fill=GREY, fillOpacity=0.35)
        .encode(x, y, tooltip=tip),
        cell.encode(x, y, color=colour, tooltip=tip).add_params(click),
        alt.Chart(drawn.filter(pl.col("is_in_circuit").fill_null(value=False)))
        .mark_point(shape="circle", size=45, fill="#fff", stroke="#000", strokeWidth=1.2, opacity=1)
        .encode(x, y, tooltip=tip),
    )
    return layered(
        layers,
        height=_height(n_layers + 1),
        title=alt.Title(name, subtitle=_subtitle(effects) + note),
    )


def colours(field: str, ends: tuple[float, float], title: str) -> alt.Color:
    """One colour that fades towards 0 into the page's own, or two where values have a sign."""
    low, high = ends
    return alt.Color(
        f"{field}:Q",
        scale=alt.Scale(
            domain=[low, -1e-9, 1e-9, high] if low < 0 else [0, high],
            range=[HARMS, _CLEAR[HARMS], _CLEAR[HELPS], HELPS][0 if low < 0 else 2 :],
            interpolate="rgb",
            clamp=True,
        ),
        legend=alt.Legend(
            title=title, orient="bottom", titleLimit=400, gradientLength=170, tickCount=3,
            titleFontWeight="normal", labelFontSize=12, titleFontSize=12,
        ),
    )  # fmt: skip


def _height(n_layers: int) -> int:
    return (_ROW if n_layers <= 16 else _LOW_ROW) * n_layers + _AROUND


def _subtitle(effects: pl.DataFrame) -> str:
    n = effects["n_prompts"].max()
    return f"{effects.height} components, n = {n} prompts; measured"


def _column() -> pl.Expr:
    return pl.col("head").cast(pl.String).fill_null("MLP")


def _interval(column: str, says: Any) -> pl.Expr:
    return pl.format("{} to {}", *(said(f"ci_{end}_{column}", says) for end in ("low", "high")))


@drawn_once
def links(matches: pl.DataFrame, teacher: pl.DataFrame, student: pl.DataFrame) -> alt.LayerChart:
    """Each match as a line from the teacher's component on the left to the student's.

    `matches` are rows of `matched_component` of one mode and matching, the others of
    `component_effect`. Height is depth: the first layer on top, the last below, in both.
    """
    sides = (_side(teacher, 0.0), _side(student, 1.0))
    ends = [
        side.select(
            pl.col("component").alias(f"component_{whose}"), pl.col("y").alias(f"y_{whose}")
        )
        for side, whose in zip(sides, ("teacher", "student"), strict=True)
    ]
    lines = (
        most(matches, "weight")
        .join(ends[0], on="component_teacher")
        .join(ends[1], on="component_student")
        .with_columns(
            x_teacher=pl.lit(0.0), x_student=pl.lit(1.0),
            thick=pl.col("similarity").clip(0, 1) * pl.col("weight").clip(0, 1),
            gap=pl.col("abs_delta_influence"),
            matters=pl.max_horizontal("influence_teacher", "influence_student").fill_null(0),
            similarity_said=said("similarity"), gap_said=said("abs_delta_influence"),
            influences=pl.format("{} and {}", said("influence_teacher"), said("influence_student")),
            weight_said=said("weight"), share_said=said("resample_share"),
        )
        .with_columns(opacity=_FAINT + (1 - _FAINT) * pl.col("matters").clip(0, 1))
        .sort("matters")
    )  # fmt: skip
    tip = tooltips(
        N={
            "component_teacher": "Teacher's", "component_student": "Student's",
            "similarity_said": "Similarity", "gap_said": "Influence gap",
            "influences": "Influences", "weight_said": "Weight in A",
            "share_said": "Share of resamples that match them",
            "measurement_id": "Measurement",
        },
    )  # fmt: skip
    x = alt.X("x_teacher:Q", axis=None, scale=alt.Scale(domain=[-0.22, 1.22], nice=False))
    y = alt.Y("y_teacher:Q", axis=None, scale=alt.Scale(domain=[1.03, -0.03], nice=False))
    colour = alt.Color(
        "gap:Q",
        scale=alt.Scale(domain=[0, 1], range=[HELPS, "#8A8F94", HARMS], interpolate="rgb"),
        legend=alt.Legend(
            title="Influence gap, 0 to 1", orient="bottom", gradientLength=170, tickCount=3,
            titleFontWeight="normal", labelFontSize=12, titleFontSize=12, titleLimit=300,
        ),
    )  # fmt: skip
    width = alt.Size("thick:Q", scale=alt.Scale(domain=[0, 1], range=[0.4, 5]), legend=None)
    layers: list[alt.Chart] = [
        alt.Chart(lines).mark_rule().encode(
            x, y, colour, width, alt.Opacity("opacity:Q", scale=None),
            x2=alt.X2("x_student:Q"), y2=alt.Y2("y_student:Q"), tooltip=tip,
        )
    ]  # fmt: skip
    for side, align, dx in zip(sides, ("right", "left"), (-9, 9), strict=True):
        layers += _names(side, align, dx)
    tallest = max(teacher.height, student.height)
    chart = layered(
        layers,
        height=min(max(15 * tallest, 220), 900) + 90,
        title=alt.Title(
            "What is matched with what",
            subtitle=[
                "left: teacher, right: student; first layers on top",
                "thick: alike; orange: matters to one of them only",
            ],
        ),
    )
    return chart.resolve_scale(size="independent")


def _side(effects: pl.DataFrame, x: float) -> pl.DataFrame:
    """The components of a model from its first layer to its last, evenly between 0 and 1."""
    ordered = effects.sort("layer", "head", nulls_last=True).with_row_index("place")
    return ordered.select(
        "component", "kind", "layer",
        x=pl.lit(x),
        y=(pl.col("place") + 0.5) / max(effects.height, 1),
        influence=pl.col("influence_max").fill_null(0),
        effect_said=said("effect", signed),
        influence_said=said("influence_max"),
    )  # fmt: skip


def _names(side: pl.DataFrame, align: str, dx: int) -> list[alt.Chart]:
    x, y = alt.X("x:Q"), alt.Y("y:Q")
    tip = tooltips(
        N={
            "component": "Component", "effect_said": "Effect, logits",
            "influence_said": "Influence, 0 to 1",
        }
    )  # fmt: skip
    dots = alt.Chart(side)
    # As many names as there is room for, those of the most influence first.
    named = side.sort("influence", descending=True).head(40)
    if side.height > 40:
        named = named.filter(pl.col("influence") >= _LEAST_NAMED)
    layers = [
        dots.transform_filter(alt.datum.kind == kind)
        .mark_point(shape=shape, filled=True, color=GREY, opacity=1)
        .encode(
            x, y, tooltip=tip,
            size=alt.Size(
                "influence:Q", scale=alt.Scale(domain=[0, 1], range=[14, 150]), legend=None
            ),
        )
        for kind, shape in (("head", "circle"), ("mlp", "square"))
    ]  # fmt: skip
    layers.append(
        alt.Chart(named)
        .mark_text(align=cast(Any, align), dx=dx, baseline="middle")
        .encode(x, y, alt.Text("component:N"))
    )
    return layers


@drawn_once
def mlp_map(matches: pl.DataFrame) -> alt.LayerChart:
    """Similarity of the MLPs, the teacher's layers down and the student's across."""
    drawn = (
        matches.filter(pl.col("kind") == "mlp")
        .unique(["component_teacher", "component_student"], maintain_order=True)
        .with_columns(
            teacher_layer=_layer("component_teacher"), student_layer=_layer("component_student"),
            similarity_said=said("similarity"), gap_said=said("abs_delta_influence"),
        )
    )  # fmt: skip
    x = alt.X(
        "student_layer:O", title="Student's layer",
        axis=alt.Axis(orient="top", labelAngle=0, grid=False, ticks=False, domain=False),
    )  # fmt: skip
    y = alt.Y(
        "teacher_layer:O", title="Teacher's layer",
        axis=alt.Axis(grid=False, ticks=False, domain=False),
    )  # fmt: skip
    colour = alt.Color(
        "similarity:Q",
        scale=alt.Scale(domain=[0, 1], range=[_CLEAR[HELPS], HELPS], clamp=True),
        legend=None,
    )
    tip = tooltips(
        N={
            "component_teacher": "Teacher's", "component_student": "Student's",
            "similarity_said": "Similarity, 0 to 1", "gap_said": "Influence gap",
        }
    )  # fmt: skip
    base = alt.Chart(most(drawn, "similarity"))
    n_layers = drawn["teacher_layer"].n_unique()
    layers = [base.mark_rect(stroke=GREY, strokeWidth=0.5).encode(x, y, color=colour, tooltip=tip)]
    if drawn["student_layer"].n_unique() <= 8:
        on_dark = pl.col("similarity") > _DARK
        layers += [
            _letters(drawn.remove(on_dark)).encode(x, y, alt.Text("similarity_said:N")),
            _letters(drawn.filter(on_dark), "#fff").encode(x, y, alt.Text("similarity_said:N")),
        ]
    title = alt.Title("Which MLPs are alike", subtitle="similarity, 0 to 1")
    return layered(layers, height=_height(n_layers), title=title)


def _letters(rows: pl.DataFrame, colour: str | None = None) -> alt.Chart:
    """Text of a cell; without a colour in the page's own ink."""
    chart = alt.Chart(rows)
    if colour is None:
        return chart.mark_text(baseline="middle", fontSize=13)
    return chart.mark_text(baseline="middle", fontSize=13, color=colour)


def _layer(column: str) -> pl.Expr:
    return pl.col(column).str.split(".").list.first().cast(pl.Int32)


@drawn_once
def prompts(rows: pl.DataFrame, name: str) -> alt.LayerChart:
    """The effect of one component on every prompt, sorted: a diverging strip.

    `rows` are of the mart `component_prompt`, of one component.
    """
    drawn = (
        most(rows, "effect")
        .sort("effect", descending=True)
        .with_row_index("place", offset=1)
        .with_columns(
            is_for=pl.col("effect") > 0,
            effect_said=said("effect", signed),
            clean_said=said("ld_clean", signed),
            ablated_said=said("ld_ablated", signed),
        )
    )
    tip = tooltips(
        N={
            "prompt_id": "Prompt", "clean": "Text", "answer": "Answer", "foil": "Foil",
            "effect_said": "Effect, logits", "clean_said": "With it", "ablated_said": "Without it",
        },
        Q={"effect": "Effect, exact"},
    )  # fmt: skip
    x = alt.X(
        "place:Q", title="Prompts, by effect", axis=alt.Axis(grid=False, tickCount=5, format="d"),
        scale=alt.Scale(domain=[0, drawn.height + 1], nice=False),
    )  # fmt: skip
    bars = (
        alt.Chart(drawn)
        .mark_rule(strokeWidth=max(1.0, min(5.0, 480 / max(drawn.height, 1))))
        .encode(
            x,
            alt.Y("effect:Q", title="Effect, logits", axis=alt.Axis(tickCount=4)),
            alt.Color(
                "is_for:N", legend=None, scale=alt.Scale(domain=[True, False], range=[HELPS, HARMS])
            ),
            y2=alt.Y2Datum(0),
            tooltip=tip,
        )
    )
    zero = alt.Chart(pl.DataFrame({"y": [0.0]})).mark_rule(color=GREY).encode(alt.Y("y:Q"))
    title = alt.Title(name, subtitle=f"n = {drawn.height} prompts; measured")
    return layered((bars, zero), height=220, title=title)
