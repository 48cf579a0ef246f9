"""Which candidate taught each distilled model: the ranking, its verdicts, and the numbers."""

import re
from typing import Any

import polars as pl
import streamlit as st

from dashboard import attribution_chart, headings, live, tables
from dashboard.data import mart, of_families
from dashboard.words import attributed, count, escaped, instant, number

MOST_SHOWN = 12  # distilled models with a card
CHIPS = {
    "ATTRIBUTED": ("blue", "check"),
    "ATTRIBUTED TO A FAMILY": ("blue", "group"),
    "NONE OF THESE": ("orange", "block"),
    "NOT ENOUGH": ("gray", "question_mark"),
}


def found(families: list[str]) -> pl.DataFrame:
    """The rankings of these families, or of all when none is chosen, best candidate first."""
    rows = of_families(mart("teacher_attribution"), families)
    return rows.sort("family", "distilled", "measurement_id", "rank", nulls_last=True)


def show(ranking: pl.DataFrame) -> None:
    """Every candidate of every model beside its null, then what that decides."""
    if ranking.is_empty():
        st.markdown(
            "No candidates for a teacher were ranked here yet. `cicatrix trace --teacher T T2 …` "
            "ranks all teachers that it is given, and its control with them."
        )
        return
    live.draw(attribution_chart.ranking(ranking))
    n = ranking.select(pl.col("n_questions").min(), most=pl.col("n_questions").max()).row(0)
    st.caption(
        "● what a candidate and the distilled model have in common: of the bits that part the two "
        "from the base, the share that each one's text gives to both. 1: they say the same; 0 or "
        "less: each explains the other's text no better than the base does. Line: 95 % interval. "
        "Grey, the null: wrong candidates of embedded models whose teacher is known stayed below "
        f"its end. n = {'–'.join(dict.fromkeys(f'{end:,}' for end in n))} problems for each, which "
        "the interval resamples. ← lies further to the left. Every value is measured."
    )
    groups = ranking.partition_by("measurement_id", maintain_order=True)
    for group in groups[:MOST_SHOWN]:
        card(group.to_dicts())
    if len(groups) > MOST_SHOWN:
        st.caption(f"and {count(len(groups) - MOST_SHOWN, 'more model')}, all in the table")
    st.subheader("The numbers")
    tables.show(ranking, headings.CANDIDATES)
    tables.download(ranking, "teacher_attribution")


def card(candidates: list[dict[str, Any]]) -> None:
    """Whether one of a model's candidates is its teacher, why, and on how much."""
    first = candidates[0]
    tone, icon = CHIPS[first["attribution"]]
    names = {row["role"]: row["teacher"] for row in candidates}
    reasons = re.sub(
        r"\bteacher(?:-\d+)?\b", lambda role: names.get(role[0], role[0]),
        first["attribution_reasons"],
    )  # fmt: skip
    with st.container(border=True):
        st.markdown(f"**{escaped(first['distilled'])}** on {escaped(first['student'])}")
        st.markdown(
            f":{tone}-badge[:material/{icon}: {attributed(candidates)}] :small[{escaped(reasons)}]"
        )
        facts = [
            f"{count(len(candidates), 'candidate')}: {escaped(', '.join(names.values()))}",
            f"n = {first['n_questions']:,} problems",
            f"null {number(first['null_share'])}",
            escaped(first["prompt_set"]),
            f"measured {instant(first['measured_at'])}",
        ]
        st.caption(" · ".join(facts))
