"""The page of crosscoders: empty, in training, and with its latents."""

import json

import pytest

from dashboard import data
from tests.dashboard.conftest import plan
from tests.warehouse import crosscoder_rows as rows
from tests.warehouse.making import model
from warehouse.lake import Lake

pytestmark = pytest.mark.slow  # models run, or pages are drawn: minutes in all


def said(app) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.code, app.info)
    text = "\n".join(str(element.value) for kind in kinds for element in kind)
    return text.replace("\u00a0", " ").replace("\\", "")


def test_an_empty_lake_shows_the_command(home, page):
    app = page("crosscoder")
    assert not app.exception
    assert "cicatrix crosscode --base zoo:llama-base --distilled zoo:llama-distilled" in said(app)


def test_latents_and_their_contexts(home, page):
    with Lake.open() as lake:
        lake.add_models([model("b"), model("d")])
        options = json.dumps({"settings": {"sparsity": "batchtopk", "k": 8, "n_steps": 2}})
        plan(lake, "c", "crosscoder", 2, {"base": "b", "distilled": "d"}, options=options)
        lake.append_unit("c", "steps", {"crosscoder_step": [rows.step(0), rows.step(1)]}, 1.0)
        training = page("crosscoder")
        assert not training.exception
        assert "It still trains" in said(training)
        tables = {
            "crosscoder_summary": [rows.summary(2, 0.0)],
            "latent": [rows.latent(0), rows.latent(1, 1.0, 19.0, is_genuine=False)],
            "latent_context": [rows.context(1)],
            "latent_category": [rows.category()],
        }
        lake.append_unit("c", "latents", tables, 1.0)
    app = page("crosscoder")
    assert not app.exception
    text = said(app)
    assert "of 2 live latents, **1** are distilled-only by their norms alone, **0** by" in text
    assert "Its latents may be read: why; on 50 tokens" in text
    assert ":orange-background[ wait]" in text  # latent 1 stands first: its NRN is the largest
    assert "base 4" in text and "distilled 76" in text  # 4 times the norms 1 and 19
    # Both stand in the table; contexts are stored of one.
    assert app.dataframe[1].value["Latent"].to_list() == [1, 0]
    assert app.selectbox(key="latent").options == ["1"]
    assert data.later("latent_feature", measurement_id="c")().height == 2


def test_a_latent_that_never_fired_and_a_hostile_token_do_not_break_the_page(home, page):
    """One bad row: a dead latent without numbers; its neighbour's context holds markup."""
    hostile = "evil `$x$` <script>*b*"
    with Lake.open() as lake:
        lake.add_models([model("b", label=hostile), model("d")])
        options = json.dumps({"settings": {"sparsity": "batchtopk", "k": 8, "n_steps": 1}})
        plan(lake, "c", "crosscoder", 2, {"base": "b", "distilled": "d"}, options=options)
        lake.append_unit("c", "steps", {"crosscoder_step": [rows.step(0)]}, 1.0)
        tables = {
            "crosscoder_summary": [rows.summary(2, 0.5)],
            "latent": [rows.latent(0), rows.dead(1)],
            "latent_context": [rows.context(0, tokens=["So", hostile, ","])],
            "latent_category": [rows.category()],
        }
        lake.append_unit("c", "latents", tables, 1.0)
    app = page("crosscoder")
    assert not app.exception and not app.error
    assert "of 1 live latent," in said(app)
    raw = "\n".join(str(element.value) for element in app.markdown)
    assert "evil" in raw and hostile not in raw  # what Markdown would act on is escaped
    assert app.dataframe[1].value["Latent"].to_list() == [0]
