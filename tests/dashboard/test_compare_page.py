"""Two derivatives side by side: empty, filled, and by their address."""

import pytest

pytestmark = pytest.mark.slow  # whole pages are drawn


def said(app) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.code, app.info)
    text = "\n".join(str(element.value) for kind in kinds for element in kind)
    return text.replace("\u00a0", " ").replace("\\", "")


def test_an_empty_lake_shows_the_command_that_fills_it(home, page):
    app = page("compare")
    assert not app.exception and not app.dataframe
    assert "cicatrix demo" in said(app) and "--base BASE && cicatrix measure OTHER" in said(app)


def test_differences_are_paired_by_seed_and_those_of_one_base_are_offered(filled, page):
    app = page("compare", a="llama-distilled", b="llama-sft-direct")
    assert not app.exception and not app.info
    # 400, 450, 420 and 900 less 0.2, 0.3, 0.25 and 0.6: from 399.8 to 899.4.
    assert "1 of 1 differences exclude 0: scar +542 (+400 to +899) × ε" in said(app)
    assert app.selectbox(key="compare_b").options == ["llama-sft-direct"]
    row = app.dataframe[0].value.iloc[0]
    assert row["Difference"] == pytest.approx(542.1625) and row["Pairs, n"] == 4
    assert "The weights of one of them were not compared" in said(app)


def test_differences_are_paired_by_prompt_and_equal_ones_cannot_be_told_apart(compared, page):
    app = page("compare", a="agreeing", b="cancelling")
    assert not app.exception
    # Both have the same prompts: every difference is 0.
    assert "none of 2 paired differences can be told from 0" in said(app)
    table = app.dataframe[0].value
    assert table["Difference"].tolist() == [0, 0] and table["Pairs, n"].tolist() == [3, 3]
    assert page("compare", a="nobody").info[0].value.startswith("The link names what this lake")
