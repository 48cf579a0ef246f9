"""What latents do, on the page of crosscoders: each view filled, and texts that are no markup."""

import pytest

from tests.dashboard.features import SECOND_BEST
from tests.dashboard.test_components_page import said

pytestmark = pytest.mark.slow  # whole pages are drawn


def test_ablation_with_its_verdicts(featured, page):
    app = page("crosscoder", filter="NRN first, then firing")
    assert not app.exception
    table = app.dataframe[-1].value
    assert table["Latents, %"].tolist() == [5.0, 20.0]
    assert table["Verdict"].tolist() == ["distilled-causal", "not distilled-causal"]
    assert table["Distilled, per norm"].tolist() == [-2.0, -2.0]


def test_steering_reads_before_and_after(featured, page):
    app = page("crosscoder", use="Added", direction="latent 17")
    assert not app.exception
    texts = [element.value for element in app.text]
    assert texts == ["5 + 2?", "before", SECOND_BEST]
    assert "over-thinking" in app.dataframe[-1].value["Verdict"].tolist()


def test_geometry_and_what_is_not_known(featured, page):
    app = page("crosscoder", use="Word geometry")
    assert not app.exception
    table = app.dataframe[-1].value
    assert table["Area, distilled minus base"].tolist() == [0.25]
    assert table["Verdict"].tolist() == ["more structured"]
    app = page("crosscoder", use="Word geometry", relation="rare")
    assert not app.exception
    assert "Base: not known, why." in said(app)
