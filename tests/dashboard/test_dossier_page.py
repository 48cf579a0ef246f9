"""The dossier: empty, filled, with claims, as HTML and as a pack that another lake takes."""

import json
from datetime import UTC, datetime

import pytest

from dashboard import dossier_html
from tests.dashboard.comparing import HOSTILE
from warehouse import pack, read
from warehouse.lake import Lake, Location

pytestmark = pytest.mark.slow  # whole pages are drawn


def said(app) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.code, app.info)
    text = "\n".join(str(element.value) for kind in kinds for element in kind)
    return text.replace("\u00a0", " ").replace("\\", "")


def test_an_empty_lake_shows_the_command_that_fills_it(home, page):
    app = page("dossier")
    assert not app.exception and not app.dataframe
    assert "cicatrix demo" in said(app) and "cicatrix measure MODEL --base BASE" in said(app)


def test_everything_measured_stands_by_layer_with_floor_and_n(compared, page):
    app = page("dossier", derivative="agreeing")
    assert not app.exception and not app.info
    text = said(app)
    # Centroid and CRP, D/C, the first gap, delta-norm (which has no value): one is not known.
    assert (
        "**AGREEING** from BASE, of unknown origin: **5 numbers** in 2 layers, of which 1" in text
    )
    assert "cicatrix verdict zoo:AGREEING" in text
    assert "yet of: structural by `cicatrix measure`" in text
    assert "circuits by `cicatrix circuits`, features by `cicatrix crosscode`" in text
    assert "cicatrix measure zoo:AGREEING --base zoo:BASE --reference zoo:OTHER" in text
    table = app.dataframe[0].value
    centroid = table[table["Quantity"] == "centroid distance"].iloc[0]
    assert centroid[["Value", "Floor", "n", "Status"]].tolist() == [
        3.0,
        0.25,
        40,
        "above its floor",
    ]
    ratio = table[table["Quantity"] == "D/C"].iloc[0]
    assert (ratio["Value"], ratio["Status"]) == (2.0, "Marginal / reference-sensitive")


def test_claims_show_what_is_inadmissible(home, page):
    from tests.dashboard.comparing import add_pairs

    with Lake.open() as lake:
        add_pairs(lake)
        lake.add_verdicts(
            [
                {
                    "derivative_id": "agreeing", "base_id": "base", "layer": "functional",
                    "question": "claim", "statement": f"it moved {HOSTILE}", "label": "unsupported",
                    "reasons": ["no admissible functional evidence"], "missing": ["a reference"],
                    "p": None, "p_least": None, "n_null": None, "thresholds": "{}",
                    "numbers": json.dumps(
                        {"context": ["a loud scar"], "inadmissible": ["centroid: below its floor"]}
                    ),
                    "code_version": "0",
                }
            ]
        )  # fmt: skip
    app = page("dossier", derivative="agreeing")
    assert not app.exception
    text = said(app)
    assert "unsupported] **functional**: it moved evil `$x$` <script>*b*" in text
    assert "**Inadmissible:** centroid: below its floor" in text
    assert "Of other layers, no support: a loud scar" in text and "1 unsupported" in text


def test_the_html_is_one_file_and_every_name_in_it_is_text(compared):
    pair = read.mart("pair", derivative_id="bad").row(0, named=True)
    evidence = read.mart("evidence", derivative_id="bad").to_dicts()
    made_at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    text = dossier_html.dossier(pair, [], evidence, [], made_at, ["cicatrix measure a"])
    assert "<script" not in text and "&lt;script&gt;*b*" in text
    assert "http" not in text and "src=" not in text
    assert "7 % of the gaps are exactly 0" in text and "2026-01-01 12:00:00 UTC" in text
    assert "cicatrix measure a" in text and "None was judged" in text


def test_the_pack_of_one_holds_its_triangle_alone_and_another_lake_takes_it(compared, tmp_path):
    file = tmp_path / "one.parquet"
    assert pack.write_pack(read, file, made_by="cicatrix measure a", of="agreeing") == 1
    elsewhere = Location.from_env({"CICATRIX_HOME": str(tmp_path / "elsewhere")})
    with Lake.open(elsewhere) as lake:
        assert pack.take_pack(lake, file).n_measurements == 1
    mine, theirs = (
        read.mart("evidence", where, derivative_id="agreeing").drop("measured_at").sort("quantity")
        for where in (None, elsewhere)
    )
    assert mine.height == 5 and mine.equals(theirs)
    assert set(read.table("model", elsewhere)["model_id"]) == {
        "agreeing", "base", "other", "common",
    }  # fmt: skip
    assert read.model_id("AGREEING") == "agreeing"
