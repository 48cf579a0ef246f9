"""The charts a person looks at: where a head looks, which MLPs are alike, their outputs' shapes."""

from typing import cast

import altair as alt
import polars as pl

from dashboard.charts import GREY, drawn_once, layered, said, tooltips
from dashboard.component_charts import HARMS, HELPS, most
from dashboard.inside_charts import grid
from dashboard.words import percent

_CELL, _AROUND = 16, 215
_LONGEST = 14  # letters of a token's name


@drawn_once
def attention(rows: pl.DataFrame, name: str) -> alt.LayerChart:
    """One head on one prompt: tokens that look down, tokens that are looked at across.

    `rows` are of the mart `attention`, of one model, head and prompt.
    """
    drawn = rows.sort("position", "key_position").with_columns(
        row=_token("position", "token"), column=_token("key_position", "key_token"),
        weight_said=said("weight", percent),
    )  # fmt: skip
    tip = tooltips(
        N={
            "row": "From", "column": "To", "weight_said": "Looks there",
            "prompt_id": "Prompt", "measurement_id": "Measurement",
        },
        Q={"weight": "Exact"},
    )  # fmt: skip
    # What lies ahead of a token is not looked at; drawn, it would be half of all cells.
    seen = drawn.filter((pl.col("weight") > 0) | (pl.col("key_position") <= pl.col("position")))
    title = alt.Title(name, subtitle="one prompt; each row sums to 1; measured")
    of = ("From", "To", "weight")
    chart = grid(seen, of, (0.0, 1.0), title, "Attention, 0 to 1", tip)
    return chart.properties(height=_CELL * drawn["row"].n_unique() + _AROUND)


def _token(position: str, token: str) -> pl.Expr:
    """A token's name: its place, so that no two are the same, and its text without line ends."""
    text = pl.col(token).str.replace_all(r"\s", "␣").str.slice(0, _LONGEST)
    return pl.format("{} {}", position, text)


@drawn_once
def mlp_map(rows: pl.DataFrame, name: str) -> alt.LayerChart:
    """Similarity of all MLPs, the teacher's layers down and the student's across.

    `rows` are of the mart `mlp_likeness`, of one pair.
    """
    drawn = rows.sort("layer_teacher", "layer_student").with_columns(
        row=pl.col("layer_teacher").cast(pl.String), column=pl.col("layer_student").cast(pl.String),
        similarity_said=said("similarity"), chance_said=said("chance"),
    )  # fmt: skip
    tip = tooltips(
        N={
            "row": "Teacher's layer", "column": "Student's layer",
            "similarity_said": "Similarity, 0 to 1", "chance_said": "By chance",
            "method": "By", "measurement_id": "Measurement",
        },
        Q={"n_prompts": "Prompts, n", "similarity": "Exact"},
    )  # fmt: skip
    title = alt.Title(name, subtitle=f"n = {rows['n_prompts'].max()} prompts; measured")
    of = ("Teacher's layer", "Student's layer", "similarity")
    return grid(drawn, of, (0.0, 1.0), title, "Similarity, 0 to 1", tip)


@drawn_once
def cloud(rows: pl.DataFrame, name: str) -> alt.LayerChart:
    """Outputs of one MLP on its two first principal axes, the first token of a prompt apart.

    `rows` are of the mart `mlp_cloud`, of one model and MLP.
    """
    drawn = most(rows, "first").with_columns(
        first_said=said("first"), second_said=said("second"),
        named=_token("position", "token"),
    )  # fmt: skip
    tip = tooltips(
        N={
            "named": "Token", "prompt_id": "Prompt", "first_said": "First axis",
            "second_said": "Second axis", "measurement_id": "Measurement",
        },
    )  # fmt: skip
    x, y = (
        alt.X("first:Q", title=f"First axis, {_share(rows, 'share_first')}"),
        alt.Y("second:Q", title=f"Second, {_share(rows, 'share_second')}"),
    )
    layers = [
        alt.Chart(drawn.filter(pl.col("is_first") == is_first))
        .mark_point(
            shape="diamond" if is_first else "circle", filled=True, size=90 if is_first else 24,
            color=HARMS if is_first else HELPS, opacity=0.9 if is_first else 0.45,
        )
        .encode(x, y, tooltip=tip)
        for is_first in (False, True)
    ]  # fmt: skip
    zero = pl.DataFrame({"at": [0.0]})
    lines = [
        alt.Chart(zero).mark_rule(color=GREY, opacity=0.5).encode(alt.X("at:Q")),
        alt.Chart(zero).mark_rule(color=GREY, opacity=0.5).encode(alt.Y("at:Q")),
    ]
    n = rows["prompt_id"].n_unique()
    title = alt.Title(name, subtitle=f"a point a token of {n} prompts; measured")
    return layered((*layers, *lines), height=300, title=title)


def _share(rows: pl.DataFrame, column: str) -> str:
    return f"{percent(cast(float, rows[column].first()))} of the variance"
