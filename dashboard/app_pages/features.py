"""What do a crosscoder's latents do? A view each of ablation, steering and word geometry."""

from pathlib import Path

import polars as pl
import streamlit as st

from dashboard import feature_views, live
from dashboard.data import mart

VIEWS = {
    "Ablation": feature_views.ablation,
    "Steering": feature_views.steering,
    "Word geometry": feature_views.geometry,
}


def main() -> None:
    """Draw the page: the pair, then the view that is asked for."""
    st.title("What did distillation add that does something?")
    drawn = live.stamp("word_geometry")
    pairs = _pairs()
    live.refresh_when_new("word_geometry", drawn)
    if pairs.is_empty():
        live.invite(
            "No latent of a crosscoder has been used yet. Here would stand what is lost when "
            "latents are taken out of a base and its distilled derivative, what the derivative "
            "writes while one is added, and whether its words lie more regularly.",
            [
                (
                    "Two embedded models, in minutes and without a GPU:",
                    "cicatrix crosscode --base zoo:llama-base --distilled zoo:llama-distilled",
                ),
                (
                    "Models of your own, each a folder or a name on the hub:",
                    "cicatrix crosscode --base BASE --distilled DISTILLED --text TEXT.jsonl",
                ),
            ],
        )
        return
    names = [f"{row['distilled']} from {row['base']}" for row in pairs.iter_rows(named=True)]
    chosen = st.selectbox("Pair", names, key="pair", bind="query-params")
    base, distilled = pairs.row(names.index(chosen or names[0]))
    view = st.segmented_control(
        "View", list(VIEWS), default="Ablation", required=True, key="view", bind="query-params"
    )
    VIEWS[view](base, distilled)
    live.copy_link()
    with st.expander("How this is measured"):
        st.markdown(Path(__file__).with_suffix(".md").read_text(encoding="utf-8"))


def _pairs() -> pl.DataFrame:
    """Pairs by their labels, of which something is known."""
    marts = ("ablated_feature", "steered_direction", "word_geometry")
    return pl.concat(mart(name).select("base", "distilled") for name in marts).unique().sort(
        "distilled", "base"
    )  # fmt: skip


main()
