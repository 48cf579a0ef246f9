"""Controls and words that several pages share, each said once."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import streamlit as st

MODES = ("free", "forced")
DEMO = ("The embedded models, in under three minutes and without a GPU:", "cicatrix demo")


def families(every: pl.DataFrame) -> list[str]:
    """The families of these rows to choose from, named in the address; empty means all."""
    known = every["family"].drop_nulls().unique().sort().to_list()
    return chosen_of("Families", known, "family")


def chosen_of(
    label: str, options: Sequence[str], key: str, meaning: str | None = None
) -> list[str]:
    """Any of these options, named in the address; empty means all."""
    return st.pills(
        label, options, selection_mode="multi", key=key, bind="query-params", help=meaning,
        wrap=True,
    )  # fmt: skip


def meanings(of: dict[str, str]) -> str:
    """Options with what they mean, a line each, to show on hover."""
    return "  \n".join(f"**{option}**: {meaning}" for option, meaning in of.items())


def mode() -> str:
    """On which text both models are scored; named in the address."""
    return st.segmented_control(
        "Text that is scored: each model's own (free), or the base's (forced)",
        MODES, default=MODES[0], required=True, key="mode", bind="query-params",
    )  # fmt: skip


def explain(page: str, title: str = "How this is measured") -> None:
    """The text that lies beside the page's file, folded."""
    with st.expander(title):
        st.markdown(Path(page).with_suffix(".md").read_text(encoding="utf-8"))
