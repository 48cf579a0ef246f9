"""Tables that sort by value and read in three digits, each with the exact rows to download."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
import polars.selectors as cs
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
    """Offer every column and the exact values as CSV and as Parquet."""
    lists = cs.by_dtype(pl.List(pl.String)).list.join(" ")  # of which CSV knows none
    parquet = io.BytesIO()
    frame.write_parquet(parquet)
    for ending, data, mime in (
        ("csv", frame.with_columns(lists).write_csv(), "text/csv"),
        ("parquet", parquet.getvalue(), "application/vnd.apache.parquet"),
    ):
        st.download_button(
            f"{name}.{ending}",
            data,
            file_name=f"cicatrix-{name}.{ending}",
            mime=mime,
            type="tertiary",
            icon=":material/download:",
            on_click="ignore",
        )
