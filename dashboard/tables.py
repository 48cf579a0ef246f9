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
    width: int | None = None  # pixels; None lets the values decide


def show(frame: pl.DataFrame, headings: dict[str, Heading]) -> None:
    """Show these columns in this order; what is not known is a dash."""
    shown = frame.select(pl.col(column).alias(h.name) for column, h in headings.items()).to_pandas()
    says = {h.name: h.says for h in headings.values() if h.says}
    st.dataframe(
        shown.style.format(says),  # pyright: ignore[reportArgumentType]
        hide_index=True,
        placeholder=MISSING,
        column_config={
            h.name: st.column_config.Column(help=h.meaning, width=h.width)
            for h in headings.values()
        },
    )


def download(frame: pl.DataFrame, name: str) -> None:
    """Offer every column and the exact values as CSV."""
    st.download_button(
        f"{name}.csv",
        frame.write_csv(),
        file_name=f"cicatrix-{name}.csv",
        mime="text/csv",
        type="tertiary",
        icon=":material/download:",
        on_click="ignore",
    )
