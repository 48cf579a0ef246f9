"""The charts of what goes on inside: patching, what parts write, probes, noise."""

import altair as alt
import polars as pl

from dashboard.charts import GREY, drawn_once, layered, said, tooltips
from dashboard.component_charts import HELPS, colours, most
from dashboard.words import number, percent, signed

_ROW, _LOW_ROW, _AROUND = 30, 16, 190
_SHORT, _SLANTED = 3, 55  # letters of a column that stands upright; height that slanted ones take
_MANY = 18  # rows from which they are low


def role_order() -> pl.Expr:
    """Roles by name, and the token that the answer follows last."""
    return pl.when(pl.col("role") == "final").then(1).otherwise(0)


def grid(
    rows: pl.DataFrame,
    of: tuple[str, str, str],
    ends: tuple[float, float],
    title: alt.Title,
    legend: str,
    tip: list[alt.Tooltip],
) -> alt.LayerChart:
    """Cells by `row` and `column`, in the order they come; a value that is not known is grey.

    `of` has the titles of rows and columns, and the name of the value.
    """
    row_title, column_title, value = of
    drawn = most(rows, value)
    columns = rows["column"].unique(maintain_order=True).to_list()
    is_long = max(len(name) for name in columns) > _SHORT
    x = alt.X(
        "column:N",
        title=column_title,
        scale=alt.Scale(domain=columns),
        axis=alt.Axis(
            orient="top", labelAngle=-45 if is_long else 0, grid=False, ticks=False, domain=False
        ),
    )
    names = rows["row"].unique(maintain_order=True).to_list()
    y = alt.Y(
        "row:N",
        title=row_title,
        scale=alt.Scale(domain=names),
        axis=alt.Axis(grid=False, ticks=False, domain=False, labelOverlap=True),
    )
    known = pl.col(value).is_not_null()
    layers = (
        alt.Chart(drawn.remove(known)).mark_rect(fill=GREY, fillOpacity=0.35)
        .encode(x, y, tooltip=tip),
        alt.Chart(drawn.filter(known)).mark_rect(stroke=GREY, strokeWidth=0.5)
        .encode(x, y, color=colours(value, ends, legend), tooltip=tip),
    )  # fmt: skip
    height = (_ROW if len(names) <= _MANY else _LOW_ROW) * len(names) + _AROUND
    height += _SLANTED if is_long else 0
    return layered(layers, height=height, title=title)


@drawn_once
def patching(cells: pl.DataFrame, ends: tuple[float, float], name: str) -> alt.LayerChart:
    """How far a patch sets the corrupted run right, token roles across and layers down.

    `cells` are rows of the mart `patching` of one model and part.
    """
    is_head = cells["head"].is_not_null().all()
    label = pl.format("{}.{}", "layer", "head") if is_head else pl.col("layer").cast(pl.String)
    rows = cells.sort("layer", "head", role_order(), "role").with_columns(
        row=label, column=pl.col("role"),
        recovery_said=said("recovery", signed), interval=_interval("recovery"),
        effect_said=said("mean_effect", signed), effect_interval=_interval("effect"),
        z_said=said("z_in_layer", signed),
    )  # fmt: skip
    tip = tooltips(
        N={
            "row": "Layer", "role": "Patched at", "part": "Part", "recovery_said": "Recovery",
            "interval": "95 % interval", "effect_said": "Effect, logits",
            "effect_interval": "its 95 %", "z_said": "z among the layer's heads",
            "reason": "Not known because", "measurement_id": "Measurement",
        },
        Q={"n_prompts": "Prompts, n", "recovery": "Exact"},
    )  # fmt: skip
    title = alt.Title(name, subtitle=f"n = {cells['n_prompts'].max()} prompts; measured")
    of = ("Head" if is_head else "Layer", "Patched at", "recovery")
    return grid(rows, of, ends, title, "Recovery, 1: as good as clean", tip)


@drawn_once
def written(rows: pl.DataFrame, ends: tuple[float, float], name: str) -> alt.LayerChart:
    """What each layer's attention or MLP writes towards the answer, tokens across.

    `rows` are of the mart `residual_by_role`, of one model.
    """
    ordered = rows.sort("position", pl.col("layer").fill_null(-1), "part").with_columns(
        row=pl.format("{} {}", "part", pl.col("layer").cast(pl.String).fill_null("")),
        column=pl.format("{} {}", "position", pl.col("role").fill_null("")).str.strip_chars(),
        value_said=said("mean_attribution", signed), interval=_interval("mean_attribution"),
    )  # fmt: skip
    tip = tooltips(
        N={
            "row": "Part", "column": "Token", "value_said": "Logits towards the answer",
            "interval": "95 % interval", "measurement_id": "Measurement",
        },
        Q={"n_prompts": "Prompts, n", "mean_attribution": "Exact"},
    )  # fmt: skip
    title = alt.Title(name, subtitle=f"n = {rows['n_prompts'].max()} prompts; measured")
    of = ("Part and layer", "Token", "mean_attribution")
    return grid(ordered, of, ends, title, "Logits towards the answer", tip)


@drawn_once
def head_scores(rows: pl.DataFrame, score: str, name: str) -> alt.LayerChart:
    """Share of prompts whose answer, or foil, is among the first tokens that a head writes.

    `rows` are of the mart `head_score` of one model; `score` is successor_share or copy_share.
    """
    what = {"successor_share": "the answer", "copy_share": "the foil"}[score]
    ordered = rows.sort("layer", "head").with_columns(
        row=pl.col("layer").cast(pl.String), column=pl.col("head").cast(pl.String),
        successor=said("successor_share", percent), copy=said("copy_share", percent),
        chance_said=said("chance", percent),
    )  # fmt: skip
    tip = tooltips(
        N={
            "row": "Layer", "column": "Head", "successor": "Says the answer",
            "copy": "Says the foil", "chance_said": "By chance", "measurement_id": "Measurement",
        },
        Q={"n_prompts": "Prompts, n", score: "Exact"},
    )  # fmt: skip
    title = alt.Title(name, subtitle=f"says {what}; n = {rows['n_prompts'].max()} prompts")
    return grid(ordered, ("Layer", "Head", score), (0.0, 1.0), title, "Share of prompts", tip)


@drawn_once
def probes(rows: pl.DataFrame, name: str) -> alt.LayerChart:
    """What a linear probe reads off the stream by layer, beside its control and its baseline.

    `rows` are of the mart `probe`, of one model, label and metric, at the stream.
    """
    drawn = rows.sort("layer").with_columns(
        value_said=said("mean_value"), control_said=said("mean_control"),
        seeds=pl.format("{} to {}", said("least_value"), said("most_value")),
        gain_said=said("gain", signed), gain_interval=_interval("gain"),
        baseline_said=said("baseline"),
    )  # fmt: skip
    tip = tooltips(
        N={
            "value_said": "Held-out value", "seeds": "Over seeds", "control_said": "Control",
            "gain_said": "Gain over it", "gain_interval": "95 % of the gain",
            "baseline_said": "Baseline", "read_at": "Read at", "label": "Asked for",
            "metric": "Metric", "measurement_id": "Measurement",
        },
        Q={
            "layer": "Layer", "n_seeds": "Seeds", "n_train": "Trained on", "n_test": "Held out",
            "n_classes": "Classes",
        },
    )  # fmt: skip
    metric = drawn["metric"].first() or "accuracy"
    x = alt.X(
        "layer:Q", title="Layer", scale=alt.Scale(padding=18, nice=False),
        axis=alt.Axis(values=drawn["layer"].to_list(), format="d", grid=False),
    )  # fmt: skip
    scale = alt.Scale(domain=[0, 1])
    y = alt.Y("mean_value:Q", title=f"Held-out {metric}, 0 to 1", scale=scale)
    base = alt.Chart(drawn)
    ends = alt.Chart(drawn.head(1))
    layers: list[alt.Chart] = [
        base.mark_line(color=GREY, strokeDash=[5, 4]).encode(x, alt.Y("mean_control:Q")),
        base.mark_line(color=GREY, strokeDash=[1, 3]).encode(x, alt.Y("baseline:Q")),
        base.mark_rule(color=HELPS, strokeWidth=2)
        .encode(x, alt.Y("least_value:Q"), alt.Y2("most_value:Q")),
        base.mark_line(color=HELPS, strokeWidth=2).encode(x, y),
        base.mark_point(color=HELPS, filled=True, size=70, opacity=1).encode(x, y, tooltip=tip),
        ends.mark_text(align="left", dx=9, dy=-10)
        .encode(x, alt.Y("mean_control:Q"), alt.TextValue("control")),
    ]  # fmt: skip
    seeds = drawn["n_seeds"].max()
    title = alt.Title(name, subtitle=f"{seeds} seeds, {drawn['n_test'].max()} prompts held out")
    return layered(layers, height=280, title=title)


@drawn_once
def noise(rows: pl.DataFrame) -> alt.LayerChart:
    """Alignment as the student is disturbed, beside its null; hollow: it no longer does the task.

    `rows` are of the mart `noise_curve`, of one pair and scale.
    """
    drawn = rows.sort("sigma").with_columns(
        does=pl.col("share_doing_task") == 1,
        value_said=said("mean_alignment"), null_said=said("mean_null"),
        seeds=pl.format("{} to {}", said("least_alignment"), said("most_alignment")),
        similarity_said=said("mean_similarity"), ld_said=said("mean_ld", signed),
        task_said=said("share_doing_task", percent),
    )  # fmt: skip
    tip = tooltips(
        N={
            "value_said": "A, mean of the seeds", "seeds": "Over seeds", "null_said": "Null",
            "similarity_said": "Mean similarity", "ld_said": "Mean logit difference",
            "task_said": "Seeds that do the task", "measurement_id": "Measurement",
        },
        Q={"sigma": "Sigma", "n_seeds": "Seeds", "n_prompts": "Prompts, n"},
    )  # fmt: skip
    is_relative = (rows["scale"] == "relative").any()
    unit = "times each component's own size" if is_relative else ""
    x = alt.X(
        "sigma:Q", title=f"Standard deviation of the noise{', ' + unit if unit else ''}",
        axis=alt.Axis(grid=False, tickCount=6),
    )  # fmt: skip
    y = alt.Y("mean_alignment:Q", title="Alignment A, 0 to 1", scale=alt.Scale(domain=[0, 1]))
    base = alt.Chart(drawn)
    layers: list[alt.Chart] = [
        base.mark_area(color=HELPS, opacity=0.18)
        .encode(x, alt.Y("least_alignment:Q"), alt.Y2("most_alignment:Q")),
        base.mark_line(color=GREY, strokeDash=[5, 4]).encode(x, alt.Y("mean_null:Q")),
        base.mark_line(color=HELPS, strokeWidth=2).encode(x, y),
        *(
            alt.Chart(drawn.filter(pl.col("does") == does))
            .mark_point(color=HELPS, filled=does, size=50, strokeWidth=1.6, opacity=1)
            .encode(x, y, tooltip=tip)
            for does in (True, False)
        ),
        alt.Chart(drawn.drop_nulls("mean_null").tail(1))
        .mark_text(align="right", dy=12)
        .encode(x, alt.Y("mean_null:Q"), alt.TextValue("null")),
    ]  # fmt: skip
    title = alt.Title(
        "Does alignment fall when the student is disturbed?",
        subtitle=f"{drawn['n_seeds'].max()} seeds, n = {drawn['n_prompts'].max()} prompts",
    )
    return layered(layers, height=330, title=title)


def _interval(column: str) -> pl.Expr:
    ends = (said(f"ci_{end}_{column}", number) for end in ("low", "high"))
    return pl.format("{} to {}", *ends)
