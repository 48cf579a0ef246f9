"""The SQL page: empty, filled, with what cannot be answered; and the chart of an answer."""

import time
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest

from dashboard import desk, quick_chart, tables
from dashboard.examples import EXAMPLES
from warehouse import dictionary, workbench
from warehouse.lake import Location
from warehouse.statement import relation_names

pytestmark = pytest.mark.slow  # pages are drawn and processes started: minutes in all


def said(app) -> str:
    """All text of the page."""
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.code, app.error, app.warning)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def answered(app):
    """The page once its statement is over, as a browser that asks again and again sees it."""
    end = time.monotonic() + 90
    while "Cancel" in labels(app):
        assert time.monotonic() < end
        time.sleep(0.3)
        app.run()
    assert not app.exception
    return app


def labels(app) -> list[str]:
    return [button.label for button in app.button]


def press(app, label: str):
    next(button for button in app.button if button.label == label).click()
    return answered(app.run())


def test_an_empty_lake_can_be_asked_and_says_how_to_fill_it(home, page):
    app = answered(page("sql", sql="from structural_scar"))
    assert "cicatrix demo" in said(app)
    assert "**No rows.** The statement ran and found none" in said(app)
    assert "Its columns: derivative\\_id, derivative" in said(app)
    assert not app.error


def test_before_a_statement_it_says_what_to_do_and_what_there_is(filled, page):
    app = page("sql")
    assert not app.exception and not app.error
    assert app.title[0].value == "What else do you want to know?"
    n_marts = sum(one.kind == "mart" for one in dictionary.described())
    assert f"Ask {n_marts} marts" in said(app) and "at most 10,000 rows and 30 s" in said(app)
    assert "No statement yet" in said(app)
    (listed,) = app.dataframe
    assert listed.value["column"][0] == "derivative_id"
    assert "median over the seeds but the largest" in " ".join(listed.value["meaning"])


def test_the_address_restores_the_statement_and_its_answer(filled, page):
    sql = (
        "select derivative, median_non_max_x_eps as x from structural_scar order by x desc limit 2"
    )
    app = answered(page("sql", sql=sql))
    assert app.text_area[0].value == sql
    shown = app.dataframe[0].value
    assert shown["derivative"].to_list() == ["llama-distilled", "qwen2-distilled"]
    # Seeds 0, 1, 2 of llama-distilled lie 400, 450 and 420 x eps away.
    assert shown["x"].to_list() == pytest.approx([420, 55])
    assert "**2 rows**, all there are. Answered in" in said(app)
    assert [button.label for button in app.get("download_button")] == ["answer.csv", "Parquet"]


def test_the_row_cap_is_said(filled, page):
    app = answered(page("sql", sql="select range as n from range(20000)"))
    assert "**The first 10,000 rows**; there are more" in said(app)
    assert "The table shows the first 1,000; the files have all 10,000 rows" in said(app)
    assert len(app.dataframe[0].value) == 1000


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("select labl from model", "Candidate bindings"),
        ("selec 1", "syntax error"),
        ("drop table model", "another kind of statement"),
        ("from read_text('/etc/passwd')", "is not among the functions it reads from"),
        ("select '**bold** <b>x</b>'::integer", "Could not convert"),
    ],
)
def test_what_cannot_be_answered_says_why_in_a_line(filled, page, sql, why):
    app = answered(page("sql", sql=sql))
    (told,) = app.warning
    assert told.value.startswith("Not answered: ") and why in told.value.replace("\\", "")
    assert "<b>" not in told.value and "Nothing was changed" in said(app)
    assert not app.error, "red is for failures of the software"
    assert len(app.dataframe) == 1, "what can be asked is still listed"


def test_run_without_a_statement_asks_for_one(filled, page):
    app = press(page("sql"), "Run")
    assert "There is no statement" in app.warning[0].value


def test_a_plan_is_shown_on_demand(filled, page):
    app = answered(page("sql", sql="select count(*) from structural_scar"))
    app = press(app, "Explain")
    assert "nothing was run" in said(app)
    assert any("DUCKLAKE_SCAN" in code.value for code in app.code)
    assert "planned in" in said(app), "the history has it"


def test_a_long_one_shows_its_progress_and_is_cancelled(filled, page):
    app = page("sql", sql="select count(*) from range(1000000) a, range(1000000) b")
    assert "Cancel" in labels(app)
    (bar,) = app.get("progress")
    assert "s of at most 30 s" in str(bar.proto.text)
    app = press(app, "Cancel")
    assert "the statement was cancelled" in app.warning[0].value
    app.text_area[0].set_value("select 7 as seven")
    app = press(app, "Run")
    assert app.dataframe[0].value["seven"].to_list() == [7]


def test_what_was_asked_can_be_asked_again(filled, page):
    app = answered(page("sql", sql="select 1 as a"))
    app.text_area[0].set_value("select 2 as b")
    app = press(app, "Run")
    asked = [code.value for code in app.code if code.language == "sql"]
    assert asked == ["select 2 as b", "select 1 as a"]
    assert "1 row in" in said(app)
    next(button for button in app.button if button.key == "again-1").click()
    app = answered(app.run())
    assert app.text_area[0].value == "select 1 as a"
    assert app.dataframe[0].value["a"].to_list() == [1]
    assert len(app.session_state["sql_desk"].history) == 3


def test_a_click_on_a_relation_shows_its_rows(filled, page):
    app = page("sql", relation="model")
    app = press(app, "Show 100 rows of it")
    assert app.text_area[0].value == "select *\nfrom model\nlimit 100"
    assert "llama-distilled" in app.dataframe[0].value["label"].to_list()


def test_a_column_is_found_by_a_word(filled, page):
    app = page("sql", find="sign-flip")
    found = app.dataframe[0].value
    assert "sign_flip_floor" in found["column"].to_list()
    assert "No column's name" in said(page("sql", find="no such word"))


def test_the_address_restores_the_chart(filled, page):
    sql = "select family, derivative, n_seeds, median_non_max_x_eps as scar from structural_scar"
    app = answered(page("sql", sql=sql, view="Chart", y="scar", x="derivative", mark="bars"))
    (chart,) = app.get("vega_lite_chart")
    assert '"bar"' in chart.proto.spec and '"title": "scar"' in chart.proto.spec.replace(
        '":"', '": "'
    )
    assert len(app.dataframe) == 1, "the chart is there in the place of the table"


def test_a_lake_that_cannot_be_read_is_one_message(home, page, monkeypatch, tmp_path):
    monkeypatch.setenv("CICATRIX_CATALOG", str(tmp_path / "gone.sqlite"))
    app = page("sql", sql="select 1")
    assert not app.exception
    assert "gone.sqlite" in app.error[0].value


def test_every_example_runs(filled):
    location = Location.from_env()
    with ThreadPoolExecutor(workbench.AT_ONCE) as pool:
        answers = pool.map(
            lambda sql: workbench.query(sql, location, desk.LIMITS), EXAMPLES.values()
        )
        shapes = {name: answer.frame.shape for name, answer in zip(EXAMPLES, answers, strict=True)}
    assert shapes["Loudest scars"] == (4, 7)
    assert shapes["One seed against all others"] == (4, 4)
    assert shapes["What was measured, and what it cost"][0] > 1


def test_everything_that_may_be_asked_is_described():
    known = dictionary.described()
    assert {one.name for one in known} == relation_names()
    assert len({one.name for one in known}) == len(known)
    for one in known:
        assert one.grain.startswith("One row per ") and one.columns, one.name
        assert all(name and kind for name, kind, _ in one.columns), one.name


def marks(chart) -> list[dict[str, object]]:
    (rows,) = chart.to_dict()["datasets"].values()
    return rows


def test_never_more_than_5000_marks():
    for n, n_drawn in ((4_999, 4_999), (5_000, 5_000), (5_001, 2_501), (10_000, 5_000)):
        frame = pl.DataFrame({"n": range(n)})
        assert quick_chart.drawn(frame).height == n_drawn <= quick_chart.MOST_MARKS
    every_third = quick_chart.drawn(pl.DataFrame({"n": range(10_001)}))["n"]
    assert every_third.to_list() == list(range(0, 10_001, 3))


def test_a_column_may_be_called_anything():
    frame = pl.DataFrame({"a.b[0]": ["x", "y"], 'c"\\': [1.0, 2.0]})
    chart = quick_chart.chart(frame, "a.b[0]", 'c"\\', "points", is_log=False)
    assert marks(chart) == [{"x": "x", "y": 1.0}, {"x": "y", "y": 2.0}]
    encoding = chart.to_dict()["encoding"]
    assert encoding["y"]["title"] == "a.b[0]", "names lie in rows"
    assert encoding["x"]["title"] == 'c"\\'


def test_what_has_no_place_on_the_axis_is_left_out():
    frame = pl.DataFrame({"x": [1, 2, 3, 4], "y": [None, float("nan"), -1.0, 10.0]})
    assert [
        row["x"] for row in marks(quick_chart.chart(frame, "x", "y", "line", is_log=False))
    ] == [
        3,
        4,
    ]
    assert [row["x"] for row in marks(quick_chart.chart(frame, "x", "y", "line", is_log=True))] == [
        4
    ]


def test_a_family_has_its_colour_in_every_chart():
    frame = pl.DataFrame({"family": ["qwen2", "llama"], "y": [1, 2]})
    colours = quick_chart.chart(frame, "family", "y", "bars", is_log=False).to_dict()["encoding"]
    assert colours["color"]["scale"] == {
        "domain": ["llama", "qwen2"],
        "range": ["#0072B2", "#E69F00"],
    }


def test_lists_are_text_in_csv():
    frame = pl.DataFrame({"a": [[1, 2], [3]], "b": ["x", None]})
    assert tables.as_csv(frame) == b'a,b\n"[1, 2]",x\n[3],\n'
