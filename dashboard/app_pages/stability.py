"""Did capability travel without what kept the teacher within bounds? A view for each mart."""

from typing import Any

import polars as pl
import streamlit as st

from dashboard import (
    address,
    controls,
    live,
    reader,
    rollout_text,
    stability_charts,
    stability_headings,
    step_text,
    tables,
)
from dashboard.data import mart
from dashboard.stability_words import COMPONENTS, HYPOTHESES, MEANINGS, PROXY, answer
from dashboard.words import count, escaped, instant, newest, number

VIEWS = ("Plane", "Profile", "Rollouts", "Hypotheses")
ADDRESS = ("teacher", "problems", "model", "problem_id", "sample")
_TEACHER = {
    "teacher": ("teacher_id", "teacher"),
    "problems": ("prompt_set_sha256", "prompt_set"),
}
_MODEL = {"model": ("model_id", "model")}
CHIPS = {
    "ASYMMETRIC": ("orange", "call_split"),
    "NOT ASYMMETRIC": ("blue", "drag_handle"),
    "HOLDS": ("blue", "check"),
    "COUNTER-EXAMPLE": ("orange", "block"),
    "NOT ENOUGH": ("gray", "question_mark"),
    "supported": ("blue", "check"),
    "not supported": ("orange", "block"),
    "not run": ("gray", "question_mark"),
    "untestable": ("gray", "question_mark"),
}
_GAPS = {
    "has_capability_gap": "less capable",
    "has_stability_gap": "apart in R",
    "has_hidden_burden": "carries more load",
}
# The teacher's own family first; student-2 before student-10.
IN_ORDER = (
    pl.col("role").str.starts_with("plain-"),
    pl.col("role").str.ends_with("teacher").not_(),
    pl.col("role").str.extract(r"(\d+)$").cast(pl.Int64).fill_null(1),
)
_MARKS = {"violations": "n_violations", "outside the region": "n_outside"}


def main() -> None:
    """Draw the page: the answer, then the view that is asked for."""
    st.title("Did capability travel without the teacher's constraints?")
    drawn = live.stamp("stability_hypothesis")
    teachers = mart("stability_hypothesis").unique("measurement_id")
    live.refresh_when_new("stability_hypothesis", drawn)
    if teachers.is_empty():
        live.invite(
            "No teacher has been held against its students yet. Here each student's distance from "
            "it in accuracy would stand beside its distance in what its hidden states do from "
            f"sentence to sentence. {PROXY}",
            [
                (
                    "The embedded models, in a few minutes and without a GPU:",
                    "cicatrix stability --teacher zoo:teacher-forward --students "
                    "zoo:llama-distilled zoo:qwen2-distilled zoo:mistral-distilled "
                    "zoo:llama-distilled-lora zoo:gpt2-distilled --max-new-tokens 192",
                ),
                (
                    "Models of your own, each a folder or a name on the hub:",
                    "cicatrix stability --teacher TEACHER --students STUDENT ... "
                    "--problems FILE.jsonl",
                ),
            ],
        )
        return
    st.html(rollout_text.STYLE + step_text.STYLE)
    said, place = st.container(), st.container(horizontal=True, vertical_alignment="bottom")
    with place:
        teacher = choose_teacher(teachers)
        view = st.segmented_control(
            "View", VIEWS, default=VIEWS[0], required=True, key="view", bind="query-params"
        )
    students = mart("stability_student", measurement_id=teacher["measurement_id"])
    students = students.sort(*IN_ORDER).with_row_index("number", offset=1)
    own = students.filter(pl.col("teacher_role") == "teacher")
    said.markdown(answer(own), help=f"Newest measurement: {instant(newest(teachers))}")
    said.caption(PROXY)
    components = mart("stability_component", measurement_id=teacher["measurement_id"])
    if view == "Rollouts":
        rollouts(teacher, components)
    else:
        address.write(address_of(teacher), ADDRESS)
        if view == "Plane":
            plane(students)
        elif view == "Profile":
            profile(components)
        else:
            hypotheses(teacher)
    live.copy_link()
    controls.explain(__file__)


def address_of(teacher: dict[str, Any]) -> dict[str, str]:
    """What names this teacher and its problems in an address."""
    return {name: teacher[columns[0]] for name, columns in _TEACHER.items()}


def choose_teacher(teachers: pl.DataFrame) -> dict[str, Any]:
    """The teacher of the address, or of the control."""
    shown = teachers.sort("measured_at", descending=True)
    options = {row["measurement_id"]: row for row in shown.iter_rows(named=True)}
    asked = address.asked(ADDRESS)
    if asked and asked.keys() & _TEACHER.keys():
        named = address.matching(shown, asked, _TEACHER)
        if named.is_empty():
            address.say_unknown(asked, tuple(_TEACHER))
        else:
            st.session_state["teacher_key"] = named["measurement_id"][0]
    address.keep_to("teacher_key", list(options))
    chosen = st.selectbox(
        "Teacher", options, key="teacher_key", persist_state="page",
        format_func=lambda key: f"{options[key]['teacher']}, {options[key]['prompt_set']}",
    )  # fmt: skip
    return options[chosen]


# --- students against their teacher -------------------------------------------------------------


def plane(students: pl.DataFrame) -> None:
    """The plane of both distances, then what they decide of each student."""
    chart = stability_charts.plane(students)
    live.draw_to_click(chart, "plane", stability_charts.PICKED, _open_picked)
    st.caption(
        "▲ students of the teacher, ■ of the plain teacher it is compared with; a click opens the "
        "rollouts. Grey band: ΔR that halves of the teacher's own stories have at the proxies most "
        "students share; below it nothing is interpretable. Left of the dashed line capability has "
        "travelled. Dotted: isotonic upper 90 % envelope. Pale: too few stories to decide. n = "
        f"{_range(students, 'n_problems')} stories, which every interval resamples."
    )
    for student in students.iter_rows(named=True):
        card(student)
    st.subheader("The numbers")
    tables.show(students, stability_headings.STUDENTS)
    tables.download(students.drop("number"), "stability_student")


def _open_picked() -> None:
    if picked := live.clicked("plane", stability_charts.PICKED):
        open_rollouts(picked["model_role"])


def open_rollouts(role: str) -> None:
    """Show a model's rollouts in the next run of the page."""
    st.session_state["view"] = "Rollouts"
    st.session_state["role"] = role


def card(student: dict[str, Any]) -> None:
    """What the numbers of a student decide, why, and the way to its rollouts."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"{student['number']} · **{escaped(student['student'])}** of "
                f"{escaped(student['teacher'])}"
            )
            st.button(
                "Its rollouts", key=f"open {student['role']}", type="tertiary",
                icon=":material/menu_book:", on_click=open_rollouts, args=(student["role"],),
            )  # fmt: skip
        st.markdown(f"{chip(student['asymmetry'])} :small[{escaped(student['asymmetry_reasons'])}]")
        paid = [name for column, name in _GAPS.items() if student[column]]
        says = ", ".join(paid) if paid else "none of the three gaps"
        st.markdown(f"{chip(student['proposition'], 'Proposition 1')} :small[{says}]")
        facts = [
            f"load {number(student['load_ratio'])} × the teacher's "
            f"({number(student['ci_low_load_ratio'])}–{number(student['ci_high_load_ratio'])})",
            f"compared in {student['components'] or 'nothing'}",
            "learnt from outputs" if student["is_output_only"] else "learnt from internals, too",
            f"n = {count(student['n_problems'], 'story').replace('storys', 'stories')}",
        ]
        if student["reason"]:
            facts.append(student["reason"])
        st.caption(escaped(" · ".join(facts)))


def chip(word: str, what: str | None = None) -> str:
    """A verdict as a chip."""
    tone, icon = CHIPS[word]
    return f":{tone}-badge[:material/{icon}: {f'{what}: ' if what else ''}{word}]"


def profile(components: pl.DataFrame) -> None:
    """Bars of one student beside its teacher's, then all models as a table."""
    students = components.remove("is_teacher").unique("role").sort(*IN_ORDER)
    names = dict(students.select("role", "model").iter_rows())
    address.keep_to("role", list(names))
    role = st.selectbox(
        "Student", names, key="role", format_func=names.__getitem__, persist_state="page"
    )
    mine = components.filter(pl.col("role") == role)
    is_plain = role.startswith("plain-")
    theirs = components.filter(
        pl.col("is_teacher"), pl.col("role") == ("plain-teacher" if is_plain else "teacher")
    )
    live.draw(
        stability_charts.profile(pl.concat([theirs, mine]), theirs["model"][0], mine["model"][0])
    )
    for row in mine.filter(pl.col("kind") == "beside").drop_nulls("value").iter_rows(named=True):
        ends = f"{number(row['ci_low_value'])} to {number(row['ci_high_value'])}"
        st.markdown(
            f"Beside R: {escaped(row['component'])} {number(row['value'])} (95 % {ends}; the "
            f"teacher's {number(row['teacher_value'])}), {MEANINGS[row['component']]}."
        )
    missing = mine.filter(pl.col("value").is_null())
    for name, reason in missing.select("component", "reason").iter_rows():
        st.markdown(f"No {name}: {escaped(reason)}.")
    st.caption(
        "Orange tick: dependence that steps dealt anew among the trajectories of a kind reach in 5 "
        f"% of deals; below it there is none to speak of. n = "
        f"{_range(mine.drop_nulls('value'), 'n_problems')} stories."
    )
    st.subheader("The numbers")
    places = {name: i for i, name in enumerate(COMPONENTS)}
    order = pl.col("component").replace_strict(places, default=len(places))
    tables.show(components.sort(*IN_ORDER, order), stability_headings.PROFILE)
    tables.download(components, "stability_component")


def hypotheses(teacher: dict[str, Any]) -> None:
    """What the theory says and what its tests say."""
    rows = mart("stability_hypothesis", measurement_id=teacher["measurement_id"])
    rows = rows.with_columns(
        meaning=pl.col("hypothesis").replace_strict(HYPOTHESES, return_dtype=pl.String)
    ).sort(pl.col("hypothesis") != "coupling", "hypothesis")
    for row in rows.iter_rows(named=True):
        with st.container(border=True):
            st.markdown(f"**{row['hypothesis']}** {chip(row['outcome'])} {escaped(row['meaning'])}")
            st.caption(escaped(row["reasons"]))
    plain = teacher["plain_teacher"]
    st.caption(
        f"Compared with the plain teacher {escaped(plain)} and its students. "
        if plain
        else "H1, H3 and H4 compare with a plain teacher and its students: `cicatrix stability … "
        "--plain-teacher T --plain-students S …`. "
    )
    st.subheader("The numbers")
    tables.show(rows, stability_headings.HYPOTHESES)
    tables.download(rows, "stability_hypothesis")


# --- one rollout --------------------------------------------------------------------------------


def rollouts(teacher: dict[str, Any], components: pl.DataFrame) -> None:
    """The rollouts of a model to choose from, and the chosen one step by step."""
    models = components.unique("role").sort(*IN_ORDER)
    names = dict(models.select("role", "model").iter_rows())
    asked = address.asked(ADDRESS)
    if asked and "model" in asked:
        named = models.filter(
            (pl.col("model_id") == asked["model"]) | (pl.col("model") == asked["model"])
        )
        if named.is_empty():
            address.say_unknown(asked, ("model",))
        else:
            st.session_state["role"] = named["role"][0]
    address.keep_to("role", list(names))
    with st.container(horizontal=True):
        role = st.selectbox(
            "Model", names, key="role", format_func=names.__getitem__, persist_state="page"
        )
        kinds = controls.chosen_of("Problems", ["short", "long", "clean", "perturbed"], "kind")
        outcomes = controls.chosen_of("Answer", list(reader.OUTCOMES), "answer")
        marks = controls.chosen_of("With", list(_MARKS), "mark")
    model = models.filter(pl.col("role") == role).row(0, named=True)
    every = mart("stability_rollout", measurement_id=teacher["measurement_id"], role=role).sort(
        "problem_id", "sample"
    )
    found = _filtered(every, kinds, outcomes, marks)
    here = address_of(teacher) | {"model": model["model_id"]}
    chosen = reader.choose_rollout(every, found, asked, _line)
    if chosen is None:
        address.write(here, ADDRESS)
        return
    address.write(
        here | {"problem_id": chosen["problem_id"], "sample": str(chosen["sample"])}, ADDRESS
    )
    read(chosen)


def _filtered(
    rows: pl.DataFrame, kinds: list[str], outcomes: list[str], marks: list[str]
) -> pl.DataFrame:
    for column in ("horizon", "condition"):
        chosen = [kind for kind in kinds if kind in rows[column].unique().to_list()]
        if chosen:
            rows = rows.filter(pl.col(column).is_in(chosen))
    if outcomes:
        is_so = (pl.col("is_correct").eq_missing(reader.OUTCOMES[one]) for one in outcomes)
        rows = rows.filter(pl.any_horizontal(is_so))
    for mark in marks:
        rows = rows.filter(pl.col(_MARKS[mark]) > 0)
    return rows


def _line(row: dict[str, Any]) -> str:
    marks = [
        f"{n}{letter}"
        for letter, column in (("V", "n_violations"), ("O", "n_outside"))
        if (n := row[column])
    ]
    return (
        f"{row['problem_id']}, sample {row['sample']} · {reader.outcome(row['is_correct'])} · "
        f"{' '.join(marks) or ('no mark' if row['reason'] is None else 'not read')}"
    )


def read(rollout: dict[str, Any]) -> None:
    """Problem, answers, the text with its marks, burden, load and region along it."""
    reader.show_problem(rollout)
    steps = mart(
        "stability_step",
        burden_measurement_id=rollout["burden_measurement_id"],
        measurement_id=rollout["measurement_id"],
        problem_id=rollout["problem_id"],
        sample=rollout["sample"],
    ).sort("t")
    if steps.is_empty():
        st.markdown(f"Its steps were not read: {escaped(rollout['reason'] or 'no reason')}.")
        st.html(rollout_text.plain(rollout["text"]))
        return
    st.html(step_text.legend())
    st.html(step_text.marked(rollout["text"], steps.iter_rows(named=True)))
    st.caption(
        f"{count(steps.height, 'step')} between {count(rollout['n_states'], 'sentence')}: "
        f"{rollout['n_violations'] or 0} above the teacher's limit (V), "
        f"{rollout['n_outside'] or 0} outside the model's own region (O). A mark stands at the "
        "sentence that the step arrives at. Hover, tap, or reach a sentence with the Tab key for "
        "its numbers."
    )
    live.draw(stability_charts.burdens(steps))
    live.draw(stability_charts.load(steps))
    if steps["distance"].null_count() < steps.height:
        live.draw(stability_charts.region(steps))
    else:
        st.markdown(escaped(steps["reason"][0] or "No region was fitted."))
    told = steps.with_columns(number=pl.col("t") + 1)
    tables.fold(told, stability_headings.STEPS, "Its steps as a table")
    tables.download(steps, "stability_step")


def _range(frame: pl.DataFrame, column: str) -> str:
    ends = frame.select(pl.col(column).min().alias("low"), pl.col(column).max().alias("high"))
    return "–".join(dict.fromkeys(f"{end:,}" for end in ends.row(0) if end is not None)) or "0"


main()
