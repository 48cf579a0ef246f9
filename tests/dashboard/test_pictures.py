"""Charts as files: what a reader of the picture alone is told, and that nothing is fetched."""

import re
import struct
from datetime import UTC, datetime

import altair as alt
import polars as pl
import pytest

from dashboard import charts, pictures
from warehouse import read

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def scars(filled):
    charts.enable_theme()
    return charts.scars(read.mart("structural_scar"), read.mart("structural_distance"))


def test_an_svg_says_title_n_unit_and_age_and_names_no_other_file(scars):
    drawn = pictures.svg(scars, NOON).decode()
    said = re.findall(r">([^<]+)<", drawn)
    for line in (
        "Structural scar of each derivative",
        "n = 4 seeds for each of 4 pairs; measured",
        "Cicatrix, 2026-01-31 12:00:00 UTC",
        "Distance from the base, × ε (ε = 0.0001), log scale",
        "llama · llama-distilled",
    ):
        assert line in said, line
    assert set(re.findall(r"https?://[^\"' )]+", drawn)) == {
        "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink",
    }  # fmt: skip


def test_a_png_has_two_pixels_for_one_of_the_page():
    bars = alt.Chart(pl.DataFrame({"a": [1.0]}), width=400, height=100).mark_bar()
    one = pictures.png(bars.encode(alt.X("a:Q", axis=None)), NOON)
    assert one[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", one[16:24])
    # The plot and 16 pixels around it, twice, and above it two lines of text.
    assert width == 2 * (400 + 2 * 16)
    assert height > 2 * (100 + 2 * 16)


def test_a_chart_as_wide_as_its_place_gets_a_width(scars):
    assert scars.to_dict()["width"] == "container"
    assert pictures.whole(scars, NOON)["width"] == pictures.WIDTH


def test_a_subtitle_of_several_lines_keeps_them():
    chart = alt.Chart().mark_point().properties(title=alt.Title("T", subtitle=["one", "two"]))
    lines = pictures.whole(chart, NOON)["title"]["subtitle"]
    assert lines == ["one", "two", "Cicatrix, 2026-01-31 12:00:00 UTC"]


def test_a_file_is_called_by_the_title(scars):
    assert pictures.file_name(scars) == "cicatrix-structural-scar-of-each-derivative"
    assert pictures.file_name(alt.Chart()) == "cicatrix"
    bad = alt.Chart().properties(title="../etc/passwd <b>")
    assert pictures.file_name(bad) == "cicatrix-..-etc-passwd-b"


def test_each_chart_of_a_page_can_be_taken_though_two_are_called_alike(filled, page, monkeypatch):
    monkeypatch.setattr(pictures, "file_name", lambda chart: "cicatrix-one")
    app = page("families")
    assert not app.exception
    labels = [button.proto.label for button in app.get("download_button")]
    # Scars seed by seed, and the two distances; no pair is declared, so none by family.
    assert labels.count("PNG") == labels.count("SVG") == 3
