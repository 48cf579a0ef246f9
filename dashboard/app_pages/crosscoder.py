"""Which features did distillation make? The marts of crosscoders."""

from typing import Any

import polars as pl
import streamlit as st

from dashboard import controls, crosscoder_charts, feature_views, live, tables
from dashboard.data import later, mart
from dashboard.tables import Heading
from dashboard.words import count, escaped, instant, number, signed, span

LATENTS = {
    "latent": Heading("Latent"),
    "nrn": Heading("NRN", number, "‖distilled‖ ∕ (‖base‖ + ‖distilled‖) of its directions"),
    "latent_class": Heading("By NRN"),
    "is_genuine": Heading("Borne out", None, "of NRN above 0.9: whether latent scaling agrees"),
    "nu_eps": Heading("ν of the error", number, "base over distilled; genuine below 0.2"),
    "nu_r": Heading("ν rebuilt", number, "base over distilled; genuine below 0.5"),
    "cosine": Heading("Cosine", number, "of its directions in both models"),
    "fire_freq": Heading("Fires on", number, "share of tokens"),
    "max_activation": Heading("Largest", number, "activation"),
    "category": Heading("Words", None, "what its 50 most activating tokens are part of"),
}
ENDS = {
    "category": Heading("Words"),
    "n_top": Heading("Most distilled"),
    "n_bottom": Heading("Most of the base"),
    "difference": Heading("Difference", number, "of the two shares"),
    "ci_low_difference": Heading("95 % from", number),
    "ci_high_difference": Heading("to", number),
}
USES = {
    "Taken out": feature_views.ablation,
    "Added": feature_views.steering,
    "Word geometry": feature_views.geometry,
}


def main() -> None:
    """Draw the page: the pair, its gates, its latents, and what they do."""
    st.title("Which features did distillation make?")
    drawn = live.stamp("crosscoder_training")
    steps = mart("crosscoder_training")
    live.refresh_when_new("crosscoder_training", drawn)
    if steps.is_empty():
        live.invite(
            "No crosscoder has been trained yet. Here the latents of one dictionary over a base "
            "and its distilled derivative would stand, by how much of each is in either model.",
            [
                (
                    "Two embedded models, in a quarter of an hour and without a GPU:",
                    "cicatrix crosscode --base zoo:llama-base --distilled zoo:llama-distilled",
                ),
                (
                    "Models and text of your own:",
                    "cicatrix crosscode --base BASE --distilled DISTILLED --text texts.jsonl",
                ),
            ],
        )
        return
    chosen = _choose(steps)
    found = mart("crosscoder", measurement_id=chosen)
    for row in found.iter_rows(named=True):
        _answer(row)
    st.subheader("Training")
    _training(steps.filter(measurement_id=chosen))
    if found.is_empty():
        return
    row = found.row(0, named=True)
    _latents(chosen, row)
    _uses(row)
    st.subheader("Over all pairs")
    feature_views.pairs()
    live.copy_link()
    controls.explain(__file__)


def _choose(steps: pl.DataFrame) -> str:
    """The measurement of the crosscoder that is shown, newest first."""
    runs = (
        steps.select("measurement_id", "base", "distilled", "sparsity", "planned_at")
        .unique()
        .sort("planned_at", "measurement_id", descending=[True, False])
    )
    names = {
        row["measurement_id"]: f"{row['distilled']} over {row['base']}, {row['sparsity']}, "
        f"{instant(row['planned_at'])}"
        for row in runs.iter_rows(named=True)
    }
    return str(
        st.selectbox(
            "Crosscoder",
            list(names),
            format_func=lambda one: names[one],
            key="crosscoder",
            bind="query-params",
        )
    )


def _training(steps: pl.DataFrame) -> None:
    """The curves, two or three beside each other, and how far it is."""
    figures = list(crosscoder_charts.FIGURES)
    for row in (figures[:2], figures[2:]):
        for place, figure in zip(st.columns(len(row)), row, strict=True):
            with place:
                live.draw(crosscoder_charts.curve(steps, figure))
    last = steps.sort("step").row(-1, named=True)
    if not last["is_complete"]:
        st.caption(
            f"It still trains, or was stopped: step {last['step'] + 1:,} of {last['n_steps']:,}. "
            "Its latents are described when it is done; a command that was stopped goes on where "
            "it was. Curves are of each step's own batch."
        )


def _answer(row: dict[str, Any]) -> None:
    gate = "may be read" if row["is_interpretable"] else "**are not interpretable**"
    st.markdown(
        f"**{escaped(row['distilled'])}** over {escaped(row['base'])}: of "
        f"{count(row['n_live'], 'live latent')}, **{row['n_distilled_only']}** are distilled-only "
        f"by their norms alone, **{row['n_genuine']}** by latent scaling; mean NRN "
        f"{number(row['mean_nrn'])} ({span(row['ci_low_mean_nrn'], row['ci_high_mean_nrn'])}).",
        help=f"Measured {instant(row['measured_at'])}",
    )
    st.markdown(
        f"Its latents {gate}: {escaped(row['reasons'])}; on {row['n_held_out']:,} tokens it was "
        "not trained on."
    )
    for other in mart("latent_control", measurement_id=row["measurement_id"]).iter_rows(named=True):
        if other["category"] == "any":
            st.markdown(
                f"Latents of reasoning words, against {escaped(other['control'])}: "
                f"**{other['answer']}** ({other['n_category']} of {other['n']} against "
                f"{other['n_category_control']} of {other['n_control']}; difference "
                f"{signed(other['difference'])}, {signed(other['ci_low_difference'])} to "
                f"{signed(other['ci_high_difference'])})."
            )


def _latents(chosen: str, row: dict[str, Any]) -> None:
    st.subheader("Latents")
    live.draw(crosscoder_charts.histogram(mart("latent_histogram", measurement_id=chosen)))
    ends = mart("latent_end", measurement_id=chosen)
    if ends.height:
        st.caption(f"Words that the {ends['n_per_end'].max()} latents at either end of NRN fire on")
        tables.show(ends, ENDS)
    listed = mart("latent_listed", measurement_id=chosen).sort("place")
    foremost = listed.head(tables.MOST_ROWS)
    tables.show(foremost, LATENTS)
    if foremost.height < row["n_live"]:
        st.caption(
            f"The first {foremost.height} of {row['n_live']:,} live latents by NRN; the downloads "
            "have them all."
        )
    tables.download(later("latent_feature", measurement_id=chosen), "latents")
    with_contexts = listed.filter(pl.col("n_contexts") > 0)
    if with_contexts.is_empty():
        st.caption("No contexts of its latents are kept.")
        return
    latent = st.selectbox(
        "Where a latent is most active",
        with_contexts["latent"].to_list(),
        key="latent",
        bind="query-params",
    )
    places = mart("latent_place", measurement_id=chosen, latent=latent).sort("rank")
    for place in places.iter_rows(named=True):
        st.markdown(_marked(place))
    st.caption("Marked: where it fires; orange: the token it is kept for. ⏎ is a line break.")


def _marked(row: dict[str, Any]) -> str:
    """A context, marked where the latent fires, and the size of its own token in both models."""
    pieces = [
        f":orange-background[{_told(token)}]" if i == row["token"] else
        f":gray-background[{_told(token)}]" if value > 0 else _told(token)
        for i, (token, value) in enumerate(zip(row["tokens"], row["activations"], strict=True))
    ]  # fmt: skip
    base, distilled = number(row["activation_base"]), number(row["activation_distilled"])
    return f"{''.join(pieces)} &emsp;:gray[base {base}, distilled {distilled}]"


def _told(token: str) -> str:
    return escaped(token.replace("\n", "⏎"))


def _uses(row: dict[str, Any]) -> None:
    st.subheader("What they do")
    use = st.segmented_control(
        "Latents", list(USES), default="Taken out", required=True, key="use", bind="query-params"
    )
    USES[use](row)


main()
