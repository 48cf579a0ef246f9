"""Which derivative and base a page shows, as its address names them."""

from typing import Any

import polars as pl
import streamlit as st

from dashboard import address

OF = {  # what the address calls each, and the columns it may equal
    "derivative": ("derivative_id", "derivative"),
    "base": ("base_id", "base"),
}
CHOSEN = "of_pair"  # the control


def key(row: dict[str, Any]) -> str:
    """What tells a pair from all others."""
    return f"{row['derivative_id']} {row['base_id']}"


def choose(rows: pl.DataFrame, known: pl.DataFrame, label: str) -> dict[str, Any]:
    """The pair of the address, or of the control: the first of `rows` where neither says one.

    Of `known` only those in `rows` are offered.
    """
    options = {key(row): row for row in rows.iter_rows(named=True)}
    asked = address.asked(tuple(OF))
    if asked:
        named = address.matching(rows, asked, OF)
        if address.matching(known, asked, OF).is_empty():
            address.say_unknown(asked, tuple(OF))
        elif not named.is_empty():
            st.session_state[CHOSEN] = key(named.row(0, named=True))
    address.keep_to(CHOSEN, list(options))
    chosen = st.selectbox(
        label, options, format_func=lambda one: name(options[one]), key=CHOSEN,
        persist_state="page",
    )  # fmt: skip
    row = options[chosen]
    address.write({"derivative": row["derivative_id"], "base": row["base_id"]}, tuple(OF))
    return row


def name(row: dict[str, Any]) -> str:
    """How a pair is called in a list."""
    return f"{row['family'] or 'unknown family'} · {row['derivative']} from {row['base']}"
