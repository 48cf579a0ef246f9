"""The page of lineage: empty, filled, a teacher that is known, weights that were not read."""

import pytest

from tests.dashboard.conftest import unfolded
from tests.warehouse.making import add_unit, lineage_pair_row, weight_row
from warehouse.lake import Lake

pytestmark = pytest.mark.slow  # whole pages are drawn


def said(app) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.code, app.info)
    text = "\n".join(str(element.value) for kind in kinds for element in kind)
    return text.replace("\u00a0", " ").replace("\\", "")


def add_weights(lake: Lake) -> None:
    """A pair of two blocks, and one whose weights could not be read."""
    weights = [weight_row(k, "q", cosine=cosine) for k, cosine in enumerate((0.75, 0.5))]
    tables = {"weight_lineage": weights, "weight_lineage_pair": [lineage_pair_row(2)]}
    add_unit(lake, "l", "lineage", {"derivative": "child", "base": "base"}, tables)
    why = "its file holds quantised weights"
    bad = lineage_pair_row(0, lineage_label="INCONCLUSIVE", label_reasons=why, reason=why)
    models = {"derivative": "bad", "base": "base"}
    add_unit(lake, "l-bad", "lineage", models, {"weight_lineage_pair": [bad]})


def test_an_empty_lake_shows_the_command_that_fills_it(home, page):
    app = page("lineage")
    assert not app.exception and not app.dataframe
    assert "cicatrix demo" in said(app) and "cicatrix measure MODEL --base BASE" in said(app)


def test_weights_stand_block_by_block_beside_their_null(home, page):
    with Lake.open() as lake:
        add_weights(lake)
    app = page("lineage", derivative="child")
    assert not app.exception and not app.info
    text = said(app)
    assert "**2 derivatives** by their weights: 1 INCONCLUSIVE, 1 SAME LINEAGE." in text
    assert "**CHILD** from **BASE**: **SAME LINEAGE**" in text
    assert "Cosine 0.625, null 0.250" in text and "n = 2 of 2 matrices" in text
    assert "Not known: its sentences are not traced" in text
    assert unfolded(app, "Blocks as a table")["Cosine"].tolist() == [0.75, 0.5]
    bad = page("lineage", derivative="bad")
    assert not bad.exception and "**INCONCLUSIVE**. :small[its file holds quantised" in said(bad)
    assert "names what this lake does not hold" in said(page("lineage", derivative="nobody"))
