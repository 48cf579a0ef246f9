"""The Nights page: empty, and with two nights."""

import pytest

from tests.dashboard.test_pages import said
from tests.warehouse.night_rows import add_nights
from warehouse.lake import Lake

pytestmark = pytest.mark.slow


def test_an_empty_lake_shows_the_command_that_fills_it(home, page):
    app = page("nights")
    assert not app.exception and not app.error
    assert "cicatrix scan W.toml --dry-run" in said(app)


def test_a_night_says_what_is_new_what_needs_a_person_and_how_many(home, page):
    with Lake.open() as lake:
        add_nights(lake)
    app = page("nights", night="1")
    assert not app.exception and not app.error
    text = said(app).replace("\u00a0", " ")
    assert "**3 new derivatives** of 1 base, 2 of them fit to be measured; 1 measured" in text
    assert "stored gptq 4-bit; claimed, not measured: DeepSeek-R1" in text
    assert "no other derivative of its family to compare with" in text
    assert "cicatrix scan --retry org/gated" in text
    table = app.dataframe[0].value
    assert sorted(table["Repository"]) == ["org/done", "org/gated", "org/torn"]
    newest = page("nights")
    text = said(newest)
    assert "**0 new derivatives**" in text and "its listing runs, or was killed" in text
    assert "\\<b\\>again\\</b\\>" in text  # nobody's text is markup here
    assert not page("nights", night="all nights").exception
