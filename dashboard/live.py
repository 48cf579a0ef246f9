"""What every page shares: links, refreshing when something is new, a lake empty or in trouble."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlencode

import altair as alt
import streamlit as st

from dashboard import charts, data, pictures
from dashboard.words import escaped
from warehouse import kept
from warehouse.lake import LakeError

# Streamlit leaves 10rem under a page, and as much over a chart's buttons as over a paragraph.
STYLE = (
    "<style>.stMainBlockContainer {padding-top: 3rem; padding-bottom: 4rem; max-width: 76rem} "
    "[class*=st-key-picture-] {margin-top: -1.6rem}</style>"
)
_SETTLE = timedelta(minutes=1)
_AS_OF_WROTE = "as_of_wrote"


def stamp(mart: str) -> str:
    """What changes when a mart has something new, by one cheap query; take it before reading."""
    try:
        return kept.state(mart, as_of=data.as_of())
    except LakeError as error:  # the page itself says so; when it is mended, that is something new
        return f"error: {error}"


def refresh_when_new(mart: str, drawn: str, due: datetime | None = None) -> None:
    """Draw the page again once the mart's stamp is another than `drawn`, and else never.

    `due` is when the page changes by the clock alone.
    """
    _watch(mart, drawn, max(due, datetime.now(UTC) + _SETTLE) if due else None)


@st.fragment(run_every="5s")
def _watch(mart: str, drawn: str, due: datetime | None) -> None:
    if stamp(mart) != drawn or (due and datetime.now(UTC) >= due):
        st.rerun()


def show_links(pages: "Sequence[st.Page]") -> None:
    """The pages in one line at the top, in the place of Streamlit's empty margin there."""
    data.begin_page()
    pictures.begin_page()
    st.html(STYLE)
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        for page in pages:
            st.page_link(page, width="content")
        _choose_as_of()
    if (then := data.as_of()) is not None:
        st.caption(f"Looking back to {then:%Y-%m-%d %H:%M} UTC; what came later is hidden.")


def _choose_as_of() -> None:
    """The instant that all pages look back to, kept from page to page and in each address."""
    if data.AS_OF not in st.session_state:  # another page was opened, which forgets controls
        st.session_state[data.AS_OF] = st.session_state.get(data.LOOKING_BACK)
    asked = st.query_params.get(data.AS_OF)
    if asked is not None and asked != st.session_state.get(_AS_OF_WROTE):
        try:
            then = datetime.fromisoformat(asked)
            st.session_state[data.AS_OF] = (
                then.astimezone(UTC).replace(tzinfo=None) if then.tzinfo else then
            )
        except ValueError:
            st.info(f"'{escaped(asked)}' is no instant; one reads like 2026-01-31T12:00, in UTC.")
    with st.popover("As of", icon=":material/history:", type="tertiary"):
        st.datetime_input("As of, UTC; empty is now", value=None, key=data.AS_OF, step=60)
        st.caption(
            "Every page but SQL then shows what was complete, declared and judged by then. Records "
            "are only ever added, so this outlives the lake's snapshots."
        )
    chosen = st.session_state[data.LOOKING_BACK] = st.session_state.get(data.AS_OF)
    written = chosen.isoformat(timespec="minutes") if chosen else None
    if written:
        st.query_params[data.AS_OF] = written
    elif data.AS_OF in st.query_params:
        del st.query_params[data.AS_OF]
    st.session_state[_AS_OF_WROTE] = written


def draw(chart: alt.LayerChart | alt.Chart) -> None:
    """Show a chart in the page's own mode, as wide as its place, to take away as a picture."""
    st.altair_chart(_ready(chart))
    pictures.download(chart)


def draw_to_click(
    chart: alt.LayerChart | alt.Chart, key: str, parameter: str, then: Callable[[], None]
) -> None:
    """As `draw`; a click that sets the chart's parameter calls `then` before the page's next run.

    What is chosen stands in `clicked(key, parameter)`.
    """
    st.altair_chart(_ready(chart), key=key, on_select=then, selection_mode=parameter)
    pictures.download(chart)


class _Ready:
    """What Streamlit asks of a chart: its spec, here in the page's mode.

    The spec is not held against Vega-Lite's schema at each view, which takes longer than drawing
    it where a scale lists hundreds of names; tests hold it against that.
    """

    def __init__(self, chart: alt.LayerChart | alt.Chart) -> None:
        self._chart = chart

    def to_dict(self) -> dict[str, Any]:
        spec: dict[str, Any] = self._chart.to_dict(validate=False)
        return charts.inked(spec, st.context.theme.type)


def _ready(chart: alt.LayerChart | alt.Chart) -> alt.Chart:
    return cast(alt.Chart, _Ready(chart))


def clicked(key: str, parameter: str) -> dict[str, Any] | None:
    """The fields of the mark that a click chose; None after a click beside all marks."""
    found = st.session_state[key].selection.get(parameter) or []
    return found[0] if found else None


def show_lake_error(error: LakeError) -> None:
    """One message instead of the page, until the lake can be read again."""
    refresh_when_new("run", f"error: {error}")
    st.error(f"The lake could not be read: {error}", icon=":material/error:")


def invite(what: str, commands: Sequence[tuple[str, str]]) -> None:
    """Say what would be here, and which command makes it."""
    with st.container(border=True):
        st.markdown(what)
        for meaning, command in commands:
            st.caption(meaning)
            st.code(command, language="bash", wrap_lines=True)


def copy_link() -> None:
    """The address of this view with its controls, ready to copy."""
    query = urlencode(_all_params())
    address = st.context.url or ""
    with st.popover("Copy link", icon=":material/link:"):
        st.caption("Opens this page with the same controls.")
        st.code(f"{address}?{query}" if query else address, language=None, wrap_lines=True)


def _all_params() -> list[tuple[str, str]]:
    return [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
