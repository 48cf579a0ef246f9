"""What the pages ask of the lake, each answer kept until something newer is complete."""

from datetime import datetime

import polars as pl
import streamlit as st

from warehouse import read
from warehouse.lake import Location

# Their states follow the clock too: a run without a sign for long turns silent with no new row.
_FOLLOWS_THE_CLOCK = ("run", "run_unit")


def mart(name: str, **equals: object) -> pl.DataFrame:
    """Rows of a mart; asked anew only when a measurement it can see was completed."""
    location = Location.from_env()
    if name in _FOLLOWS_THE_CLOCK:
        return read.mart(name, location, **equals)
    key = (location.catalog, location.data, tuple(sorted(equals.items())))
    return _kept(name, key, read.newest(name, location), location, equals)


@st.cache_data(max_entries=64, show_spinner=False)
def _kept(
    name: str,
    key: tuple[object, ...],  # noqa: ARG001 - only part of the cache's key
    newest: datetime | None,  # noqa: ARG001 - likewise: something new is a new key
    _location: Location,
    _equals: dict[str, object],
) -> pl.DataFrame:
    return read.mart(name, _location, **_equals)


def of_families(frame: pl.DataFrame, families: list[str]) -> pl.DataFrame:
    """The rows of these families; of all when none is chosen."""
    return frame.filter(pl.col("family").is_in(families)) if families else frame
