"""The page of latents in use: empty, each view filled, and texts that are no markup."""

import pytest

from tests.dashboard.features import SECOND_BEST
from tests.dashboard.test_components_page import said

pytestmark = pytest.mark.slow  # whole pages are drawn


def test_an_empty_lake_says_what_to_do(home, page):
    app = page("features")
    assert not app.exception
    assert "cicatrix crosscode --base zoo:llama-base --distilled zoo:llama-distilled" in said(app)


def test_ablation_with_its_verdicts(featured, page):
    app = page("features", filter="NRN first, then firing")
    assert not app.exception
    table = app.dataframe[0].value
    assert table["Latents, %"].tolist() == [5.0, 20.0]
    assert table["Verdict"].tolist() == ["distilled-causal", "not distilled-causal"]
    assert table["Distilled, per norm"].tolist() == [-2.0, -2.0]


def test_steering_reads_before_and_after(featured, page):
    app = page("features", view="Steering", direction="latent 17")
    assert not app.exception
    texts = [element.value for element in app.text]
    assert texts == ["5 + 2?", "before", SECOND_BEST]
    assert "over-thinking" in app.dataframe[0].value["Verdict"].tolist()


def test_geometry_and_what_is_not_known(featured, page):
    app = page("features", view="Word geometry")
    assert not app.exception
    table = app.dataframe[0].value
    assert table["Area, distilled minus base"].tolist() == [0.25]
    assert table["Verdict"].tolist() == ["more structured"]
    app = page("features", view="Word geometry", relation="rare")
    assert not app.exception
    assert "Base: not known, why." in said(app)
