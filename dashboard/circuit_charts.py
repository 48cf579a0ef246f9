"""The charts of whole models on a task: brittleness, variants of alignment, circuits."""

from collections.abc import Callable
from typing import cast

import altair as alt
import polars as pl

from dashboard import circuit_links
from dashboard.charts import FULL, GREY, PALE, ROLE_SHAPES, drawn_once, layered, said, tooltips
from dashboard.component_charts import HARMS, HELPS
from dashboard.words import n_said, number, signed

SHAPES = {
    "teacher": ROLE_SHAPES["teacher"],
    "student": ROLE_SHAPES["derivative"],
    "alone": ROLE_SHAPES["base"],
}
_ROW, _NAME_ABOVE, _AROUND = 58, 20, 120
_BAND, _FAINT = 20, 0.28
_BOW = circuit_links.BOW
MOST_LINKS = circuit_links.MOST


def _rows(names: list[str]) -> alt.Y:
    """Rows with their names above themselves, which costs no width on a phone."""
    return alt.Y(
        "row:N",
        title=None,
        scale=alt.Scale(domain=names),
        axis=alt.Axis(
            labelAlign="left", labelPadding=-2, labelOffset=-_NAME_ABOVE, labelLimit=1_000,
            labelOverlap=False, grid=False, zindex=1,
        ),
    )  # fmt: skip


def _interval(
    column: str, says: Callable[[float | None], str] = number, start: str = ""
) -> pl.Expr:
    ends = (said(f"{start}ci_{end}_{column}", says) for end in ("low", "high"))
    return pl.format("{} to {}", *ends)


@drawn_once
def brittleness(models: pl.DataFrame) -> alt.LayerChart:
    """Mean drop of each model, with both intervals and its floor.

    `models` are rows of `brittleness_model` with a column `whose`: teacher, student or alone.
    """
    drop = "mean_drop_pct"
    rows = models.with_columns(
        row=pl.format("{} · {}", "model", "whose"),
        value_said=said(drop), interval=_interval(drop),
        of_prompts=_interval(drop, start="prompt_"), floor_said=said("floor_mean_drop_pct"),
        top5_said=said("top5_drop_pct"), gini_said=said("gini_drop"), zero=pl.lit(0.0),
        because=pl.col("reason").fill_null("–"),
    )  # fmt: skip
    y = _rows(rows["row"].to_list())
    ends = [rows[f"ci_high_{drop}"].max(), rows["top5_drop_pct"].max(), 1.0]
    top = max(cast(float, end) for end in ends if end is not None)
    x = alt.X(
        f"{drop}:Q",
        title="Drop, % of the logit difference",
        scale=alt.Scale(domain=[0, top * 1.06], nice=False),
        axis=alt.Axis(tickCount=5),
    )
    tip = tooltips(
        N={
            "model": "Model", "whose": "It is", "value_said": "Mean drop, %",
            "interval": "95 % over components", "of_prompts": "95 % over prompts",
            "floor_said": "Floor, %", "top5_said": "Mean of the five largest, %",
            "gini_said": "Gini of the drops", "because": "Not known because",
            "measurement_id": "Measurement",
        },
        Q={"n_components": "Components", "n_prompts": "Prompts, n", drop: "Exact"},
    )  # fmt: skip
    known = rows.drop_nulls(drop)
    layers: list[alt.Chart] = [
        alt.Chart(known).mark_bar(height=_BAND, color=GREY, opacity=_FAINT)
        .encode(alt.X("zero:Q"), y, alt.X2("floor_mean_drop_pct:Q"), tooltip=tip),
        alt.Chart(known).mark_rule(strokeWidth=2, color=HELPS)
        .encode(alt.X(f"ci_low_{drop}:Q"), y, alt.X2(f"ci_high_{drop}:Q")),
        alt.Chart(known).mark_rule(strokeWidth=7, color=HELPS, opacity=0.5)
        .encode(alt.X(f"prompt_ci_low_{drop}:Q"), y, alt.X2(f"prompt_ci_high_{drop}:Q")),
        *(
            alt.Chart(known.filter(pl.col("whose") == whose))
            .mark_point(shape=shape, filled=True, size=130, color=HELPS, opacity=1)
            .encode(x, y, tooltip=tip)
            for whose, shape in SHAPES.items()
        ),
        alt.Chart(known).mark_tick(thickness=2, size=_BAND, color=GREY)
        .encode(alt.X("top5_drop_pct:Q"), y, tooltip=tip),
        alt.Chart(rows.filter(pl.col(drop).is_null()))
        .mark_text(align="right", baseline="middle")
        .encode(alt.XValue("width"), alt.TextValue("not known"), y=y),
    ]  # fmt: skip
    n = "–".join(str(n) for n in sorted(set(rows["n_prompts"])))
    title = alt.Title("What losing a component costs", subtitle=f"n = {n} prompts; measured")
    return layered(layers, height=_ROW * rows.height + _AROUND, title=title)


@drawn_once
def differences(pairs: pl.DataFrame) -> alt.LayerChart:
    """How much more the student drops, against 0; as published, hollow.

    `pairs` are rows of `brittleness_pair` of one student and teacher.
    """
    of = "difference_pct"
    rows = pairs.drop_nulls(of).with_columns(
        row=pl.format(
            "than its {}{}", "against",
            pl.when("is_paper_mode").then(pl.lit(", as the paper has it")).otherwise(pl.lit("")),
        ),
        value_said=said(of, signed), interval=_interval(of, signed),
        of_prompts=_interval(of, signed, start="prompt_"),
        tenth=said("per_tenth", signed), tenth_interval=_interval("per_tenth", signed),
    )  # fmt: skip
    y = _rows(rows["row"].unique(maintain_order=True).to_list())
    x = alt.X(f"{of}:Q", title="Difference of the mean drops, points", axis=alt.Axis(tickCount=5))
    tip = tooltips(
        N={
            "row": "More than", "value_said": "Difference, points",
            "interval": "95 % over components", "of_prompts": "95 % over prompts",
            "tenth": "For each 0.1 of compression", "tenth_interval": "its 95 %",
            "measurement_id": "Measurement",
        },
        Q={"compression": "Compression", "n_prompts": "Prompts, n", of: "Exact"},
    )  # fmt: skip
    base = alt.Chart(rows)
    layers: list[alt.Chart] = [
        alt.Chart(pl.DataFrame({"x": [0.0]})).mark_rule(color=GREY, strokeDash=[4, 3])
        .encode(alt.X("x:Q")),
        base.mark_rule(strokeWidth=2, color=HELPS)
        .encode(alt.X(f"ci_low_{of}:Q"), y, alt.X2(f"ci_high_{of}:Q")),
        base.mark_rule(strokeWidth=7, color=HELPS, opacity=0.5)
        .encode(alt.X(f"prompt_ci_low_{of}:Q"), y, alt.X2(f"prompt_ci_high_{of}:Q")),
        *(
            alt.Chart(rows.filter(pl.col("is_paper_mode") == is_paper))
            .mark_point(
                shape=SHAPES["student"], size=130, color=HELPS, opacity=1, filled=not is_paper,
                strokeWidth=1.8,
            )
            .encode(x, y, tooltip=tip)
            for is_paper in (False, True)
        ),
    ]  # fmt: skip
    title = alt.Title(
        "How much more the student drops",
        subtitle=f"{n_said(rows['n_prompts'], 'prompt')}; dashed: no more; measured",
    )
    height = _ROW * max(rows["row"].n_unique(), 1) + _AROUND
    return layered(layers, height=height, title=title)


@drawn_once
def variants(rows: pl.DataFrame) -> alt.LayerChart:
    """A of every variant beside what shuffled influences give; one within its null is pale.

    `rows` are of `aligned_pair`, of one teacher, student and task, in the order of the chart.
    """
    drawn = rows.drop_nulls("alignment").with_columns(
        row=variant_name(),
        shade=pl.when(pl.col("alignment") > pl.col("null_high")).then(FULL).otherwise(PALE),
        value_said=said("alignment"), interval=_interval("alignment"),
        null_said=pl.format(
            "{} ({} to {})", said("null_alignment"), said("null_low"), said("null_high")
        ),
        gain_said=said("gain", signed), p_said=said("null_p"),
        similarity_said=said("mean_similarity"), gap_said=said("mean_abs_delta_influence"),
    )  # fmt: skip
    y = _rows(drawn["row"].to_list())
    x = alt.X(
        "alignment:Q", title="Alignment A, 0 to 1",
        scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=5),
    )  # fmt: skip
    tip = tooltips(
        N={
            "row": "Variant", "value_said": "A", "interval": "95 % over prompts",
            "null_said": "Null, its 95 %", "gain_said": "Gain", "p_said": "p",
            "similarity_said": "Mean similarity", "gap_said": "Mean influence gap",
            "measurement_id": "Measurement",
        },
        Q={"n_pairs": "Pairs", "n_prompts": "Prompts, n", "alignment": "Exact"},
    )  # fmt: skip
    base = alt.Chart(drawn)
    shade = alt.Opacity("shade:Q", scale=None)
    layers: list[alt.Chart] = [
        base.mark_rule(strokeWidth=12, color=GREY, opacity=0.35)
        .encode(alt.X("null_low:Q"), y, alt.X2("null_high:Q"), tooltip=tip),
        base.mark_tick(thickness=2, size=14, color=GREY)
        .encode(alt.X("null_alignment:Q"), y, tooltip=tip),
        base.mark_rule(strokeWidth=2, color=HELPS)
        .encode(alt.X("ci_low_alignment:Q"), y, shade, alt.X2("ci_high_alignment:Q")),
        base.mark_point(shape="circle", filled=True, size=95, color=HELPS)
        .encode(x, y, shade, tooltip=tip),
    ]  # fmt: skip
    return layered(
        layers,
        height=44 * drawn.height + _AROUND,
        title=alt.Title(
            "Alignment beside its null",
            subtitle=f"{n_said(drawn['n_prompts'], 'prompt')}; grey band: influences shuffled",
        ),
    )


def variant_name() -> pl.Expr:
    """What a variant of alignment is called: max + greedy; of the public code: so."""
    code = pl.when(pl.col("mode") == "paper_code").then(pl.lit(" · public code"))
    return pl.format("{} + {}{}", "normalisation", "matching", code.otherwise(pl.lit("")))


@drawn_once
def graph(
    nodes: pl.DataFrame, effects: pl.DataFrame, name: str, edges: pl.DataFrame
) -> alt.LayerChart:
    """The circuit by layer: a node a component, as large as the points it alone is worth in it.

    `nodes` are rows of `circuit_component` at one budget, `effects` of `component_effect`; what is
    not in the circuit is a dot, so that its place is seen. `edges` are rows of `circuit_link` of
    that circuit, none if there are none.
    """
    n_columns = (cast("int | None", effects["head"].max()) or 0) + 2
    column = pl.col("head").fill_null(n_columns - 1)
    rest = effects.join(nodes, on="component", how="anti").with_columns(column=column)
    drawn = nodes.with_columns(
        column=column,
        size=pl.col("delta_p_in_circuit").abs(),
        points=said("delta_p_in_circuit", signed),
        whole=said("delta_p_pct", signed),
    )
    n_layers = (cast("int | None", effects["layer"].max()) or 0) + 1
    label = f"datum.value == {n_columns - 1} ? 'MLP' : datum.value"
    x = alt.X(
        "column:Q",
        title="Head",
        scale=alt.Scale(
            domain=[-0.6, n_columns - 0.4 + (_BOW if edges.height else 0)], nice=False
        ),
        axis=alt.Axis(
            orient="top", values=list(range(n_columns)), labelExpr=label, grid=False,
            ticks=False, domain=False,
        ),
    )  # fmt: skip
    y = alt.Y(
        "layer:Q",
        title="Layer",
        scale=alt.Scale(domain=[n_layers - 0.4 + bool(edges.height), -0.6], nice=False),
        axis=alt.Axis(values=list(range(n_layers)), format="d", domain=False, ticks=False),
    )
    tip = tooltips(
        N={
            "component": "Component", "points": "Points, taken out of the circuit",
            "whole": "Points, taken out of the whole model", "measurement_id": "Measurement",
        },
        Q={"budget": "Budget", "delta_p_in_circuit": "Exact"},
    )  # fmt: skip
    size = alt.Size("size:Q", scale=alt.Scale(domain=[0, 100], range=[40, 900], clamp=True))
    layers = [
        *circuit_links.lines(edges, drawn, n_columns - 1, n_layers, x, y),
        alt.Chart(rest).mark_point(shape="circle", size=14, color=GREY, opacity=0.7)
        .encode(x, y, tooltip=tooltips(N={"component": "Not in the circuit"})),
        *(
            alt.Chart(drawn.filter(pl.col("head").is_null() == is_mlp))
            .mark_point(
                shape="square" if is_mlp else "circle", filled=True, opacity=0.85, color=HELPS
            )
            .encode(x, y, size.legend(None), tooltip=tip)
            for is_mlp in (False, True)
        ),
        alt.Chart(drawn).mark_text(dy=22, baseline="middle").encode(x, y, alt.Text("component:N")),
    ]  # fmt: skip
    subtitle = f"{drawn.height} of {effects.height} components; area: points it is worth; measured"
    return layered(
        layers,
        height=min(56 * (n_layers + bool(edges.height)), 1_400) + 110,
        title=alt.Title(name, subtitle=subtitle),
    )


@drawn_once
def sweep(circuits: pl.DataFrame) -> alt.LayerChart:
    """What a circuit alone does, and what all the rest does, as the budget grows.

    `circuits` are rows of the mart `circuit` of one model on one task.
    """
    long = pl.concat(
        circuits.select(
            "budget", "n_heads", "n_mlps", "n_prompts", "measurement_id",
            what=pl.lit(name), jaccard_said=said("jaccard"), value=pl.col(column),
            low=pl.col(f"ci_low_{column}"), high=pl.col(f"ci_high_{column}"),
            value_said=said(column), interval=_interval(column),
        )
        for name, column in (("the circuit", "completeness_pct"), ("the rest", "necessity_pct"))
    ).sort("what", "budget")  # fmt: skip
    tip = tooltips(
        N={
            "what": "At work", "value_said": "Retained, %", "interval": "95 % interval",
            "jaccard_said": "Jaccard with 20 %", "measurement_id": "Measurement",
        },
        Q={
            "budget": "Budget", "n_heads": "Heads", "n_mlps": "MLPs", "n_prompts": "Prompts, n",
            "value": "Exact",
        },
    )  # fmt: skip
    x = alt.X(
        "budget:Q", title="Budget: share that may be lost",
        scale=alt.Scale(zero=False, padding=18), axis=alt.Axis(format=".0%", tickCount=5),
    )  # fmt: skip
    y = alt.Y("value:Q", title="Retained, %", axis=alt.Axis(tickCount=5))
    layers: list[alt.Chart] = []
    for name, colour, is_filled, dash in (
        ("the circuit", HELPS, True, []), ("the rest", HARMS, False, [5, 4]),
    ):  # fmt: skip
        mine = alt.Chart(long.filter(pl.col("what") == name))
        first = long.filter(pl.col("what") == name).sort("budget").head(1)
        layers += [
            mine.mark_line(color=colour, strokeWidth=2, strokeDash=dash).encode(x, y),
            mine.mark_rule(color=colour, strokeWidth=2)
            .encode(x, alt.Y("low:Q"), alt.Y2("high:Q")),
            mine.mark_point(color=colour, filled=is_filled, size=60, strokeWidth=1.6, opacity=1)
            .encode(x, y, tooltip=tip),
            alt.Chart(first).mark_text(align="left", dx=9, dy=-12, baseline="middle")
            .encode(x, y, alt.Text("what:N")),
        ]  # fmt: skip
    return layered(layers, height=290,
        title=alt.Title(
            "As the budget grows", subtitle=f"{n_said(long['n_prompts'], 'prompt')}; measured"
        ),
    )  # fmt: skip
