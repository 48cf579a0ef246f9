"""The page of triangles: empty, filled, one chosen."""

import pytest

from tests.dashboard.comparing import HOSTILE, add_pairs
from tests.warehouse.making import add_distances, comparison, distance_row, model
from warehouse.lake import Lake

pytestmark = pytest.mark.slow  # whole pages are drawn


def said(app) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.code, app.info)
    text = "\n".join(str(element.value) for kind in kinds for element in kind)
    return text.replace("\u00a0", " ").replace("\\", "")


def test_an_empty_lake_shows_the_command_that_fills_it(home, page):
    app = page("triangles")
    assert not app.exception and not app.dataframe
    assert "cicatrix demo" in said(app) and "--reference OTHER" in said(app)


def test_verdicts_stand_with_reasons_floors_and_n(compared, page):
    app = page("triangles")
    assert not app.exception and not app.info
    text = said(app)
    # agreeing: D 3 over C 1.5 and 3. cancelling: D 0.1 below its floor, CRP 2 over 4.
    assert "None is farther from its base than an unrelated model is." in text
    assert "2 pairs: 1 Marginal / reference-sensitive, 1 No break (per-prompt); measured" in text
    assert "the references disagree, D/C 2 and 1" in text
    assert "D 3.00 (0.400 to 0.600), floor 0.250" in text and "n = 40 prompts" in text
    table = app.dataframe[-1].value
    assert table["Derivative"].to_list() == ["AGREEING", "CANCELLING"]
    assert table["D ∕ C to report"].to_list() == [2.0, 0.5]
    assert table["D ∕ C"].to_list() == [2.0, 0.1] and table["by CRP"].to_list() == [1.0, 0.5]


def test_the_address_restores_triangle_and_filter(compared, page):
    app = page("triangles", derivative="cancelling", verdict=["No break (per-prompt)"])
    assert not app.exception and not app.info
    assert "D_below_SB: centroid distance 0.1, self-baseline 0.25" in said(app)
    assert app.dataframe[-1].value["Derivative"].to_list() == ["CANCELLING"]
    none = page("triangles", verdict=["Break (robust)"])
    assert "No triangle in mode free is like this" in said(none) and not none.exception


def test_a_triangle_whose_distance_was_refused_is_shown_beside_the_others(home, page):
    """One bad row: a name that would be markup, and no number, only the reason why not."""
    numbers = [name for name in distance_row("derivative") if "distance" in name]
    refused = dict.fromkeys(numbers)
    with Lake.open() as lake:
        add_pairs(lake)
        lake.add_models([model("odd", label=HOSTILE)])
        rows = [
            distance_row("derivative", reason="7 % of the gaps are exactly 0", **refused),
            distance_row("reference"),
        ]
        others = {"base": "base", "reference": "other"}
        add_distances(lake, "d-odd", {"derivative": "odd", **others}, rows)
        lake.add_comparisons([comparison("odd", role, other) for role, other in others.items()])
    app = page("triangles", derivative="odd")
    assert not app.exception and "3 pairs:" in said(app)
    assert "7 % of the gaps are exactly 0" in said(app)
    table = app.dataframe[-1].value.set_index("Derivative")
    assert table.loc[HOSTILE, ["D ∕ C to report", "D ∕ C"]].isna().all()
    assert table.loc["AGREEING", "D ∕ C"] == 2.0
