"""Tables that sort by value and read in three digits, each with the exact rows to download."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
import streamlit as st

from dashboard.words import MISSING


@dataclass(frozen=True, slots=True)
class Heading:
    """How a column is shown: its name, how a value reads, and what it means on hover."""

    name: str
    says: Callable[..., str] | None = None
    meaning: str | None = None


def show(frame: pl.DataFrame, headings: dict[str, Heading]) -> None:
    """Show these columns in this order; what is not known is a dash."""
    shown = frame.select(pl.col(column).alias(h.name) for column, h in headings.items()).to_pandas()
    says = {h.name: h.says for h in headings.values() if h.says}
    st.dataframe(
        shown.style.format(says, na_rep=MISSING),  # pyright: ignore[reportArgumentType]
        hide_index=True,
        column_config={
            h.name: st.column_config.Column(help=h.meaning) for h in headings.values() if h.meaning
        },
    )


def download(frame: pl.DataFrame, name: str) -> None:
    """Offer every column and the exact values as CSV."""
    st.download_button(
        f"{name}.csv",
        frame.write_csv(),
        file_name=f"cicatrix-{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
