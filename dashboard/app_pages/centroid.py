"""Where do the two distances disagree? From centroid_crp, winner_gap, gap_prompt and gap."""

import polars as pl
import streamlit as st

from dashboard import controls, distance_charts, live, pair_headings, pairs, tables
from dashboard.data import mart, of_families
from dashboard.pair_words import DIVERGENCES, pair_diverges, sign_split, where_they_diverge
from dashboard.words import escaped, instant, newest


def main() -> None:
    """Draw the page: all pairs, then the prompts of the chosen one."""
    st.title("Where do the mean and the prompts disagree?")
    drawn = live.stamp("centroid_crp")
    every = mart("centroid_crp")
    live.refresh_when_new("centroid_crp", drawn)
    if every.is_empty():
        live.invite(
            "No outputs have been compared yet. Here each pair's distance of the mean templates "
            "would stand against the mean of its distances prompt by prompt.",
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
        kinds = controls.chosen_of(
            "They say", list(DIVERGENCES), "says", controls.meanings(DIVERGENCES)
        )
        mode = controls.mode()
    of_mode = of_families(every.filter(pl.col("mode") == mode), families)
    shown = of_mode.filter(pl.col("divergence").is_in(kinds)) if kinds else of_mode
    if shown.is_empty():
        answer.markdown(f"No pair in mode {mode} is like this; choose less.")
        return
    answer.markdown(where_they_diverge(of_mode), help=f"Newest: {instant(newest(of_mode))}")
    order = {kind: place for place, kind in enumerate(DIVERGENCES)}
    shown = shown.sort(
        pl.col("divergence").replace_strict(order), -pl.col("cancellation"), "derivative",
        nulls_last=True,
    )  # fmt: skip
    place = st.container()
    with st.container():
        row = pairs.choose(shown, every, "Pair whose prompts are shown")
    with place:
        _scatter(shown, row["measurement_id"], mode)
    st.markdown(
        f"**{escaped(row['derivative'])}** from {escaped(row['base'])}: **{row['divergence']}**, "
        f"{escaped(row['divergence_reason'])}.  \n{pair_diverges(row)}"
    )
    _prompts(row)
    st.subheader("The numbers")
    tables.show(shown, pair_headings.CENTROID_CRP)
    with st.container(horizontal=True):
        tables.download(shown, "centroid_crp")
        live.copy_link()
    controls.explain(__file__)


def _scatter(shown: pl.DataFrame, measurement_id: str, mode: str) -> None:
    key = f"scatter-{mode}"

    def then() -> None:
        if found := live.clicked(key, distance_charts.MARKED):
            st.session_state[pairs.CHOSEN] = pairs.key(found)

    if shown["centroid_distance"].drop_nulls().is_empty():
        st.markdown(f"Of none is a distance known: {escaped(shown['divergence_reason'][0])}.")
        return
    chart = distance_charts.centroid_against_crp(shown, measurement_id)
    live.draw_to_click(chart, key, distance_charts.MARKED, then)
    st.caption(
        "▲ a pair; the further under the line, the more its prompts cancel · thin bar: 95 % "
        "interval of the centroid · ticks: floors of either distance, dashed those of the ringed "
        "pair · pale: not interpretable · what lies under 0.01 is drawn there. Click a pair for "
        "its prompts, or choose it below. Every value is measured, none is published."
    )


def _prompts(row: dict[str, object]) -> None:
    """The distribution over prompts of one pair."""
    gap = mart("winner_gap", measurement_id=row["measurement_id"])
    if gap.is_empty():
        st.markdown(
            "Its prompts were not recorded: the comparison was refused, or is older than the "
            "winner gap."
        )
        return
    st.markdown(sign_split(gap.row(0, named=True)))
    prompts = mart("gap_prompt", measurement_id=row["measurement_id"]).sort("place")
    gaps = mart("gap", measurement_id=row["measurement_id"]).sort("k")
    if not prompts.is_empty():
        signs, dominant = st.columns([3, 2])
        with signs:
            live.draw(distance_charts.prompts_by_sign(prompts))
        with dominant:
            live.draw(distance_charts.dominant_gaps(gaps))
        st.caption(
            "Left: a bar a prompt, its first gap less the base's; line: twice its noise to either "
            "side. Right: in how many prompts each gap has the largest difference."
        )
    tables.fold(prompts, pair_headings.GAP_PROMPTS, "Prompts as a table")
    tables.fold(gaps, pair_headings.GAPS, "Gaps as a table")
    with st.container(horizontal=True):
        tables.download(prompts, "gap_prompt")
        tables.download(gaps, "gap")


main()
