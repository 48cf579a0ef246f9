"""The views of what latents do, each of a row of the mart `crosscoder`."""

from typing import Any

import polars as pl
import streamlit as st

from dashboard import feature_charts, live, tables
from dashboard.data import mart
from dashboard.tables import Heading
from dashboard.words import count, escaped, number, percent, signed

ABLATION = {
    "top_percent": Heading("Latents, %", number, "Of the live ones, by how often they fire"),
    "n_features": Heading("Latents", "{:,.0f}".format),
    "n_pairs": Heading("Pairs", "{:,.0f}".format),
    "d_distilled": Heading("Distilled", signed, "Mean change of the target's logit"),
    "ci_low_d_distilled": Heading("95 % from", signed),
    "ci_high_d_distilled": Heading("to", signed),
    "d_base": Heading("Base", signed),
    "d_control": Heading("Control", signed, "Random latents of the base that fire as often"),
    "per_norm_distilled": Heading("Distilled, per norm", signed),
    "per_norm_base": Heading("Base, per norm", signed),
    "fire_freq": Heading("Fires on", percent),
    "fire_freq_control": Heading("Control fires on", percent),
    "label": Heading("Verdict"),
    "reasons": Heading("Why", width=420),
}
STEERING = {
    "direction": Heading("Direction"),
    "amplitude": Heading("Amplitude", signed),
    "length_ratio": Heading("Length ratio", number, "Reasoning tokens over those at amplitude 0"),
    "triggers_per_100": Heading("Words per 100", number, "Of the category, per 100 tokens"),
    "accuracy": Heading("Right", percent),
    "repetition": Heading("Repeated", percent, "Share of 8-grams that stood before"),
    "n_closed": Heading("Closed", "{:,.0f}".format, "Completions whose </think> came"),
    "n_problems": Heading("Problems", "{:,.0f}".format),
    "label": Heading("Verdict"),
    "reasons": Heading("Why", width=420),
}
GEOMETRY = {
    "relation": Heading("Relation"),
    "n_pairs": Heading("Pairs", "{:,.0f}".format),
    "d_area": Heading("Area, distilled minus base", signed),
    "ci_low_d_area": Heading("95 % from", signed),
    "ci_high_d_area": Heading("to", signed),
    "d_median_loss": Heading("Median loss, minus base", signed),
    "change": Heading("Verdict"),
}
_ORDERS = {"firing-first": "firing first, then NRN", "nrn-first": "NRN first, then firing"}


def ablation(row: dict[str, Any]) -> None:
    """What is lost of the words when latents go, beside random ones."""
    found = _used("ablated_feature", row)
    if found.is_empty():
        st.markdown(_nothing(row, "taken out"))
        return
    category = _one("Words", found["category"].unique().sort().to_list(), "words")
    order = _one("Filter", list(_ORDERS), "filter", _ORDERS)
    measure = _one("Measure", list(feature_charts.MEASURES), "measure", feature_charts.MEASURES)
    rows = found.filter(category=category, filter_order=order).sort("top_percent")
    live.draw(feature_charts.ablation(rows, measure))
    st.caption(
        "Latents with NRN above 0.5 taken out of both models at every token. Below 0: they held "
        "the word up. Grey: as many random latents with NRN below 0.5 that fire about as often. "
        "Less is taken from the base by construction, so compare per unit of removed norm, too. "
        "Bands: 95 % over pairs."
    )
    st.subheader("The numbers")
    tables.show(rows, ABLATION)
    tables.download(found, "ablated_feature")


def steering(row: dict[str, Any]) -> None:
    """What the distilled model writes while a latent is added, before and after."""
    found = _used("steered_direction", row)
    if found.is_empty():
        st.markdown(_nothing(row, "added") + " It takes one that fires on words of a category.")
        return
    category = _one("Latent of", found["category"].unique().sort().to_list(), "steered")
    outcome = _one("Outcome", list(feature_charts.OUTCOMES), "outcome", feature_charts.OUTCOMES)
    rows = found.filter(category=category).sort("direction", "amplitude")
    live.draw(feature_charts.steering(rows, outcome))
    st.caption(
        "Grey: a random direction of the same length, the floor: what any push of that size does. "
        "Bands: 95 % over problems."
    )
    _reader(rows, _used("steered_text", row).filter(category=category))
    st.subheader("The numbers")
    tables.show(rows, STEERING)
    tables.download(found, "steered_direction")


def _reader(rows: pl.DataFrame, texts: pl.DataFrame) -> None:
    """One completion beside the same problem and seed at amplitude 0."""
    st.subheader("Before and after")
    direction = _one("Direction", rows["direction"].unique().sort().to_list(), "direction")
    amplitudes = [a for a in rows["amplitude"].unique().sort().to_list() if a != 0]
    amplitude = _one("Amplitude", amplitudes, "amplitude")
    own = texts.filter(direction=direction).sort("problem_id", "sample")
    problem = st.selectbox(
        "Problem", own["problem_id"].unique(maintain_order=True).to_list(), key="problem"
    )
    told = own.filter(problem_id=problem)
    st.text(told["problem"].first() or "")
    for place, at in zip(st.columns(2), (0.0, amplitude), strict=True):
        with place:
            st.markdown("**Before**, amplitude 0" if at == 0 else f"**After**, {signed(at)}")
            for row in told.filter(amplitude=at).iter_rows(named=True):
                st.text(row["text"])  # as it is: a model's text is no markup
                right = {True: "right", False: "wrong", None: "not known"}[row["is_correct"]]
                answer = escaped(row["answer"] or "none")
                st.caption(
                    f"{row['n_think_tokens']:,} tokens of reasoning, {row['n_triggers']} words of "
                    f"the category; answer {answer}, {right}"
                )


def geometry(row: dict[str, Any]) -> None:
    """How near the same relation is to the same step in both models."""
    found = _of_pair("word_geometry", row)
    if found.is_empty():
        st.markdown("The word pairs of this pair of models have not been compared yet.")
        return
    relation = _one("Relation", found["relation"].unique().sort().to_list(), "relation")
    n_axes = _one("Axes", found["n_axes"].unique().sort(descending=True).to_list(), "axes")
    rows = found.filter(relation=relation, n_axes=n_axes).sort("side")
    for row in rows.filter(pl.col("reason").is_not_null()).iter_rows(named=True):
        st.markdown(f"{row['side'].capitalize()}: not known, {escaped(row['reason'])}.")
    if rows["cdf"].is_not_null().any():
        live.draw(feature_charts.geometry(rows))
    st.caption(
        "Two pairs of words of one relation are a perfect parallelogram at loss 0. Dashed: the "
        "same words paired at random, the floor; on two axes it lies high for any words."
    )
    st.subheader("Distilled minus base")
    gains = _of_pair("word_geometry_gain", row).filter(n_axes=n_axes)
    tables.show(gains.sort("relation"), GEOMETRY)
    tables.download(found.drop("cdf", "null_cdf"), "word_geometry")


def _nothing(row: dict[str, Any], done: str) -> str:
    why = "" if row["is_interpretable"] else ": its gates are closed"
    return f"No latent of this crosscoder has been {done}{why}."


def pairs() -> None:
    """What many pairs say together: NRN by size, and geometry against accuracy."""
    trained = mart("crosscoder", is_newest=True).filter(
        pl.col("mean_nrn").is_not_null(), pl.col("n_params").is_not_null()
    )
    if trained.height:
        live.draw(feature_charts.nrn_by_size(trained))
        st.caption(
            "The newest crosscoder of each pair; bands: 95 % over its live latents. Hollow: gates "
            "closed, not interpretable."
        )
    gains = mart("geometry_gain")
    if gains.is_empty():
        st.caption(
            "Geometry against accuracy: no pair has both its word pairs compared and rollouts of "
            "both models on the same problems. `cicatrix crosscode --skip crosscoder` compares "
            "word pairs alone, `cicatrix trace` samples rollouts."
        )
        return
    for said in mart("geometry_verdict").sort("n_pairs", descending=True).iter_rows(named=True):
        of = f"{count(said['n_pairs'], 'pair')} over {count(said['n_bases'], 'base')}"
        if said["correlation"] is None:
            why = f"{of}, 10 pairs are needed"
        else:
            ends = [signed(said[f"ci_{end}_correlation"]) for end in ("low", "high")]
            why = f"{of}, correlation {signed(said['correlation'])}, {' to '.join(ends)}"
        st.markdown(
            f"Geometry and accuracy on {escaped(said['problem_set'])}: **{said['answer']}** "
            f"({why})."
        )
        alike = ("words_sha256", "problem_set_sha256", "sampling")
        rows = gains.filter(*(pl.col(name) == said[name] for name in alike))
        live.draw(feature_charts.geometry_against_accuracy(rows))
    st.caption(
        "A point a base and what was made of it: the mean gain in area over relations, on 20 axes, "
        "and the gain in right answers. Lines: 95 % over relations, and over problems. Pairs of "
        "one base are not independent."
    )


def _used(name: str, row: dict[str, Any]) -> pl.DataFrame:
    """What its latents do."""
    return mart(name, crosscoder_id=row["measurement_id"], is_newest=True)


def _of_pair(name: str, row: dict[str, Any]) -> pl.DataFrame:
    return mart(name, base=row["base"], distilled=row["distilled"], is_newest=True)


def _one(label: str, options: list[Any], key: str, names: dict[str, str] | None = None) -> Any:
    return st.segmented_control(
        label, options, default=options[0], required=True, key=key, bind="query-params",
        format_func=lambda option: (names or {}).get(str(option), str(option)),
    )  # fmt: skip
