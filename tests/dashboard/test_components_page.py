"""The page of components: empty, filled, refused, a model alone, and rows that are not there."""

import polars as pl
import pytest

from dashboard import circuit_charts, component_charts
from tests.dashboard.ablations import CANNOT, HOSTILE, N_PROMPTS, add_model, add_models, add_pair
from warehouse import read
from warehouse.lake import Lake

pytestmark = pytest.mark.slow  # models run, or pages are drawn: minutes in all

VIEWS = (
    "Components", "Brittleness", "Alignment", "Circuit", "Patching", "Outputs", "Pictures",
    "Probes", "Noise",
)  # fmt: skip


def said(app) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.code, app.info)
    text = "\n".join(str(element.value) for kind in kinds for element in kind)
    return text.replace("\u00a0", " ").replace("\\", "")


def answer(app) -> str:
    return app.markdown[0].value.replace("\u00a0", " ").replace("\\", "")


def test_a_lake_without_ablations_shows_the_commands_that_ablate(home, page):
    app = page("components")
    assert not app.exception and not app.dataframe
    assert "cicatrix circuits --teacher zoo:teacher-forward --students zoo:depth-student" in (
        said(app)
    )


def test_the_answer_puts_alignment_beside_its_null_with_n(ablated, page):
    app = page("components")
    assert not app.exception
    assert answer(app).startswith("**student-label** beside teacher-label on numerals:")
    # A 0.75 lies above 0.4 to 0.6; drops of 25, 50 and 100 % over six, of 50 and 100 over three.
    assert "**0.750 (0.700 to 0.800)** of 1; that lies beyond what influences shuffled" in (
        answer(app)
    )
    assert "0.500 (0.400 to 0.600), a gain of +0.250 (+0.200 to +0.300)" in answer(app)
    assert "the student 50.0 (40.0 to 60.0) %, the teacher 29.2 (19.2 to 39.2) %" in answer(app)
    assert f"n = {N_PROMPTS} prompts; measured" in answer(app)
    assert "cannot do the task" not in said(app)


def test_every_component_of_both_is_in_the_table(ablated, page):
    table = page("components").dataframe[-1].value
    mine = table[(table["Model"] == "teacher-label") & (table["Component"] == "1.0")]
    columns = ["Rank", "Effect, logits", "95 % from", "to", "Drop, %", "Influence"]
    assert mine[columns].to_numpy().tolist() == [[2, 2.0, 1.75, 2.25, 50.0, 0.5]]
    assert len(table) == 6 + 3


def test_a_chosen_component_shows_its_prompts_sorted_by_effect(ablated, page):
    app = page("components", teacher="teacher", student="student", task="numerals", of="student",
               component="0.0")  # fmt: skip
    assert not app.exception and not app.info
    # Mean 2 logits, the prompts 1.5, 0.5, -0.5 and -1.5 off it.
    assert app.dataframe[0].value["Effect, logits"].tolist() == [3.5, 2.5, 1.5, 0.5]
    assert app.dataframe[0].value["With it"].tolist() == [4.0] * N_PROMPTS
    assert HOSTILE in app.dataframe[0].value["Clean text"][0]
    assert "Without **0.0** student-label loses +2.00 (+1.75 to +2.25) logits" in said(app)
    assert "helps on 4 of 4 prompts. Rank 2 of 3" in said(app)
    assert app.query_params["component"] == "0.0"


def test_the_list_reaches_a_component_without_a_mouse(ablated, page):
    app = page("components")
    box = app.selectbox(key="component")
    assert len(box.options) == 9
    app = box.select("teacher/0.1").run()
    assert "Without **0.1** teacher-label loses −0.500" in said(app)
    # Effects of -2, -1, 0 and 1 logits: it helps where it is above 0.
    assert "it helps on 1 of 4 prompts. Rank 6 of 6" in said(app)
    assert (app.query_params["of"], app.query_params["component"]) == ("teacher", "0.1")
    app = app.selectbox(key="component").select("student/0.mlp").run()  # and once more
    assert "Without **0.mlp** student-label loses +4.00" in said(app)


def test_a_student_that_cannot_do_the_task_has_raw_effects_and_no_alignment(ablated, page):
    app = page("components", task="words")
    assert not app.exception
    assert f"not aligned (student: {CANNOT})" in answer(app)
    assert "of the student that is not known" in answer(app)
    assert ":gray-badge[:material/block: cannot do the task]" in said(app)
    assert f"Not matched: student: {CANNOT}." in said(app)
    table = app.dataframe[-1].value
    student = table[table["Model"] == "student-label"]
    assert student["Influence"].isna().all() and student["Effect, logits"].notna().all()
    assert student["Why only raw effects"].tolist() == [CANNOT] * 3
    # In the colour of influences its cells are grey, and the page says why.
    assert "Grey: student-label cannot do the task" in said(
        page("components", task="words", colour="influence")
    )


def test_brittleness_has_a_verdict_with_reasons_and_its_floor(ablated, page):
    app = page("components", view="Brittleness", task="numerals")
    assert not app.exception
    text = said(app)
    # 40 to 60 lies above 19.2 to 39.2; the difference of 5 to 35 above 0; no control.
    assert ":orange-badge[:material/trending_down: more brittle]" in text
    assert "difference +20.0 (+5.00 to +35.0) points: above 0; no control of its size" in text
    assert "50.0 % fewer parameters" in text and "+4.00 (+1.00 to +7.00) points for each" in text
    assert app.dataframe[0].value["Floor, %"].tolist() == [1.5, 1.5]
    unknown = page("components", view="Brittleness", task="words")
    assert ":gray-badge[:material/question_mark: unknown]" in said(unknown)
    assert f"Difference from its teacher: not known, student: {CANNOT}." in said(unknown)


def test_variants_stand_beside_their_null_the_public_code_apart(ablated, page):
    app = page("components", view="Alignment", task="numerals")
    assert not app.exception
    own, code = app.dataframe[0].value, app.dataframe[1].value
    pairs = list(zip(own["Influences over"], own["Matching"], strict=True))
    norms, matchings = ("max", "l1", "l2"), ("greedy", "hungarian", "soft")
    assert pairs == [(norm, matching) for norm in norms for matching in matchings]
    assert own["Gain"].tolist() == [0.25] * 9 and own["Null"].tolist() == [0.5] * 9
    assert code["Mode"].tolist() == ["paper_code"] and code["95 % from "].isna().all()
    assert "unrelated heads have a similarity of 0.700 in the mean, unrelated MLPs of 0.0625" in (
        said(app)
    )
    assert "By eigenvectors: the student was initialised from the teacher. 2 pairs" in said(app)


def test_the_circuit_shows_its_size_completeness_and_necessity(ablated, page):
    app = page("components", view="Circuit", task="numerals", budget="10%")
    assert not app.exception
    # At 10 % the teacher keeps what helps: 0.0, 1.0 and 1.mlp; at 20 % two of these three.
    assert "2 of 4 heads and 1 of 2 MLPs alone do 92.0 (80.0 to 95.0) % of the task" in said(app)
    assert "all the rest does −4.00 (−6.00 to −2.00) %" in said(app)
    assert "Jaccard with the circuit at 20 %: 0.667" in said(app)
    assert len(app.dataframe[-1].value) == 4


def test_a_model_without_a_student_is_shown_alone(ablated, page):
    app = page("components", teacher="alone")
    assert not app.exception and not app.info
    assert answer(app).startswith("No student beside **alone-label** on numerals yet.")
    assert len(app.dataframe[-1].value) == 3
    for view in VIEWS:
        other = page("components", teacher="alone", view=view)
        assert not other.exception, view
    assert "One model alone has nothing to be aligned with" in said(
        page("components", teacher="alone", view="Alignment")
    )


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"teacher": "<script>x</script>"}, "teacher <script>x</script>"),
        ({"task": "'; drop table"}, "task '; drop table"),
        ({"task": "numerals", "of": "student", "component": "9.9"}, "of student, component 9.9"),
    ],
)
def test_an_address_that_names_nothing_is_one_line(ablated, page, given, named):
    app = page("components", **given)
    assert not app.exception and not app.error
    assert f"The link names what this lake does not hold: {named}." in said(app)
    assert app.selectbox(key="component").options


def test_a_pair_whose_student_has_no_rows_is_shown_with_what_there_is(home, page):
    """One bad row: an alignment names ablations of a student that the lake does not hold."""
    with Lake.open() as lake:
        add_models(lake)
        add_model(lake, "teacher", "numerals")
        add_pair(lake, "numerals", is_aligned=False)
    for view in VIEWS:
        app = page("components", view=view)
        assert not app.exception, view
        assert "on numerals: not aligned" in answer(app)


def test_maps_share_a_scale_that_has_two_sides_where_a_sign_exists(ablated):
    rows = read.mart("component_effect", task="numerals")
    assert component_charts.scale_of(rows, "effect") == (-4.0, 4.0)
    assert component_charts.scale_of(rows, "influence") == (0.0, 1.0)
    mine = rows.filter(model_id="teacher")
    spec = component_charts.heat_map(mine, "effect", (-4.0, 4.0), "T").to_dict()
    cells = spec["layer"][1]
    assert cells["encoding"]["color"]["scale"]["domain"][::3] == [-4.0, 4.0]
    assert cells["encoding"]["x"]["scale"]["domain"] == ["0", "1", "MLP"]
    drawn = spec["datasets"][cells["data"]["name"]]
    assert len(drawn) == 6
    fields = {tip["field"] for tip in cells["encoding"]["tooltip"]}
    assert {"component", "effect_said", "interval", "rank_said", "drop_said"} <= fields


def test_what_is_not_known_is_a_grey_cell(ablated):
    rows = read.mart("component_effect", task="words", model_id="student")
    spec = component_charts.heat_map(rows, "influence", (0.0, 1.0), "S").to_dict()
    grey = spec["datasets"][spec["layer"][0]["data"]["name"]]
    assert len(grey) == 3 and grey[0]["reason"] == CANNOT


def test_links_join_the_matched_components_in_their_thickness_and_colour(ablated):
    effects = {
        model: read.mart("component_effect", task="numerals", model_id=model)
        for model in ("teacher", "student")
    }
    found = read.mart("matched_component", matching="greedy")
    chart = component_charts.links(found, effects["teacher"], effects["student"]).to_dict()
    lines = chart["datasets"][chart["layer"][0]["data"]["name"]]
    ends = {(row["component_teacher"], row["component_student"]): row for row in lines}
    # Influences 2/4 of the teacher's and 2/4 of the student's: no gap.
    assert ends["1.0", "0.0"]["gap"] == 0 and ends["1.0", "0.0"]["thick"] == 0.8
    # 1/4 and 2/4; the first of six lies at 1/12 of the depth, the first of three at 1/6.
    first = ends["0.0", "0.0"]
    assert first["gap"] == 0.25
    assert (first["y_teacher"], first["y_student"]) == pytest.approx((1 / 12, 1 / 6))


def test_no_chart_holds_more_marks_than_it_may(ablated):
    rows = read.mart("component_effect", task="numerals", model_id="teacher")
    assert component_charts.most(rows, "effect", 2)["component"].to_list() == ["1.mlp", "1.0"]


def test_charts_are_valid_vega_lite(ablated):
    models = read.mart("brittleness_model", task="numerals").filter(model_id="teacher")
    circuit_charts.brittleness(models.with_columns(whose=pl.lit("teacher"))).to_dict()
    circuit_charts.differences(read.mart("brittleness_pair", task="numerals")).to_dict()
    rows = read.mart("aligned_pair", task="numerals")
    bands = circuit_charts.variants(rows).to_dict()["layer"][0]
    assert (bands["encoding"]["x"]["field"], bands["encoding"]["x2"]["field"]) == (
        "null_low", "null_high",
    )  # fmt: skip
    nodes = read.mart("circuit_component", model_id="teacher", task="numerals", budget=0.1)
    effects = read.mart("component_effect", model_id="teacher", task="numerals")
    graph = circuit_charts.graph(nodes, effects, "T", pl.DataFrame()).to_dict()
    drawn = graph["datasets"][graph["layer"][1]["data"]["name"]]
    # Two heads, of 30 and 60 points.
    assert sorted(row["size"] for row in drawn) == [30, 60]
    circuit_charts.sweep(read.mart("circuit", model_id="teacher", task="numerals")).to_dict()
    component_charts.mlp_map(read.mart("matched_component")).to_dict()
