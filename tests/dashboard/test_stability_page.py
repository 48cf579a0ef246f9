"""The page on capability and the proxies R: its views, its words, its address, hostile text."""

import re
from html import unescape

import pytest

from dashboard.stability_words import PROXY
from tests.dashboard.conftest import unfolded
from tests.dashboard.steps import HOSTILE, TEXT, add_steps
from warehouse import checks, read
from warehouse.lake import Lake, Location

pytestmark = pytest.mark.slow  # pages are drawn: minutes in all


@pytest.fixture(scope="session")
def stepped_home(tmp_path_factory):
    """A home whose lake holds one teacher and its students; no test writes to it."""
    made = tmp_path_factory.mktemp("stepped")
    with Lake.open(Location.from_env({"CICATRIX_HOME": str(made)})) as lake:
        add_steps(lake)
    return made


@pytest.fixture
def stepped(home, stepped_home, monkeypatch):
    assert home != stepped_home
    monkeypatch.setenv("CICATRIX_HOME", str(stepped_home))


def elements(app):
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.code, app.info)
    return [
        str(element.value).replace("\u00a0", " ").replace("\\", "")
        for kind in kinds
        for element in kind
    ]


def said(app):
    return "\n".join(elements(app))


def html(app):
    """What is drawn as HTML, without the styles."""
    bodies = (block.proto.body for block in app.get("html"))
    return "\n".join(body for body in bodies if not body.startswith("<style"))


def test_the_planted_lake_is_good(stepped):
    broken = {name: rows.height for name, rows in checks.run().items() if rows.height}
    assert broken == {}


def test_an_empty_lake_shows_the_commands(home, page):
    app = page("stability")
    assert not app.exception and not app.dataframe
    assert "cicatrix stability --teacher zoo:teacher-forward --students" in said(app)
    assert PROXY in said(app)


@pytest.mark.parametrize("view", ["Plane", "Profile", "Rollouts", "Hypotheses"])
def test_the_word_never_stands_alone(stepped, home, page, view):
    app = page("stability", view=view)
    assert not app.exception
    for text in elements(app):
        if re.search(r"\bstability\b(?![`\s]*(…|--))", text, re.I):
            assert "prox" in text and "no numbers" in re.sub(r"[*\s]+", " ", text), text
    assert PROXY in said(app)


def test_the_answer_counts_who_is_near_in_k_and_apart_in_r(stepped, page):
    answer = page("stability").markdown[0].value.replace("\u00a0", " ")
    assert answer.startswith(
        "Of 3 students of **T**, 2 are within 0.05 of its accuracy, and 1 of these differ from "
        "it in R by more than noise (**LOOSE**). n = 60 stories; measured"
    )


def test_each_student_has_its_verdicts_and_their_reasons(stepped, page):
    app = page("stability")
    text = said(app)
    assert ":orange-badge[:material/call_split: ASYMMETRIC] :small[delta K 0.030 <= 0.050]" in text
    assert ":orange-badge[:material/block: Proposition 1: COUNTER-EXAMPLE]" in text
    assert "none of the three gaps" in text and ":small[apart in R]" in text
    assert "not defined: delta R, its noise, load ratio" in text
    table = app.dataframe[0].value
    assert table["Student"].to_list() == ["GOOD", "LOOSE", "MUTE"]
    assert table["ΔR"].isna().to_list() == [False, False, True]  # unknown, not 0


def test_a_point_opens_its_rollouts_in_one_click(stepped, page):
    app = page("stability")
    next(button for button in app.button if button.key == "open student-2").click().run()
    assert not app.exception
    assert app.query_params["view"] == "Rollouts" and app.query_params["model"] == "loose"
    assert app.selectbox(key="role").value == "student-2"


def test_profiles_stand_beside_the_teacher_s_and_say_what_is_missing(stepped, page):
    app = page("stability", view="Profile")
    assert app.selectbox(key="role").options == ["GOOD", "LOOSE", "MUTE"]
    table = app.dataframe[0].value
    mine = table[(table["Model"] == "GOOD") & (table["Component"] == "dependence")]
    assert mine[["Value", "95 % from", "to", "Null", "Teacher's"]].to_numpy().tolist() == [
        [0.5, 0.375, 0.625, 0.25, 0.5]
    ]
    beside = "Beside R: mean load 0.250 (95 % 0.125 to 0.375; the teacher's 0.250), burden per"
    assert beside in said(app)
    app.selectbox(key="role").set_value("student-3").run()
    assert not app.exception
    assert "No satisfaction: no trajectory of 3 sentences or more." in said(app)


def test_hypotheses_say_why(stepped, page):
    app = page("stability", view="Hypotheses")
    text = said(app)
    assert "**H2** :blue-badge[:material/check: supported]" in text
    assert "why H3 [is] so" in text and "H1, H3 and H4 compare with a plain teacher" in text
    table = app.dataframe[0].value
    assert table["Hypothesis"].to_list() == ["coupling", "H1", "H2", "H3", "H4"]
    assert table["Estimate"].notna().to_list() == [False, False, True, False, False]


def read_text(app):
    """The rollout as a person reads it: without the letters of the marks."""
    (marked,) = re.findall(r"<div class='cx-text'>(?:(?!<div).)*data-says.*</div>", html(app), re.S)
    without = re.sub(r"<span class='cx-l [^>]*>[^<]*</span>", "", marked)
    return unescape(re.sub(r"<[^>]*>", "", without))


def test_violations_are_marked_in_the_text(stepped, page):
    app = page("stability", view="Rollouts", model="good")
    assert not app.exception
    assert read_text(app) == TEXT
    body = html(app)
    assert "<script>" not in body and "&lt;script&gt;" in body
    spans = re.findall(r"class='cx-s([^']*)' tabindex='0' data-says=\"([^\"]*)\"", body)
    assert [kinds for kinds, _ in spans] == [" cx-v", " cx-o", " cx-v cx-o"]
    assert spans[0][1] == (
        "Step 1 · burden 0.750, limit 0.500 · load 0.750\ndistance 1.00, radius 2.00"
    )
    assert "3 steps between 4 sentences: 2 above the teacher's limit (V), 2 outside" in said(app)
    table = unfolded(app, "Its steps as a table")
    assert table["Arrives at"][0] == HOSTILE and table["Burden"].to_list() == [0.75, 0.25, 1.5]


def test_a_rollout_without_steps_is_shown_with_its_reason(stepped, page):
    app = page("stability", view="Rollouts", model="mute")
    assert not app.exception
    assert "Its steps were not read: of 1 sentences, 3 are needed." in said(app)
    assert "&lt;script&gt;" in html(app)


def test_the_address_reopens_exactly_this_rollout(stepped, page):
    app = page("stability", view="Rollouts", model="good")
    next(button for button in app.button if button.label == "Next →").click().run()
    assert app.query_params == {
        "view": "Rollouts", "teacher": "t", "problems": "7e57", "model": "good",
        "problem_id": "p1 long perturbed", "sample": "1",
    }  # fmt: skip
    again = page("stability", **app.query_params)
    assert again.selectbox(key="rollout").value == "p1 long perturbed/1"
    assert read_text(again) == TEXT and not again.info


def test_rollouts_are_filtered(stepped, page):
    shown = page(
        "stability", view="Rollouts", kind=["short"], answer=["wrong"], mark=["violations"]
    )
    assert shown.selectbox(key="rollout").options == ["p1 short clean, sample 1 · wrong · 2V 2O"]
    none = page("stability", view="Rollouts", model="mute", mark=["violations"])
    assert "None of 4 rollouts is like this" in said(none) and not none.exception


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"teacher": "<b>x</b>"}, "teacher <b>x</b>"),
        ({"model": "nobody"}, "model nobody"),
        ({"problem_id": "'; drop", "sample": "9"}, "problem_id '; drop, sample 9"),
    ],
)
def test_an_address_that_names_nothing_is_one_line(stepped, page, given, named):
    app = page("stability", view="Rollouts", **given)
    assert not app.exception and not app.error
    assert f"The link names what this lake does not hold: {named}" in said(app)


def test_the_slack_is_distance_over_radius(stepped):
    steps = read.mart("stability_step", model_id="good", problem_id="p1 short clean", sample=0)
    assert steps.sort("t")["slack"].to_list() == [0.5, 1.5, 4 / 1.5]
