"""Nights and what they found, from rows whose counts can be worked out."""

import pytest

from tests.warehouse.night_rows import AT, add_nights
from warehouse import read
from warehouse.lake import Lake


@pytest.fixture
def nights(home):
    with Lake.open() as lake:
        add_nights(lake)
        yield lake


def test_a_night_counts_what_it_found_and_what_it_brought(nights):
    first, second = read.mart("night").sort("night").to_dicts()
    assert (first["n_bases"], first["n_listed"], first["n_new"], first["n_queued"]) == (1, 3, 3, 2)
    # One measured and one failed, of 2,000 bytes each.
    assert (first["n_measured"], first["n_failed"], first["downloaded_bytes"]) == (1, 1, 4000)
    assert (first["outcome"], first["n_alerts"]) == ("done", 1)
    assert (second["n_new"], second["n_failed"], second["outcome"]) == (0, 1, None)


def test_a_model_is_in_the_state_of_its_last_change_whatever_the_clock_says(nights):
    rows = {row["repo"]: row for row in read.mart("night_model").to_dicts()}
    torn = rows["org/torn"]
    assert (torn["state"], torn["n_failed"], torn["state_night"]) == ("failed", 2, 2)
    assert torn["reason"] == "<b>again</b> | torn" and "see why" in torn["needs"]
    done = rows["org/done"]
    assert (done["state"], done["reason"], done["needs"]) == ("measured", None, None)
    assert done["teacher_claims"] == ["DeepSeek-R1 (card, name)", "QwQ-32B (name)"]
    assert done["label"] is None and done["n_family"] is None  # nothing was measured in this lake
    assert "accept its terms" in rows["org/gated"]["needs"]


def test_a_key_is_added_once_and_its_first_row_stays(nights):
    row = nights.query("select * from hub_scan where night = 1").to_dicts()[0]
    assert nights.add_rows("hub_scan", [row | {"host": "other"}]) == 0
    assert nights.query("select host from hub_scan where night = 1")["host"].item() == "h"


def test_the_marts_are_new_when_a_state_is(nights):
    # The second scan began two days after AT, later than all else here.
    newest = read.newest("night_model")
    assert newest is not None and (newest - AT).days == 2


def test_without_a_scan_there_is_nothing(home):
    assert read.newest("night") is None
    assert read.mart("night").is_empty() and read.mart("night_model").is_empty()
