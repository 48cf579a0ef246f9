"""The charts of what a crosscoder's latents do: ablation, steering, and word geometry."""

import altair as alt
import polars as pl

from dashboard.charts import GREY, drawn_once, layered, said, tooltips
from dashboard.charts import colour as family_colour
from dashboard.component_charts import HARMS, HELPS
from dashboard.words import percent, signed

SIDES = {"distilled": HARMS, "base": HELPS, "control": GREY}
MEASURES = {  # columns of the mart `ablated_feature`
    "d": "Change of the target's logit",
    "per_norm": "Change per unit of removed norm, logits",
}
OUTCOMES = {  # columns of the mart `steered_direction`
    "length_ratio": "Reasoning tokens over those at amplitude 0",
    "triggers_per_100": "Words of the category per 100 tokens",
    "accuracy": "Right answers, share of problems",
    "repetition": "Repeated 8-grams, share",
}
_DASH = [5, 4]
_UNSTRUCTURED = 4.0


@drawn_once
def ablation(rows: pl.DataFrame, measure: str) -> alt.LayerChart:
    """What taking out more and more latents does to both models and, by chance, to one.

    `rows` are of the mart `ablated_feature`, of one pair, filter order and category.
    """
    drawn = pl.concat(
        rows.select(
            "top_percent", "n_features", "n_pairs", "measurement_id",
            side=pl.lit(side), value=pl.col(f"{measure}_{side}"),
            low=_if_there(rows, f"ci_low_{measure}_{side}"),
            high=_if_there(rows, f"ci_high_{measure}_{side}"),
        )
        for side in SIDES
    ).drop_nulls("value").sort("side", "top_percent")  # fmt: skip
    drawn = drawn.with_columns(value_said=said("value", signed), interval=_interval())
    tip = tooltips(
        N={
            "side": "Model", "value_said": MEASURES[measure], "interval": "95 % interval",
            "measurement_id": "Measurement",
        },
        Q={"top_percent": "Share, %", "n_features": "Latents", "n_pairs": "Pairs, n"},
    )  # fmt: skip
    x = alt.X(
        "top_percent:Q", title="Latents that fire most, % of the live ones",
        scale=alt.Scale(type="log", nice=False, padding=14),
        axis=alt.Axis(values=sorted(set(rows["top_percent"])), grid=False, format="~g"),
    )  # fmt: skip
    title = alt.Title(
        "The words without the latents", subtitle=f"n = {rows['n_pairs'].max()} contexts"
    )
    return _lines(drawn, "side", SIDES, x, MEASURES[measure], tip, title)


@drawn_once
def steering(rows: pl.DataFrame, outcome: str) -> alt.LayerChart:
    """An outcome over the amplitude, of a latent and of a random direction beside it.

    `rows` are of the mart `steered_direction`, of one pair and category.
    """
    drawn = rows.select(
        "amplitude", "n_problems", "label", "direction", "measurement_id",
        whose=pl.when(pl.col("latent").is_null()).then(pl.lit("random")).otherwise(
            pl.lit("latent")
        ),
        value=outcome, low=f"ci_low_{outcome}", high=f"ci_high_{outcome}",
    ).drop_nulls("value").sort("whose", "amplitude")  # fmt: skip
    drawn = drawn.with_columns(value_said=said("value"), interval=_interval())
    tip = tooltips(
        N={
            "direction": "Direction", "value_said": OUTCOMES[outcome],
            "interval": "95 % interval", "label": "Verdict", "measurement_id": "Measurement",
        },
        Q={"amplitude": "Amplitude", "n_problems": "Problems, n"},
    )  # fmt: skip
    x = alt.X(
        "amplitude:Q", title="Amplitude, mean norms of the stream",
        scale=alt.Scale(nice=False, padding=14),
        axis=alt.Axis(grid=False, format="~g"),
    )  # fmt: skip
    title = alt.Title(
        "What adding the direction does", subtitle=f"n = {rows['n_problems'].max()} problems"
    )
    colours = {"latent": HARMS, "random": GREY}
    return _lines(drawn, "whose", colours, x, OUTCOMES[outcome], tip, title)


@drawn_once
def geometry(rows: pl.DataFrame) -> alt.LayerChart:
    """Share of couples of word pairs by loss, dashed with the words paired at random.

    `rows` are of the mart `word_geometry`, of one pair, relation and number of axes.
    """
    known = rows.filter(pl.col("cdf").is_not_null())
    steps = pl.DataFrame({"step": list(range(41))}).with_columns(loss=pl.col("step") / 10)
    drawn = known.join(steps, how="cross").with_columns(
        share=pl.col("cdf").list.get(pl.col("step")),
        null=pl.col("null_cdf").list.get(pl.col("step")),
    )
    drawn = drawn.select("side", "loss", "share", "null", "measurement_id").with_columns(
        share_said=said("share", percent), null_said=said("null", percent)
    )
    tip = tooltips(
        N={
            "side": "Model", "share_said": "Couples up to this loss", "null_said": "at random",
            "measurement_id": "Measurement",
        },
        Q={"loss": "Loss"},
    )  # fmt: skip
    x = alt.X(
        "loss:Q", title="Parallelogram loss: 0 perfect, 4 the mean of unstructured words",
        scale=alt.Scale(domain=[0, _UNSTRUCTURED]), axis=alt.Axis(grid=False),
    )  # fmt: skip
    y = alt.Y(
        "share:Q", title="Share of couples of pairs", scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="%"),
    )  # fmt: skip
    colour = _colour("side", {side: SIDES[side] for side in ("base", "distilled")})
    base = alt.Chart(drawn)
    layers = (
        base.mark_line(strokeDash=_DASH, strokeWidth=1.5).encode(x, alt.Y("null:Q"), colour),
        base.mark_line(strokeWidth=2).encode(x, y, colour),
        base.mark_point(opacity=0, size=90).encode(x, y, tooltip=tip),
    )
    n_pairs = rows["n_pairs"].max()
    title = alt.Title("Is the relation one step?", subtitle=f"n = {n_pairs} pairs of words")
    return layered(layers, height=330, title=title)


@drawn_once
def nrn_by_size(rows: pl.DataFrame) -> alt.LayerChart:
    """Mean NRN of each pair's live latents by parameters; rows of the mart `crosscoder`."""
    drawn = rows.select(
        "n_params", "base", "distilled", "family", "n_live", "is_interpretable", "measurement_id",
        value="mean_nrn", low="ci_low_mean_nrn", high="ci_high_mean_nrn",
    ).with_columns(value_said=said("value"), interval=_interval())  # fmt: skip
    tip = tooltips(
        N={
            "distilled": "Distilled", "base": "Base", "value_said": "Mean NRN",
            "interval": "95 % interval", "measurement_id": "Measurement",
        },
        Q={"n_params": "Parameters", "n_live": "Live latents, n"},
    )  # fmt: skip
    x = alt.X(
        "n_params:Q", title="Parameters of the distilled model",
        scale=alt.Scale(type="log", padding=24), axis=alt.Axis(format="~s", grid=False),
    )  # fmt: skip
    y = alt.Y("value:Q", title="Mean NRN: 0.5 shared", scale=alt.Scale(zero=False, padding=12))
    colour = _family(drawn)
    base = alt.Chart(drawn)
    shared = alt.Chart(pl.DataFrame({"value": [0.5]})).mark_rule(strokeDash=_DASH, color=GREY)
    layers = (
        shared.encode(y),
        base.mark_rule(strokeWidth=2).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour),
        base.transform_filter("datum.is_interpretable")
        .mark_point(filled=True, size=70, opacity=1)
        .encode(x, y, colour, tooltip=tip),
        base.transform_filter("!datum.is_interpretable")
        .mark_point(filled=False, size=70)
        .encode(x, y, colour, tooltip=tip),
        base.mark_text(align="left", dx=9, color=GREY).encode(x, y, alt.Text("distilled:N")),
    )
    title = alt.Title("How much is the distilled model's", subtitle=f"n = {rows.height} pairs")
    return layered(layers, height=260, title=title)


@drawn_once
def geometry_against_accuracy(rows: pl.DataFrame) -> alt.LayerChart:
    """Geometry gained against accuracy gained, a point a pair; rows of the mart `geometry_gain`."""
    ends = ("ci_low_d_area", "ci_high_d_area", "ci_low_d_accuracy", "ci_high_d_accuracy")
    drawn = rows.select(
        "base", "distilled", "family", "n_relations", "n_problems", "measurement_id", "d_area",
        "d_accuracy", *ends,
    )  # fmt: skip
    drawn = drawn.with_columns(
        area_said=said("d_area", signed), accuracy_said=said("d_accuracy", signed)
    )
    tip = tooltips(
        N={
            "distilled": "Distilled", "base": "Base", "area_said": "Area gained",
            "accuracy_said": "Accuracy gained", "measurement_id": "Measurement",
        },
        Q={"n_relations": "Relations, n", "n_problems": "Problems, n"},
    )  # fmt: skip
    scale = alt.Scale(zero=False, padding=16)
    x = alt.X("d_area:Q", title="Area gained under the curve of losses", scale=scale)
    y = alt.Y("d_accuracy:Q", title="Right answers gained, share of problems", scale=scale)
    colour = _family(drawn)
    base = alt.Chart(drawn)
    across = base.mark_rule().encode(
        alt.X("ci_low_d_area:Q"), y, colour, alt.X2("ci_high_d_area:Q")
    )
    along = base.mark_rule().encode(
        x, alt.Y("ci_low_d_accuracy:Q"), colour, alt.Y2("ci_high_d_accuracy:Q")
    )
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x, y, colour, tooltip=tip)
    title = alt.Title(
        "Does structure come with right answers?", subtitle=f"n = {rows.height} pairs of models"
    )
    return layered((across, along, points), height=330, title=title)


def _lines(
    drawn: pl.DataFrame,
    by: str,
    colours: dict[str, str],
    x: alt.X,
    name: str,
    tip: list[alt.Tooltip],
    title: alt.Title,
) -> alt.LayerChart:
    """A line with its band for each of `by`."""
    colour = _colour(by, colours)
    y = alt.Y("value:Q", title=name, scale=alt.Scale(zero=False))
    base = alt.Chart(drawn)
    layers = (
        alt.Chart(drawn.drop_nulls("low"))
        .mark_area(opacity=0.16)
        .encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour),
        base.mark_line(strokeWidth=2).encode(x, y, colour),
        base.mark_point(filled=True, size=55, opacity=1).encode(x, y, colour, tooltip=tip),
    )
    return layered(layers, height=330, title=title)


def _colour(by: str, colours: dict[str, str]) -> alt.Color:
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color(f"{by}:N", scale=scale, legend=alt.Legend(title=None, orient="top"))


def _family(drawn: pl.DataFrame) -> alt.Color:
    families = drawn["family"].drop_nulls().unique().sort().to_list()
    scale = alt.Scale(domain=families, range=[family_colour(family) for family in families])
    return alt.Color("family:N", scale=scale, legend=alt.Legend(title=None, orient="top"))


def _if_there(rows: pl.DataFrame, column: str) -> pl.Expr:
    """A column, or nulls: not every number has an interval."""
    return pl.col(column) if column in rows.columns else pl.lit(None, dtype=pl.Float64)


def _interval() -> pl.Expr:
    return pl.format("{} to {}", said("low"), said("high"))
