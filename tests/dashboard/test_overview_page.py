"""The first page: empty, filled, and what is new by its address."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard import lineage_chart
from tests.dashboard.comparing import HOSTILE
from tests.warehouse.making import comparison, organism
from warehouse import read

pytestmark = pytest.mark.slow  # whole pages are drawn


def said(app) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.code, app.info)
    text = "\n".join(str(element.value) for kind in kinds for element in kind)
    return text.replace("\u00a0", " ").replace("\\", "")


def test_an_empty_lake_shows_the_command_that_fills_it(home, page):
    app = page("overview")
    assert not app.exception and not app.dataframe
    assert "cicatrix demo" in said(app) and "cicatrix measure MODEL --base BASE" in said(app)


def test_it_says_what_is_held_new_loud_and_missing(filled, page):
    app = page("overview")
    assert not app.exception
    text = said(app)
    # Six models of 4 seeds, four comparisons of one row; the template is not complete.
    assert "**10 measurements** by 2 methods with 28 records" in text
    assert "**10 new** since" in text and "**llama-base** is being measured" in text
    assert "6 models in the map" in text
    tables = [frame.value for frame in app.dataframe]
    extremes = next(table for table in tables if "Loudest" in table)
    # Medians without the largest seed: 420 and 0.25 of llama, the latter under its floor.
    llama = extremes[extremes["Family"] == "llama"].iloc[0]
    assert llama["Loudest"] == llama["Quietest"] == "llama-distilled"
    assert llama["its scar, × ε"] == pytest.approx(420)
    assert (llama["Above the floor"], llama["of"]) == (1, 2)
    assert "In **4 of 4** families and layers" in text
    needs = next(table for table in tables if "Missing" in table)
    assert needs["Missing"].unique().tolist() == [
        "0 known to be distilled, 3 needed; 0 known not to be, 19 needed"
    ]


def test_the_address_says_since_when(filled, page):
    app = page("overview", since="2020-01-01T00:00")
    assert not app.exception
    assert "**10 new** since 2020-01-01 00:00:00 UTC" in said(app)
    assert "New since 01 January 2020, 00:00 UTC" in said(app)
    assert "10 measurements, 50 s of measuring." in said(app)  # 24 seeds of 2 s, 4 of 0.5 s


def test_a_refused_pair_of_a_hostile_name_is_shown_as_text(compared, page):
    app = page("overview")
    app.session_state["on_map"] = {"model_id": "bad", "kind": "derivative"}
    app.run()
    assert not app.exception and not app.error
    raw = "\n".join(str(one.value) for kind in (app.markdown, app.caption) for one in kind)
    assert "evil" in raw and HOSTILE not in raw  # what Markdown would act on is escaped


def test_a_moment_after_the_newest_leaves_nothing_new(filled, page):
    now = datetime.now(UTC) + timedelta(minutes=2)
    app = page("overview", since=now.strftime("%Y-%m-%dT%H:%M"))
    assert not app.exception
    assert "**0 new** since" in said(app) and "Choose an earlier moment above" in said(app)


def test_a_click_on_the_map_leads_to_the_dossier(filled, page):
    app = page("overview")
    app.session_state["on_map"] = {"model_id": "llama-distilled", "kind": "derivative"}
    app.run()
    assert not app.exception
    links = {link.proto.label: link.proto.query_string for link in app.get("page_link")}
    assert links["Its dossier"] == "derivative=llama-distilled&base=llama-base"
    assert links["What runs, how far it is and how long yet"] == "state=running"
    app.session_state["on_map"] = {"model_id": "llama-base", "kind": "base"}
    links = {link.proto.label: link.proto.query_string for link in app.run().get("page_link")}
    assert links["Its family, llama"] == "family=llama"


def test_the_map_draws_every_model_where_its_scar_is(filled):
    filled.add_comparisons([comparison("llama-distilled", "teacher", "qwen2-base")])
    filled.add_organisms([organism("llama-distilled", base_id="llama-base")])
    nodes, edges = read.mart("lineage_node"), read.mart("lineage_edge")
    assert edges["kind"].sort().to_list() == ["capability", *["weight"] * 4]
    chart = lineage_chart.lineage_map(nodes, edges).to_dict()
    rows = [row for rows in chart["datasets"].values() for row in rows]
    drawn = {row["model_id"]: row for row in rows if row.get("kind") == "derivative"}
    assert drawn["llama-distilled"]["x"] == pytest.approx(420)
    assert drawn["llama-distilled"]["known"] == "distilled"
    assert drawn["llama-sft-direct"]["opacity"] < 1  # under its floor
    dashes = [row for row in rows if row.get("from_id") and row["kind"] == "capability"]
    assert [(row["to_x"], row["evidence"]) for row in dashes] == [(pytest.approx(420), "declared")]


def test_every_page_looks_back_to_the_instant_of_its_address(filled, page):
    for name in ("overview", "families"):
        past = page(name, as_of="2020-01-01T00:00")
        assert not past.exception and not past.dataframe
        assert "Looking back to 2020-01-01 00:00 UTC" in said(past)
        assert "cicatrix demo" in said(past)
    assert "Looking back" not in said(page("families"))
