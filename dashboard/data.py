"""What the pages ask of the lake, each answer kept until something newer is complete."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import polars as pl
import streamlit as st

from warehouse import kept
from warehouse.lake import Location

# Their states follow the clock too: a run without a sign for long turns silent with no new row.
_FOLLOWS_THE_CLOCK = ("run", "run_unit")
_CLOCK_S = 60  # how old its answer may be; a run is silent after ten minutes
AS_OF = "as_of"  # the control, in every address
LOOKING_BACK = "looking_back"  # what it says, kept from page to page
_BEGAN = "page_began"


def begin_page() -> None:
    """All that a page shows is of the lake as it is from now on; it looks there once."""
    st.session_state[_BEGAN] = time.monotonic()


def mart(name: str, **equals: object) -> pl.DataFrame:
    """Rows of a mart; asked anew only when something that they follow from has changed."""
    location, then, began = Location.from_env(), as_of(), st.session_state.get(_BEGAN)
    clock = int(time.time() // _CLOCK_S) if name in _FOLLOWS_THE_CLOCK else None
    key = (location.catalog, location.data, then, tuple(sorted(equals.items())), clock)
    state = kept.state(name, location, as_of=then, seen_since=began)
    return _kept(name, key, state, location, equals, then, began)


def later(name: str, **equals: object) -> Callable[[], pl.DataFrame]:
    """As `mart`, asked only when it is called, which may be after the page's run."""
    return partial(kept.mart, name, Location.from_env(), as_of=as_of(), **equals)


def as_of() -> datetime | None:
    """The instant that every page looks back to, in UTC; None is now."""
    chosen = st.session_state.get(LOOKING_BACK)
    return chosen.replace(tzinfo=UTC) if isinstance(chosen, datetime) else None


@st.cache_resource(max_entries=64, show_spinner=False)  # frames are never changed in place
def _kept(
    name: str,
    key: tuple[object, ...],  # noqa: ARG001 - only part of the cache's key
    state: str,  # noqa: ARG001 - likewise: something new is a new key
    _location: Location,
    _equals: dict[str, object],
    _as_of: datetime | None,
    _seen_since: float | None,
) -> pl.DataFrame:
    return kept.mart(name, _location, as_of=_as_of, seen_since=_seen_since, **_equals)


def of_families(frame: pl.DataFrame, families: list[str]) -> pl.DataFrame:
    """The rows of these families; of all when none is chosen."""
    return frame.filter(pl.col("family").is_in(families)) if families else frame
