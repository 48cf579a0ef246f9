"""Tables that sort by value and read in three digits, each with the exact rows to download."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import polars as pl
import streamlit as st

from dashboard.words import MISSING

MOST_ROWS = 200  # shown: each costs time to format, and nobody reads more


@dataclass(frozen=True, slots=True)
class Heading:
    """How a column is shown: its name, how a value reads, and what it means on hover."""

    name: str
    says: Callable[..., str] | None = None
    meaning: str | None = None
    width: int | None = None  # pixels; None lets the values decide


def show(frame: pl.DataFrame, headings: dict[str, Heading]) -> None:
    """Show these columns in this order; what is not known is a dash. Of many rows the first."""
    columns = (pl.col(column).alias(h.name) for column, h in headings.items())
    shown = frame.head(MOST_ROWS).select(columns).to_pandas()
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
    if frame.height > MOST_ROWS:
        st.caption(f"The first {MOST_ROWS} of {frame.height:,} rows; the downloads have them all.")


def fold(frame: pl.DataFrame, headings: dict[str, Heading], label: str) -> None:
    """As `show`, behind a fold that is closed at first; what is closed is not even formatted."""
    place = st.expander(label, key=f"fold-{label}", on_change="rerun")
    if place.open:
        with place:
            show(frame, headings)


def download(frame: pl.DataFrame | Callable[[], pl.DataFrame], name: str) -> None:
    """Offer every column and the exact values as CSV and as Parquet, made when asked for.

    A function is asked for its rows then, too.
    """
    with st.container(horizontal=True, width="content", gap="small"):
        for label, ending, mime, content in (
            (f"{name}.csv", "csv", "text/csv", as_csv),
            ("Parquet", "parquet", "application/vnd.apache.parquet", _as_parquet),
        ):
            st.download_button(
                label,
                partial(_made, content, frame),
                file_name=f"cicatrix-{name}.{ending}",
                mime=mime,
                key=f"download-{name}.{ending}",
                type="tertiary",
                icon=":material/download:",
                on_click="ignore",
                help=f"Every column and the exact values: cicatrix-{name}.{ending}",
            )


def _made(
    content: Callable[[pl.DataFrame], bytes], frame: pl.DataFrame | Callable[[], pl.DataFrame]
) -> bytes:
    return content(frame() if callable(frame) else frame)


def as_csv(frame: pl.DataFrame) -> bytes:
    """CSV, where a list is its text in brackets."""
    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
    as_text = (
        pl.col(name).map_elements(lambda values: str(list(values)), return_dtype=pl.String)
        for name in nested
    )
    return frame.with_columns(as_text).write_csv().encode()


def _as_parquet(frame: pl.DataFrame) -> bytes:
    target = io.BytesIO()
    frame.write_parquet(target)
    return target.getvalue()
