"""What the address names beside the controls that write themselves there."""

from collections.abc import Sequence

import polars as pl
import streamlit as st

from dashboard.words import escaped

_WROTE = "address_wrote"


def asked(names: Sequence[str]) -> dict[str, str] | None:
    """What the address says of these; None while it says what this page wrote there itself."""
    found = {name: st.query_params[name] for name in names if name in st.query_params}
    return None if found == st.session_state.get(_WROTE) else found


def write(values: dict[str, str], names: Sequence[str]) -> None:
    """Let the address name these, and of `names` no others."""
    for name in names:
        if name in values:
            st.query_params[name] = values[name]
        elif name in st.query_params:
            del st.query_params[name]
    st.session_state[_WROTE] = values


def matching(
    frame: pl.DataFrame, found: dict[str, str], columns: dict[str, tuple[str, ...]]
) -> pl.DataFrame:
    """Rows that an address names: each of its words equals one of the columns given for it."""
    for name, of in columns.items():
        if name in found:
            says_so = pl.any_horizontal(pl.col(c).cast(pl.String) == found[name] for c in of)
            frame = frame.filter(says_so)
    return frame


def say_unknown(found: dict[str, str], names: Sequence[str]) -> None:
    """One line for what an address names and this lake does not hold."""
    given = ", ".join(f"{name} {found[name]}" for name in names if name in found)
    st.info(f"The link names what this lake does not hold: {escaped(given)}. Choose from below.")


def keep_to(key: str, options: Sequence[str]) -> None:
    """Let a control's value be one of its options: the first where it is none."""
    if st.session_state.get(key) not in options:
        st.session_state[key] = options[0]
