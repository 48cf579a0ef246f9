"""What came to the hub last night? From the marts night and night_model."""

from typing import Any

import polars as pl
import streamlit as st

from dashboard import controls, headings, live, tables
from dashboard.data import mart
from dashboard.words import ago, count, escaped, instant, number, span

ALL = "all nights"
CARDS = 12  # measured models and open needs that are shown as cards; the tables have them all


def main() -> None:
    """Draw the page: one night or all, where each falls, what needs a person, what is new."""
    st.title("What came to the hub last night?")
    drawn = live.stamp("night")
    nights = mart("night").sort("night", descending=True)
    live.refresh_when_new("night", drawn)
    if nights.is_empty():
        live.invite(
            "No scan has run yet. Here each night would show which derivatives are new, where "
            "each falls in its family, and what needs a person.",
            [
                ("What a night would do; nothing is written:", "cicatrix scan W.toml --dry-run"),
                ("One night now; the README has an example of W.toml:", "cicatrix scan W.toml"),
                ("Every night by itself, with W.toml as watchlist.toml in the home:",
                 "cicatrix up"),
            ],
        )  # fmt: skip
        return
    names = [str(one) for one in nights["night"]]
    chosen = st.selectbox("Night", [*names, ALL], key="night", bind="query-params")
    models = mart("night_model")
    if chosen == ALL:
        found = measured = models
        st.markdown(_all(nights, models))
    else:
        night = int(chosen)
        found = models.filter(pl.col("night") == night)
        measured = models.filter(pl.col("state_night") == night)
        st.markdown(_one(nights.row(by_predicate=pl.col("night") == night, named=True)))
    measured_now = measured.filter(pl.col("state") == "measured")
    _places(measured_now)
    _needs(measured.filter(pl.col("needs").is_not_null()))
    st.subheader("What is new")
    if found.is_empty():
        st.markdown("Nothing that was not in the ledger before.")
    else:
        tables.show(_listed(found), headings.NIGHT_MODELS)
        st.caption(
            "A teacher is claimed by a name, a card, a data set or a tag; no measurement is in it. "
            "Bytes are those of weights, configuration and tokenizer."
        )
    tables.fold(nights, headings.NIGHTS, "All nights")
    with st.container(horizontal=True):
        tables.download(_with_claims(found), "night_model")
        tables.download(nights, "night")
        live.copy_link()
    controls.explain(__file__, "How this is found and measured")


def _one(night: dict[str, Any]) -> str:
    sentence = (
        f"**{count(night['n_new'], 'new derivative')}** of {count(night['n_bases'], 'base')}, "
        f"{night['n_queued']} of them fit to be measured; {night['n_measured']} measured, "
        f"{night['n_failed']} failed; {count(night['n_alerts'], 'alert')}. "
        f"Scanned {ago(night['started_at'])}, {instant(night['started_at'])}"
    )
    if night["outcome"] is None:
        return f"{sentence}; its listing runs, or was killed."
    if night["reason"]:
        return f"{sentence}. Not listed whole: {escaped(night['reason'])}"
    return f"{sentence}."


def _all(nights: pl.DataFrame, models: pl.DataFrame) -> str:
    measured = models.filter(pl.col("state") == "measured").height
    newest = nights.select(pl.col("started_at").max()).item()
    return (
        f"**{count(nights.height, 'night')}**, {count(models.height, 'derivative')} found, "
        f"{measured} measured; the newest scan began {ago(newest)}."
    )


def _places(measured: pl.DataFrame) -> None:
    st.subheader("Where each falls in its family")
    if measured.is_empty():
        st.markdown("Nothing was measured.")
        return
    loudest = measured.sort("median_non_max_x_eps", descending=True, nulls_last=True)
    for row in loudest.head(CARDS).iter_rows(named=True):
        with st.container(border=True):
            st.markdown(f"**{escaped(row['repo'])}** · {row['relation']} of {escaped(row['base'])}")
            st.markdown(_place(row))
            claims = ", ".join(row["teacher_claims"] or ())
            kind = f"stored {escaped(row['quantisation'])}; " if row["quantisation"] else ""
            said = escaped(claims) or "no teacher"
            st.caption(f"{kind}claimed, not measured: {said} · licence {_licence(row)}")
    if measured.height > CARDS:
        st.caption(f"and {measured.height - CARDS} quieter ones, all in the table below")


def _place(row: dict[str, Any]) -> str:
    layers = [
        f"{layer} {row[f'{layer}_label']}"
        for layer in ("structural", "functional")
        if row[f"{layer}_label"]
    ]
    scar = (
        f"scar {span(row['min_non_max_x_eps'], row['max_non_max_x_eps'])} × ε over "
        f"{count((row['n_seeds'] or 1) - 1, 'seed')}, the largest left out"
        f" ({row['structural_status'] or 'not measured'})"
    )
    place = (
        f"louder than {row['n_quieter']} of {count(row['n_family'], 'other derivative')} of its "
        "family"
        if row["n_family"]
        else "no other derivative of its family to compare with"
    )
    centroid = (
        f"centroid {number(row['centroid_distance'])} logits, floor "
        f"{number(row['centroid_floor'])}, over {count(row['n_prompts'] or 0, 'prompt')}"
        f" ({row['functional_status'] or 'not measured'})"
    )
    return "; ".join([", ".join(layers) or "not judged", scar, place, centroid]) + "."


def _needs(rows: pl.DataFrame) -> None:
    st.subheader("What needs a person")
    if rows.is_empty():
        st.markdown("Nothing.")
        return
    for row in rows.sort("noted_at", descending=True).head(CARDS).iter_rows(named=True):
        why = row["reason"] or row["label"] or row["state"]
        st.markdown(f"**{escaped(row['repo'])}**: {escaped(row['needs'])} ({escaped(why)})")
        if row["state"] in ("gated", "failed"):
            st.code(f"cicatrix scan --retry {row['repo']}", language="bash")
    if rows.height > CARDS:
        st.caption(f"and {rows.height - CARDS} more, all in night_model.csv")


def _licence(row: dict[str, Any]) -> str:
    return escaped(row["licence"]) if row["licence"] else "not named"


def _with_claims(found: pl.DataFrame) -> pl.DataFrame:
    """Lists as text, which CSV has no other way to say."""
    return found.with_columns(
        pl.col("teacher_claims", "datasets").list.join(", "),
    )


def _listed(found: pl.DataFrame) -> pl.DataFrame:
    return _with_claims(found).sort("modified_at", descending=True, nulls_last=True)


main()
