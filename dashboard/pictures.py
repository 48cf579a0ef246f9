"""Charts as files: PNG and SVG with title, n and units, on white, without a browser or network."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import altair as alt
import streamlit as st

from dashboard import charts
from dashboard.words import instant

WIDTH = 900  # pixels of a chart that on a page is as wide as its place
SCALE = 2.0  # pixels of a PNG for each of the page's
_VEGA_LITE = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
_DRAWN = "pictures"  # how often the page drew a chart of a name


def begin_page() -> None:
    """Forget which charts this session drew before."""
    st.session_state[_DRAWN] = {}


def download(chart: alt.LayerChart | alt.Chart) -> None:
    """Offer the chart as PNG and as SVG, each made when asked for."""
    name = file_name(chart)
    drawn: dict[str, int] = st.session_state.setdefault(_DRAWN, {})
    drawn[name] = drawn.get(name, 0) + 1  # two charts of a page may have one title
    with st.container(
        horizontal=True, horizontal_alignment="right", gap="small",
        key=f"picture-{name}-{drawn[name]}",
    ):  # fmt: skip
        for kind, mime, content in (("PNG", "image/png", png), ("SVG", "image/svg+xml", svg)):
            st.download_button(
                kind,
                _made(content, chart),
                file_name=f"{name}.{kind.lower()}",
                mime=mime,
                key=f"{name}-{drawn[name]}.{kind.lower()}",
                type="tertiary",
                icon=":material/download:",
                on_click="ignore",
                help=f"This chart on white, with its title: {name}.{kind.lower()}",
            )


def _made(
    content: Callable[[alt.LayerChart | alt.Chart, datetime], bytes],
    chart: alt.LayerChart | alt.Chart,
) -> Callable[[], bytes]:
    return lambda: content(chart, datetime.now(UTC))


def png(chart: alt.LayerChart | alt.Chart, made_at: datetime) -> bytes:
    """The chart as PNG, two pixels for one of the page's."""
    import vl_convert  # tens of megabytes, needed by those who take a picture alone

    return vl_convert.vegalite_to_png(
        whole(chart, made_at), vl_version=_VEGA_LITE, scale=SCALE, allowed_base_urls=[]
    )


def svg(chart: alt.LayerChart | alt.Chart, made_at: datetime) -> bytes:
    """The chart as SVG in UTF-8."""
    import vl_convert

    drawn = vl_convert.vegalite_to_svg(
        whole(chart, made_at), vl_version=_VEGA_LITE, allowed_base_urls=[]
    )
    return drawn.encode()


def whole(chart: alt.LayerChart | alt.Chart, made_at: datetime) -> dict[str, Any]:
    """The chart's specification with what a page gives it, width and background, and its age."""
    spec = charts.inked(chart.to_dict(), "light")
    title: dict[str, Any] = spec.get("title") or {"text": " "}
    under = title.get("subtitle", [])
    lines = [under] if isinstance(under, str) else under
    spec["title"] = title | {"subtitle": [*lines, f"Cicatrix, {instant(made_at)}"]}
    if spec.get("width", "container") == "container":
        spec["width"] = WIDTH
    return spec | {"background": "white", "padding": 16}


def file_name(chart: alt.LayerChart | alt.Chart) -> str:
    """The chart's title as the name of a file, without an ending."""
    title = getattr(chart, "title", alt.Undefined)
    text = getattr(title, "text", title)
    words = re.findall(r"[\w.-]+", text) if isinstance(text, str) else []
    return "-".join(["cicatrix", *words]).casefold()[:70]
