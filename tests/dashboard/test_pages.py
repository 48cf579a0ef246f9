"""Each page with an empty lake, with a filled one, and with one it cannot read."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard import charts
from tests.dashboard.comparing import HOSTILE
from tests.dashboard.conftest import plan
from tests.warehouse.making import comparison, model
from warehouse import lake as lake_module
from warehouse import read


def said(app) -> str:
    """All text of the page."""
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.code, app.error)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


@pytest.mark.parametrize("name", ["families", "runs"])
def test_an_empty_lake_shows_the_command_that_fills_it(home, page, name):
    app = page(name)
    assert not app.exception and not app.error
    assert "cicatrix demo" in said(app)
    assert "cicatrix measure MODEL --base BASE" in said(app)
    assert not app.dataframe


def test_the_sentence_names_the_loudest_family(filled, page):
    app = page("families")
    assert not app.exception
    assert app.title[0].value == "Which family scars loudest?"
    answer = app.markdown[0].value.replace("\u00a0", " ")
    # Seeds 0, 1, 2 lie 400, 450, 420 x eps away, seed 123 is the largest; qwen2 has 50 to 60.
    assert answer.startswith("**llama**: its derivative llama-distilled lies 400–450 × ε")
    assert "over 3 seeds, and 900 × ε at seed 123" in answer
    assert "next comes **qwen2** with 50.0–60.0 × ε" in answer
    assert "3 of 4 pairs above the floor" in answer


def test_the_table_has_a_row_a_derivative_and_calls_what_is_below_its_floor(filled, page):
    table = page("families").dataframe[0].value
    assert table["Derivative"].to_list() == [
        "llama-distilled", "llama-sft-direct", "qwen2-distilled", "qwen2-sft-direct",
    ]  # fmt: skip
    assert table["Structure"].to_list() == [
        "above its floor", "not interpretable", "above its floor", "above its floor",
    ]  # fmt: skip
    assert table["Largest seed"].to_list() == [123] * 4
    assert table["its scar, × ε"].to_list() == pytest.approx([900, 0.6, 70, 14])
    assert table["CRP, logits"].to_list()[0] == 2.0
    assert table["Output"].isna().to_list() == [False, True, False, True]


def test_the_address_restores_family_and_mode(filled, page):
    app = page("families", family=["qwen2"], mode="forced")
    assert not app.exception
    assert app.markdown[0].value.startswith("**qwen2**")
    assert "no other family is shown" in app.markdown[0].value
    assert app.dataframe[0].value["Family"].unique().tolist() == ["qwen2"]
    assert "1 of 1 derivative above the floor in mode forced" in said(app)


def test_a_chosen_family_is_the_only_one_left(filled, page):
    app = page("families")
    app.button_group(key="family").set_value(["llama"]).run()
    assert app.dataframe[0].value["Family"].unique().tolist() == ["llama"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["families", "compare", "dossier", "overview"])
def test_a_model_without_numbers_and_with_markup_in_its_name_breaks_no_page(filled, page, name):
    """One bad row: every tau of it was refused, with a reason."""
    filled.add_models([model("odd", label=HOSTILE, family="llama")])
    plan(filled, "s-odd", "structural", 1, {"model": "odd"})
    row = {
        "seed": 0, "dim": 0, "prompt_id": "p0", "category": "science", "site": "A",
        "n_tokens": 20, "tau": None, "tau_rerun": None, "reason": "its logits are not finite",
    }  # fmt: skip
    filled.append_unit("s-odd", "seed-0", {"structural_tau": [row]}, 2.0)
    filled.add_comparisons([comparison("odd", "base", "llama-base")])
    app = page(name, **({"derivative": "odd"} if name == "dossier" else {}))
    assert not app.exception and not app.error
    raw = "\n".join(str(element.value) for element in (*app.markdown, *app.caption))
    assert HOSTILE not in raw
    numbers = read.mart("structural_scar", derivative_id="llama-distilled")
    assert numbers["median_non_max_x_eps"].item() == pytest.approx(420)  # the others stay


def test_the_runs_page_tells_what_runs_and_what_failed(filled, page):
    app = page("runs")
    assert not app.exception
    text = said(app)
    # Six structural measurements and four distances are complete.
    assert "**llama-base** is being measured; 10 complete, 1 failed." in text
    assert "'BertModel' is no decoder" in text
    assert "cicatrix measure '../my models/bert'" in text
    progress = app.get("progress")[0].proto
    assert progress.value == 25 and progress.text.startswith("1 of 4 units · ")
    assert app.dataframe[0].value.shape[0] == 10


def test_the_runs_page_restores_its_filter(filled, page):
    app = page("runs", state=["failed"])
    assert not app.get("progress") and not app.dataframe
    assert "'BertModel' is no decoder" in said(app)
    assert "No measurement is silent." in said(page("runs", state=["silent"]))


def test_a_killed_run_is_called_silent(filled, page, monkeypatch):
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    with monkeypatch.context() as clock:
        clock.setattr(lake_module, "_now", lambda: long_ago)
        filled.start_attempt(model_ref="zoo:teacher-forward", device="cuda:0", host="h")
    app = page("runs", state=["silent"])
    assert f"No sign of life since {long_ago:%Y-%m-%d %H:%M:%S} UTC" in said(app)
    assert "cicatrix measure zoo:teacher-forward" in said(app)


@pytest.mark.parametrize(
    "name",
    [
        "overview",
        "families",
        "centroid",
        "triangles",
        "provenance",
        "components",
        "runs",
    ],
)
def test_a_lake_that_cannot_be_read_is_one_message(home, page, monkeypatch, tmp_path, name):
    monkeypatch.setenv("CICATRIX_CATALOG", str(tmp_path / "nowhere.sqlite"))
    app = page(name)
    assert not app.exception and len(app.error) == 1
    assert "nowhere.sqlite" in app.error[0].value and "cicatrix init" in app.error[0].value


def _known(name: str, *, is_distilled: bool) -> dict[str, object]:
    return {
        "model_id": name, "name": name, "method": name.split("-", 1)[1], "role": "derivative",
        "is_distilled": is_distilled, "base_id": f"{name.split('-')[0]}-base", "teacher_id": None,
        "seed": 0, "is_shipped": False, "declared_by": "zoo",
    }  # fmt: skip


def test_what_is_known_not_to_be_distilled_is_shown_and_does_not_answer(filled, add_pair, page):
    add_pair("llama-pruned", (9_000, 9_100, 9_200, 9_900))
    filled.add_organisms(
        [
            _known("llama-pruned", is_distilled=False),
            _known("llama-sft-direct", is_distilled=False),
            _known("llama-distilled", is_distilled=True),
        ]
    )
    app = page("families")
    assert not app.exception
    assert app.markdown[0].value.startswith("**llama**: its derivative llama-distilled lies")
    assert "known not to be distilled" in said(app)
    assert "llama-pruned" in app.dataframe[0].value["Derivative"].to_list()


def test_what_its_user_declared_is_a_row_of_its_own(filled, add_pair):
    add_pair("llama-pruned", (9_000, 9_100, 9_200, 9_900))
    own = _known("llama-pruned", is_distilled=False) | {"declared_by": "user", "seed": None}
    filled.declare(own, instead_of=None)
    filled.add_organisms([_known("llama-sft-direct", is_distilled=False)])
    chart = charts.families(read.mart("structural_scar", family="llama"))
    drawn = [row for rows in chart.to_dict()["datasets"].values() for row in rows]
    kinds = {row["derivative"]: row["row"] for row in drawn if "kind" in row}
    assert kinds["llama-pruned"] == "llama · not distilled, declared, n = 1"
    assert kinds["llama-sft-direct"] == "llama · not distilled, n = 1"
