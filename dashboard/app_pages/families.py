"""Which family scars loudest? From scar, structural_distance, functional_distance and summary."""

import polars as pl
import streamlit as st

from dashboard import charts, controls, headings, live, tables
from dashboard.data import mart, of_families
from dashboard.words import count, instant, loudest_family, newest

MOST_DETAILED = 12

st.title("Which family scars loudest?")
drawn = live.stamp("summary")
summary = mart("summary")
live.refresh_when_new("summary", drawn)
if summary.is_empty():
    live.invite(
        "No derivative has been compared with its base yet. Here its distance from the base would "
        "stand, family by family, as soon as one pair is measured.",
        [
            controls.DEMO,
            (
                "Models of your own, each a folder or a name on the hub:",
                "cicatrix measure MODEL --base BASE",
            ),
        ],
    )
    st.stop()

answer = st.container()
chosen = controls.families(summary)
# Families in the order of their loudest derivative, which stands first.
scar = (
    of_families(mart("structural_scar"), chosen)
    .sort("median_non_max_x_eps", descending=True, nulls_last=True)
    .with_row_index("place")
    .sort(pl.col("place").min().over("family"), "place")
    .drop("place")
)
summary = of_families(summary, chosen)
# What is known not to be distilled is there to compare with, not to answer for its family.
suspected = scar.filter(pl.col("is_distilled").ne_missing(False))
# Drawn seed by seed: what was measured here, or, in a lake of taken records, the loudest.
measured_here = scar.filter("is_measured_here")
if measured_here.is_empty():
    measured_here = suspected
detailed = measured_here.sort("median_non_max_x_eps", descending=True, nulls_last=True).head(
    MOST_DETAILED
)
detailed = scar.join(detailed.select("derivative_id", "base_id"), on=["derivative_id", "base_id"],
                     how="semi", nulls_equal=True)  # fmt: skip

if suspected.is_empty():
    answer.markdown("No structural distance of these families has been measured yet.")
else:
    answer.markdown(loudest_family(suspected), help=f"Newest measurement: {instant(newest(scar))}")
    if scar["is_distilled"].is_not_null().any():
        live.draw(charts.families(scar))
        st.caption(
            "▲ distilled, or of unknown origin · ○ known not to be distilled: trained on other "
            "text, quantised, pruned, noised, merged, permuted. Where ○ reach as far as ▲, a loud "
            "scar alone does not tell them apart."
        )
    seeds = of_families(mart("structural_distance"), chosen).filter(
        pl.col("derivative_id").is_in(detailed["derivative_id"].implode())
    )
    live.draw(charts.scars(detailed, seeds))
    n_left = measured_here.height - detailed.height
    st.caption(
        (f"The {detailed.height} loudest; {n_left:,} more stand below. · " if n_left > 0 else "")
        + "● one seed · ✖ the largest seed, kept apart and named · bar: range of the other seeds · "
        "□ how far an unrelated model lies from the same base · grey band: up to the floor, 1 ε "
        "or the pair's own noise · pale: not interpretable. "
        "Every value is measured, none is published."
    )
    with st.container(horizontal=True):
        tables.download(scar, "structural_scar")
        tables.download(seeds, "structural_distance")

st.subheader("Do their outputs differ, too?")
mode = controls.mode()
functional = of_families(mart("functional_distance", mode=mode), chosen)
is_detailed = pl.col("derivative_id").is_in(detailed["derivative_id"].implode())
own = functional.filter(pl.col("role") == "derivative", is_detailed)
if own.is_empty():
    st.markdown(f"No functional distance in mode {mode} has been measured of these families yet.")
else:
    n_above = own.filter(pl.col("functional_status") == "above its floor").height
    st.markdown(
        f"{n_above} of {count(own.height, 'derivative')} above the floor in mode {mode}, each over "
        f"at least {own['n_prompts'].min()} prompts."
    )
    # In the order of the chart above; what has no scar yet comes last.
    place = pl.col("derivative_id").replace_strict(
        detailed["derivative_id"], pl.int_range(detailed.height, eager=True)
    )
    names = charts.row_names(own.sort(place))
    for place, measure in zip(st.columns(2), ("centroid", "crp"), strict=True):
        with place:
            live.draw(charts.distances(functional, measure, names))
    st.caption(
        "▲ the derivative with its 95 % interval · □ an unrelated model · "
        "grey band: from 0 to the floor; what lies in it is drawn pale and is not interpretable."
    )
    tables.download(functional, f"functional_distance_{mode}")

st.subheader("The numbers")
tables.show(summary.sort("family", "derivative"), headings.SUMMARY)
with st.container(horizontal=True):
    tables.download(summary, "summary")
    live.copy_link()
controls.explain(__file__)
