"""From which base, and from which teacher? From lineage, lineage_layer, teacher_attribution."""

from typing import Any

import polars as pl
import streamlit as st

from dashboard import (
    attribution_chart,
    controls,
    lineage_chart,
    live,
    pair_headings,
    pairs,
    tables,
    teachers,
)
from dashboard.data import mart, of_families
from dashboard.words import ago, count, escaped, instant, newest, number


def main() -> None:
    """Draw the page: both lineages of one derivative, block by block, then of all."""
    st.title("From which base, and from which teacher?")
    drawn = live.stamp("lineage")
    every = mart("lineage").sort("family", "derivative", nulls_last=True)
    live.refresh_when_new("lineage", drawn)
    if every.is_empty():
        live.invite(
            "No weights have been compared yet. Here each derivative's matrices would stand beside "
            "its base's, block by block, and its sentences beside those of candidate teachers.",
            [
                controls.DEMO,
                (
                    "Models of your own, each a folder or a name on the hub:",
                    "cicatrix measure MODEL --base BASE",
                ),
            ],
        )
        return
    answer = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        families = controls.families(every)
        labels = every["weight_lineage"].drop_nulls().unique().sort().to_list()
        chosen = controls.chosen_of("Weights", labels, "weights")
    shown = of_families(every, families)
    shown = shown.filter(pl.col("weight_lineage").is_in(chosen)) if chosen else shown
    if shown.is_empty():
        answer.markdown("No derivative is like this; choose less.")
        return
    answer.markdown(_said(shown), help=f"Newest: {instant(newest(shown))}")
    # Whose teacher is known comes first: of it there is most to see.
    first = shown.sort(pl.col("capability_lineage").is_null(), maintain_order=True)
    row = pairs.choose(first, every, "Derivative")
    _weights(row)
    _skill(row)
    st.subheader("The numbers")
    tables.show(shown, pair_headings.LINEAGES)
    with st.container(horizontal=True):
        tables.download(shown, "lineage")
        live.copy_link()
    controls.explain(__file__)


def _said(shown: pl.DataFrame) -> str:
    labels = dict(shown["weight_lineage"].value_counts().iter_rows())
    counted = ", ".join(f"{n} {escaped(label)}" for label, n in sorted(labels.items()))
    taught = shown.drop_nulls("capability_lineage").height
    return (
        f"**{count(shown.height, 'derivative')}** by their weights: {counted}. By their sentences "
        f"the teacher of **{taught}** is known; measured {ago(newest(shown))}."
    )


def _weights(row: dict[str, Any]) -> None:
    st.subheader("Its weights")
    said = row["weight_lineage_reason"] or row["weight_lineage_reasons"]
    st.markdown(
        f"**{escaped(row['derivative'])}** from **{escaped(row['base'])}**: "
        f"**{escaped(row['weight_lineage'])}**. :small[{escaped(said)}]"
    )
    if row["median_cosine"] is not None:
        st.caption(
            f"Cosine {number(row['median_cosine'])}, null {number(row['median_null_cosine'])}, "
            f"margin above it {number(row['median_margin'])}: medians of {row['n_layers']} blocks, "
            f"n = {row['n_compared']} of {row['n_weights']} matrices · moved "
            f"{number(row['median_rel_displacement'])} of the base's norm · measured "
            f"{instant(row['measured_at'])}"
        )
    layers = mart("lineage_layer", measurement_id=row["measurement_id"]).sort(
        "layer", nulls_last=True
    )
    blocks = layers.drop_nulls("layer")
    if not blocks.is_empty():
        live.draw(lineage_chart.by_block(blocks, row["family"]))
        st.caption(
            "● median cosine of the block's matrices with the base's · ○ after matching neurons "
            "and heads, where that was needed · ▬ its null: what unrelated matrices of that shape "
            "reach. Above it: the block comes from the base's."
        )
    if not layers.is_empty():
        tables.fold(layers, pair_headings.BLOCKS, "Blocks as a table")
        tables.download(layers, "lineage_layer")


def _skill(row: dict[str, Any]) -> None:
    st.subheader("Its skill")
    ranking = mart(
        "teacher_attribution", distilled_id=row["derivative_id"], student_id=row["base_id"]
    ).sort("measurement_id", "rank", nulls_last=True)
    if ranking.is_empty():
        st.markdown(
            f"Not known: {escaped(row['capability_lineage_reason'] or 'nothing was traced')}. "
            "`cicatrix trace --teacher T T2 …` ranks the candidates that it is given."
        )
        return
    live.draw(attribution_chart.ranking(ranking))
    for group in ranking.partition_by("measurement_id", maintain_order=True):
        teachers.card(group.to_dicts())


main()
