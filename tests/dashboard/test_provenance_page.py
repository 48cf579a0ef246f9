"""The Provenance page: its four views, the reader's address, and text that would be markup."""

import re
from html import unescape

import polars as pl
import pytest

from dashboard import reader
from tests.dashboard.conftest import unfolded
from tests.dashboard.traces import HOSTILE, add_traces
from warehouse import read
from warehouse.lake import Lake

pytestmark = pytest.mark.slow  # models run, or pages are drawn: minutes in all


def said(app) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.code, app.info)
    text = "\n".join(str(element.value) for kind in kinds for element in kind)
    return text.replace("\u00a0", " ").replace("\\", "")


def html(app) -> str:
    """What is drawn as HTML, without the styles."""
    bodies = (block.proto.body for block in app.get("html"))
    return "\n".join(body for body in bodies if not body.startswith("<style"))


def read_text(app) -> str:
    """The rollout as a person reads it: the marked sentences without their letters."""
    marked = re.findall(r"<div class='cx-text'>(?:(?!<div).)*data-says.*</div>", html(app), re.S)
    assert len(marked) == 1
    without = re.sub(r"<span class='cx-l [^>]*>[^<]*</span>", "", marked[0])
    return unescape(re.sub(r"<[^>]*>", "", without))


def test_a_lake_without_traces_shows_the_commands_that_trace(home, page):
    app = page("provenance")
    assert not app.exception and not app.dataframe
    assert "cicatrix trace --teacher zoo:teacher-forward --student zoo:llama-base" in said(app)


def test_the_answer_puts_the_share_beside_its_null_and_the_wrong_teacher(traced, page):
    app = page("provenance")
    assert not app.exception
    answer = app.markdown[0].value.replace("\u00a0", " ")
    assert answer.startswith("**llama-distilled**: 75.0 % of its sentences are likelier under")
    assert "Of that base's own sentences 25.0 % are; with gpt2-base as a wrong teacher 12.5 %" in (
        answer
    )
    assert "at other thresholds its labels change much" in answer
    assert "2 pairs: 1 TRANSFERS, 1 NOT ENOUGH" in answer


def test_the_breakdown_has_a_row_a_pair_and_label_with_null_and_wrong_teacher(traced, page):
    app = page("provenance")
    table = app.dataframe[0].value
    mine = table[(table["Distilled"] == "llama-distilled") & (table["Label"] == "Teacher")]
    columns = ["Share", "95 % from", "to", "Null", "Wrong teacher", "Questions, n"]
    assert mine[columns].to_numpy().tolist() == [[0.75, 0.625, 0.875, 0.25, 0.125, 2]]
    # qwen2 was traced without a control: unknown, not 0.
    assert table[table["Distilled"] == "qwen2-distilled"]["Wrong teacher"].isna().all()
    assert len(table) == 2 * 7
    text = said(app)
    assert "[:material/check: teacher: TRANSFERS]" in text
    assert "[:material/question_mark: teacher: NOT ENOUGH] :small[no wrong teacher was given]" in (
        text
    )
    assert "β 0.150 (found from the sentences) · least κ 0.500 (**unstable**" in text
    assert "κ by the other count of tokens 1.00" in text
    assert "left out: 1 empty rollout, 2 repeated sentences" in text
    # 4 + 2 + 700 sentences with a label; marks of reasoning have none.
    assert "706 sentences of 3 rollouts (1 right, 1 wrong, 1 unchecked)" in text


def test_every_candidate_stands_beside_its_null_with_what_that_decides(traced, page):
    app = page("provenance", view="Teacher")
    assert not app.exception
    answer = app.markdown[0].value.replace("\u00a0", " ")
    assert answer.startswith(
        "**llama-distilled** is attributed to teacher-forward: of what parts both from llama-base, "
        "0.875 is common to them; wrong candidates stay below 0.250. "
        "2 models: 1 ATTRIBUTED, 1 NONE OF THESE; measured"
    )
    table = app.dataframe[0].value
    assert table[["Distilled", "Rank", "Candidate", "In common", "95 % from", "to", "Null"]].fillna(
        "–"
    ).to_numpy().tolist() == [
        ["llama-distilled", 1, "teacher-forward", 0.875, 0.8125, 0.9375, 0.25],
        ["llama-distilled", 2, "gpt2-base", 0.125, 0.0625, 0.1875, 0.25],
        ["qwen2-distilled", 1, "teacher-forward", -1.5, -1.5625, -1.4375, 0.25],
        ["qwen2-distilled", "–", "gpt2-base", "–", "–", "–", 0.25],
    ]
    text = said(app)
    assert "[:material/check: ATTRIBUTED to teacher-forward]" in text
    assert "[:material/block: NONE OF THESE]" in text
    # The reasons name the models, not their roles.
    assert ":small[teacher-forward shares more than gpt2-base]" in text
    assert "n = 40 problems for each" in text and len(app.get("vega_lite_chart")) == 1
    assert app.query_params == {"view": "Teacher"}


def test_families_choose_the_rankings(traced, page):
    app = page("provenance", view="Teacher", family=["qwen2"])
    assert set(app.dataframe[0].value["Distilled"]) == {"qwen2-distilled"}
    assert app.markdown[0].value.startswith("Of none can it be said that one of the candidates")


def test_without_a_ranking_the_command_that_makes_one_is_shown(home, page):
    with Lake.open() as lake:
        add_traces(lake)
    app = page("provenance", view="Teacher")
    assert not app.exception and not app.dataframe
    assert app.markdown[0].value.startswith("Of none is it known who taught it")
    assert "cicatrix trace --teacher T T2" in said(app)


def test_positions_are_drawn_where_there_are_enough_and_else_it_says_so(traced, page):
    app = page("provenance", view="Position", distilled="qwen2-distilled")
    assert not app.exception
    assert "n = 50 to 50 sentences" in said(app)
    table = app.dataframe[0].value
    teacher = table[table["Label"] == "Teacher"]
    # 40 of 50 right rollouts, 10 of 50 wrong ones; places are counted from 1.
    assert teacher[["Place", "Answer", "Share"]].to_numpy().tolist() == [
        [1, "right", 0.8], [1, "wrong", 0.2],
    ]  # fmt: skip
    few = page("provenance", view="Position", distilled="llama-distilled")
    assert "No position has 50 sentences" in said(few)
    assert "1 rollouts are right, 1 wrong, 1 unchecked" in said(few) and not few.dataframe


def test_correctness_shows_areas_or_why_there_are_none(traced, page):
    app = page("provenance", view="Correctness", distilled="qwen2-distilled")
    assert "right answers: CORRELATES" in said(app)
    assert "n, raw: 1 position, 10 questions; within: 1 position, 4 questions" in said(app)
    table = app.dataframe[0].value
    first = table.iloc[0]
    assert (first["Label"], first["Kind"]) == ("Teacher", "raw")
    assert [first["Area"], first["95 % from"], first["to"]] == pytest.approx([0.6, 0.35, 0.85])
    few = page("provenance", view="Correctness", distilled="llama-distilled")
    assert "right answers: NOT ENOUGH" in said(few) and not few.exception
    assert "n, raw: 1 position, 10 questions." in said(few)


def test_the_reader_shows_every_character_as_text(traced, page):
    app = page("provenance", view="Reader", distilled="llama-distilled")
    assert not app.exception
    assert "<script>" not in html(app) and "&lt;script&gt;alert(&#x27;1&#x27;)" in html(app)
    assert 'onmouseover="' not in html(app)
    text = read.mart("provenance_rollout", problem_id="q1", sample=0, distilled="llama-distilled")
    assert read_text(app) == text["text"][0]  # its line breaks, too
    assert HOSTILE in read_text(app) and HOSTILE in unescape(html(app))
    assert "Right answer **2** · this rollout's **2**: **right**" in said(app)


def test_a_sentence_says_its_label_and_three_probabilities_without_a_mouse(traced, page):
    app = page("provenance", view="Reader", distilled="llama-distilled")
    # The first of four sentences: its middle lies at 0.5 / 4.
    says = (
        "Sentence 2, 12.5\u00a0% into the rollout · Teacher\n"
        "probability: teacher 0.875 · base 0.250 · distilled 0.750"
    )
    assert f"class='cx-s cx-Teacher' tabindex='0' data-says=\"{says}\"" in html(app)
    # First of those that the distilled model finds likelier than the teacher by more than 0.1.
    assert re.search(r"parts from the teacher ▸</span><span class='cx-s cx-Boosted'", html(app))
    assert html(app).count("parts from the teacher") == 1
    table = unfolded(app, "Its sentences as a table")
    assert table["Teacher"].iloc[1] == 0.875 and table["Text"].iloc[2] == HOSTILE
    assert table["Label"].isna().to_list() == [True, False, False, False, True, False]


def test_the_address_reopens_exactly_this_rollout(traced, page):
    app = page("provenance", view="Reader", distilled="llama-distilled")
    next(button for button in app.button if button.label == "Next →").click().run()
    assert read_text(app) == "Three.\n3"
    assert app.query_params == {
        "view": "Reader", "distilled": "llama-distilled", "student": "llama-base",
        "teacher": "teacher-forward", "problems": "5e7", "problem_id": "q1", "sample": "1",
    }  # fmt: skip
    again = page("provenance", **app.query_params)
    assert read_text(again) == "Three.\n3" and not again.info
    elsewhere = {"distilled": "qwen2-distilled", "student": "qwen2-base", "problem_id": "q3"}
    other = page("provenance", **(app.query_params | elsewhere | {"sample": "9"}))
    assert read_text(other) == "Yes." and "**qwen2-distilled**" in other.markdown[0].value


def test_the_reader_filters_by_label_and_by_outcome(traced, page):
    app = page("provenance", view="Reader", distilled="llama-distilled", label=["Student"])
    assert app.selectbox(key="rollout").label == "Rollout, 1 of 3"
    assert app.selectbox(key="rollout").options == ["q1, sample 1 · wrong · 1T 1S"]
    app = page("provenance", view="Reader", distilled="llama-distilled", answer=["unchecked"])
    assert app.selectbox(key="rollout").options == ["q2, sample 0 · unchecked · 700="]
    app = page(
        "provenance", view="Reader", distilled="llama-distilled", answer=["right"],
        label=["Student"],
    )  # fmt: skip
    assert "None of 3 rollouts is like this" in said(app) and not app.exception


def test_the_base_s_own_rollouts_can_be_read(traced, page):
    app = page("provenance", view="Reader", distilled="llama-distilled", rollouts_of="student")
    assert not app.exception
    assert "It has no sentence that was scored" in said(app) and "Dunno." in html(app)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"distilled": "<script>x</script>"}, "distilled <script>x</script>"),
        ({"problem_id": "q1", "sample": "-7"}, "problem_id q1, sample -7"),
        ({"problem_id": "'; drop table"}, "problem_id '; drop table"),
        ({"teacher": "nobody", "sample": "9" * 40}, "teacher nobody"),
        ({"rollouts_of": "control"}, "rollouts_of control"),
    ],
)
def test_an_address_that_names_nothing_is_one_line(traced, page, given, named):
    app = page("provenance", view="Reader", **given)
    assert not app.exception and not app.error
    assert f"The link names what this lake does not hold: {named}" in said(app)
    assert app.selectbox(key="rollout").options


def test_of_a_long_rollout_a_part_is_drawn_and_it_says_so(traced, page):
    whole = {"distilled": "llama-distilled", "problem_id": "q2", "sample": "0"}
    app = page("provenance", view="Reader", **whole)
    assert html(app).count("data-says") == reader.MOST_SENTENCES == 300
    assert "Sentences 1 to 300 of 700. All are in sentence.csv." in said(app)
    last = page("provenance", view="Reader", part="3", **whole)
    assert html(last).count("data-says") == 100
    assert "Sentences 601 to 700 of 700" in said(last)


def test_families_choose_the_pairs(traced, page):
    app = page("provenance", family=["qwen2"])
    assert app.dataframe[0].value["Distilled"].unique().tolist() == ["qwen2-distilled"]
    assert app.markdown[0].value.startswith("Of none can it be said")
    # A link to a pair of another family opens the first of the chosen one, and is not unknown.
    other = page("provenance", view="Reader", family=["qwen2"], distilled="llama-distilled")
    assert other.selectbox(key="pair").value.startswith("qwen2-distilled") and not other.info


def test_no_row_of_the_breakdown_is_lost(traced):
    # What the page asks of the mart by label exists for every pair and set of rollouts.
    shares = read.mart("provenance_breakdown").remove("is_part_of_boosted")
    sets = shares.group_by("measurement_id", "rollouts_of").agg(pl.col("label").n_unique())
    assert sorted(sets["label"]) == [4] * 5
