"""The page of centroid and CRP: empty, filled, one pair chosen, one refused."""

import pytest

pytestmark = pytest.mark.slow  # whole pages are drawn


def said(app) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.code, app.info)
    text = "\n".join(str(element.value) for kind in kinds for element in kind)
    return text.replace("\u00a0", " ").replace("\\", "")


def test_an_empty_lake_shows_the_command_that_fills_it(home, page):
    app = page("centroid")
    assert not app.exception and not app.dataframe
    assert "cicatrix demo" in said(app) and "cicatrix measure MODEL --base BASE" in said(app)


def test_the_answer_names_what_cancels_and_its_prompts_stand_beside_noise(compared, page):
    app = page("centroid")
    assert not app.exception and not app.info
    text = said(app)
    # CRP 2 over a centroid of 0.1; its floors are 0.125 and 0.25, that of CRP 1.
    assert "**1 of 3** diverge, **CANCELLING** the most" in text
    assert "2.00 logits from BASE, its mean 0.100: 20.0 times less" in text
    assert "3 pairs: 1 cancels, 1 agree, 1 not interpretable; measured" in text
    assert "under random signs it would be 16.0 times or more" in text  # 2 / 0.125
    assert "grew on 1 prompt and shrank on 2 (sign test p 1.00)" in text
    assert "6.00 times more, which 62.5 % of draws of pure noise reach" in text
    table = app.dataframe[-1].value
    assert table["They say"].to_list() == ["cancels", "agree", "not interpretable"]
    assert table["floor of CRP"].to_list()[:2] == [1.0, 1.0]


def test_the_address_restores_pair_and_filter(compared, page):
    app = page("centroid", derivative="agreeing", base="base", says=["agree"])
    assert not app.exception and not app.info
    assert "**agree**, CRP over centroid 1.33 (limit 5)" in said(app)
    assert app.dataframe[-1].value["Derivative"].to_list() == ["AGREEING"]
    assert app.query_params["derivative"] == "agreeing"
    unknown = page("centroid", derivative="nobody")
    assert "names what this lake does not hold: derivative nobody" in said(unknown)
    assert "No pair in mode forced is like this" in said(page("centroid", mode="forced"))


def test_a_refused_pair_says_why_and_its_name_is_text(compared, page):
    app = page("centroid", derivative="bad")
    assert not app.exception
    assert "evil `$x$` <script>*b*" in said(app)
    assert "7 % of the gaps are exactly 0" in said(app)
    assert "Its prompts were not recorded" in said(app)
