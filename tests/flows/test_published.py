"""What others published is in every lake, as it stands in measure/published.toml."""

import json
from dataclasses import astuple

import duckdb
import pytest

from flows import cli, published
from measure.published import load
from warehouse import read
from warehouse.lake import Lake, connect
from warehouse.location import Location
from warehouse.relations import relations


def test_the_view_is_up_to_date():
    assert published.FILE.read_text(encoding="utf-8") == published.text()


def test_every_number_is_there_from_the_first_command_on(home, capsys):
    assert cli.main(["sql", "select * from published", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(load()) > 90
    assert [tuple(row.values()) for row in rows] == [astuple(row) for row in load()]
    assert read.mart("published", layer="structural", quantity="gini_d2")["value"].item() == 0.96


def test_a_lake_of_an_older_version_has_them_once_it_is_opened(home, monkeypatch):
    """A lake made by the first migrations alone, as a user of the first release has it."""
    genuine = relations
    first = {name: one for name, one in genuine("migrations").items() if int(name[:4]) <= 3}

    def older(kind):
        return first if kind == "migrations" else genuine(kind)

    with monkeypatch.context() as patch:
        patch.setattr("warehouse.attach.relations", older)
        Lake.open().close()
    with pytest.raises(Exception, match="cicatrix init"):
        connect(Location.from_env(), read_only=True)
    Lake.open().close()
    assert read.mart("published").height == len(load())
    assert read.table("verdict").is_empty()


def test_published_and_measured_rows_are_told_apart(home):
    rows = read.mart("family_calibration")
    assert set(rows["origin"]) == {"published"} and rows["n_null"].null_count() == rows.height
    assert set(rows["family"]) == {"Llama", "Qwen", "Mistral"}
    ratio = rows.filter(family="Qwen", quantity="dc_ratio").row(0, named=True)
    # D/C against the primary reference: 0.54, 0.48 and 1.07.
    assert (ratio["n_pairs"], ratio["median_distilled"]) == (3, 0.54)
    assert (ratio["low_distilled"], ratio["high_distilled"]) == (0.48, 1.07)


def test_a_quote_is_a_quote():
    quoted = published._literal("it's")
    assert duckdb.sql(f"select {quoted}").fetchone() == ("it's",)
