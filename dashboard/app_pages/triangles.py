"""Which derivatives are farther from their base than a stranger is? From triangle_verdict."""

import polars as pl
import streamlit as st

from dashboard import controls, distance_charts, live, pair_headings, pairs, tables
from dashboard.data import mart, of_families
from dashboard.pair_words import TRIANGLES, farther_than_strangers, triangle_chip
from dashboard.words import count, escaped, instant, newest, number, with_interval

MOST_DRAWN = 16


def main() -> None:
    """Draw the page: the ratios of all, the triangle of one, the numbers."""
    st.title("Which is farther from its base than a stranger is?")
    drawn = live.stamp("triangle_verdict")
    every = mart("triangle_verdict")
    live.refresh_when_new("triangle_verdict", drawn)
    if every.is_empty():
        live.invite(
            "No triangle has been measured yet. Here each derivative's distance from its base "
            "would stand beside the distance of models of other families from that base.",
            [
                controls.DEMO,
                (
                    "Models of your own, each a folder or a name on the hub:",
                    "cicatrix measure MODEL --base BASE --reference OTHER "
                    "--shared-comparator COMMON",
                ),
            ],
        )
        return
    answer = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        families = controls.families(every)
        verdicts = controls.chosen_of(
            "Verdict", list(TRIANGLES), "verdict",
            controls.meanings({one: said[2] for one, said in TRIANGLES.items()}),
        )  # fmt: skip
        mode = controls.mode()
    of_mode = of_families(every.filter(pl.col("mode") == mode), families)
    shown = of_mode.filter(pl.col("verdict").is_in(verdicts)) if verdicts else of_mode
    if shown.is_empty():
        answer.markdown(f"No triangle in mode {mode} is like this; choose less.")
        return
    answer.markdown(farther_than_strangers(of_mode), help=f"Newest: {instant(newest(of_mode))}")
    shown = shown.sort("magnitude", "derivative", descending=[True, False], nulls_last=True)
    place = st.container()
    row = pairs.choose(shown, every, "Triangle")
    # What is chosen is drawn first, else the largest ratios.
    is_chosen = pl.col("measurement_id") == row["measurement_id"]
    few = pl.concat([shown.filter(is_chosen), shown.remove(is_chosen)]).head(MOST_DRAWN)
    with place:
        live.draw(distance_charts.triangles(few))
        more = shown.height - few.height
        st.caption(
            "▲ against the scale-matched reference, ■ against the comparator that all share · "
            "filled: centroid, hollow: CRP · line: D's ends over C's, which hold at least 90 % · "
            "grey: the break side · pale: D is below its floor, so that CRP decides. Every value "
            f"is measured. {f'{more:,} more are in the table.' if more else ''}"
        )
    _one(row)
    st.subheader("The numbers")
    reasons = pl.col("verdict_reasons").list.join("; ")
    tables.show(shown.with_columns(why=reasons), pair_headings.TRIANGLES)
    with st.container(horizontal=True):
        tables.download(shown, "triangle_verdict")
        live.copy_link()
    controls.explain(__file__)


def _one(row: dict[str, object]) -> None:
    st.markdown(f"**{escaped(str(row['derivative']))}** from {escaped(str(row['base']))}")
    st.markdown(triangle_chip(row))
    if row["reason"] is not None:
        st.markdown(f"Not measured: {escaped(str(row['reason']))}.")
    sides = [f"D {with_interval(row, 'd')}, floor {_number(row, 'self_baseline')}"]
    for which, name in (("primary", "primary_reference"), ("shared", "shared_comparator")):
        if row[name] is not None:
            sides.append(
                f"C to {escaped(str(row[name]))} {with_interval(row, f'c_{which}')}; by CRP "
                f"{_number(row, f'c_{which}_crp')}, D {_number(row, 'd_crp')}"
            )
    recorded = (
        f"`cicatrix verdict` said {row['recorded_verdict']}"
        if row["recorded_verdict"]
        else "`cicatrix verdict` was not asked"
    )
    n = count(int(str(row["n_prompts"])), "prompt") if row["n_prompts"] is not None else "not known"
    st.caption(f"{' · '.join(sides)} · logits · n = {n} · {recorded}.")


def _number(row: dict[str, object], name: str) -> str:
    value = row[name]
    return number(value if isinstance(value, float) else None)


main()
