"""What else do you want to know? One typed select, in a sandbox that can read the lake alone."""

from typing import cast

import polars as pl
import streamlit as st

from dashboard import controls, desk, live, quick_chart, tables
from dashboard.examples import EXAMPLES
from dashboard.words import ago, count, escaped, instant
from warehouse import dictionary, read
from warehouse.lake import LakeError
from warehouse.workbench import Answer, stand_by

MOST_SHOWN = 1_000  # rows of the table on the page; files have all
SOON_S = 0.15  # an answer within this is shown at once, without a bar before it
PLACEHOLDER = "select derivative, family, median_non_max_x_eps from structural_scar order by 3 desc"
STYLE = (
    "<style>.st-key-sql textarea {font-family: monospace; font-size: 0.9rem; min-height: 8rem}"
    "</style>"
)
KINDS = {"mart": "a mart", "table": "a table as stored", "staging": "a cleaned table"}
MARKS = ("points", "line", "bars")


def main() -> None:
    """Draw the page: the statement, its answer, what was asked before, and what can be asked."""
    st.title("What else do you want to know?")
    st.html(STYLE)
    limits = desk.LIMITS
    known = dictionary.described()
    newest = read.newest("run")
    st.markdown(
        f"Ask {count(sum(one.kind == 'mart' for one in known), 'mart')} and "
        f"{count(sum(one.kind == 'table' for one in known), 'table')} by one `select`: at most "
        f"{limits.rows:,} rows and {limits.wall_s:g} s. Nothing typed here changes anything. "
        f"The lake last changed {ago(newest)}.",
        help=f"Newest unit, plan or attempt: {instant(newest)}",
    )
    if newest is None:
        live.invite(
            "The lake holds no measurement yet: every mart can be asked, and has no rows.",
            [controls.DEMO],
        )
    at = desk.of_session()
    editor(at)
    if at.question is not None and not at.is_answered(SOON_S):
        under_way()
    elif at.outcome is not None:
        outcome(at)
    elif newest is not None:
        st.caption("No statement yet: choose an example, or write one and press Run.")
    if at.question is None:
        make_ready()
    history(at)
    browse(known)
    controls.explain(__file__, "What a statement may do, and what holds it")


def editor(at: desk.Desk) -> None:
    """The statement, with Run and Explain; one that came with the address is run at once."""
    st.pills("Examples", list(EXAMPLES), key="sql_example", on_change=write_example, wrap=True)
    with st.form("statement", border=False):
        text = st.text_area(
            "Statement (Ctrl+Enter runs it)",
            key="sql",
            bind="query-params",
            height="content",
            placeholder=PLACEHOLDER,
        )
        with st.container(horizontal=True):
            is_run = st.form_submit_button("Run", type="primary", icon=":material/play_arrow:")
            is_plan = st.form_submit_button(
                "Explain",
                icon=":material/account_tree:",
                help="How DuckDB would answer it; nothing is run",
            )
    if not text.strip():
        if is_run or is_plan:
            st.warning("There is no statement: write one, or choose an example.")
        return
    if is_run or is_plan or text != at.sql:
        at.ask(text, is_plan=is_plan)


def write_example() -> None:
    """Put the chosen example into the editor, from where it runs."""
    chosen = st.session_state["sql_example"]
    if chosen:
        write(EXAMPLES[chosen])
    st.session_state["sql_example"] = None


def write(sql: str) -> None:
    """Put a statement into the editor, from where it runs, again if it is there already."""
    st.session_state["sql"] = sql
    desk.of_session().sql = ""


@st.fragment(run_every="0.25s")
def under_way() -> None:
    """How long it runs already, with a way to stop it, until it is done."""
    at = desk.of_session()
    question = at.question
    if question is None or question.is_done:
        st.rerun()
    limit = desk.LIMITS.wall_s
    elapsed = min(question.elapsed_s, limit)
    st.progress(elapsed / limit, text=f"Running: {elapsed:.0f} s of at most {limit:g} s")
    st.button("Cancel", icon=":material/stop:", on_click=question.cancel)


def make_ready() -> None:
    """Have a process ready for the next statement; what is wrong with the lake is said by it."""
    try:
        stand_by(limits=desk.LIMITS)
    except LakeError:
        return


def outcome(at: desk.Desk) -> None:
    """The answer as table or chart, the plan, or why there is none."""
    found = at.outcome
    if isinstance(found, LakeError):
        st.warning(f"Not answered: {escaped(desk.said(found))}", icon=":material/block:")
        st.caption("Nothing was changed. Correct the statement and run it again.")
        live.copy_link()
        return
    if found is None:
        return
    if at.is_plan:
        st.markdown(f"**The plan**, made in {found.duration_s:.2f} s; nothing was run.")
        st.code("\n".join(found.frame["plan"]), language=None, height=420)
        live.copy_link()
    else:
        rows(at, found)
    for fence in found.missing:
        st.caption(f"Note: {fence}.")


def rows(at: desk.Desk, found: Answer) -> None:
    """The rows, in words, then as a table or a chart, then to take away."""
    frame = found.frame
    n = count(frame.height, "row")
    if found.is_cut:
        first = (
            f"**The first {n}**; there are more, and no more are given here. Ask for less by "
            "`where`, `group by` or `limit`."
        )
    else:
        first = f"**{n}**" if frame.height else "**No rows.** The statement ran and found none"
        first += ", all there are." if frame.height else "."
    st.markdown(
        f"{first} Answered in {found.duration_s:.2f} s, {ago(at.asked_at)}.",
        help=f"Asked {instant(at.asked_at)}; the lake as it was then",
    )
    if frame.is_empty():
        names = ", ".join(frame.columns)
        st.caption(f"Its columns: {escaped(names)}.")
        live.copy_link()
        return
    can_draw = bool(quick_chart.numeric_columns(frame)) and frame.height > 1
    view = "Table"
    if can_draw:
        view = st.segmented_control(
            "Show", ["Table", "Chart"], default="Table", required=True, key="view",
            bind="query-params", label_visibility="collapsed",
        )  # fmt: skip
    if view == "Chart":
        chart(frame)
    else:
        st.dataframe(frame.head(MOST_SHOWN), hide_index=True, placeholder=tables.MISSING)
        if frame.height > MOST_SHOWN:
            st.caption(f"The table shows the first {MOST_SHOWN:,}; the files have all {n}.")
    with st.container(horizontal=True):
        tables.download(frame, "answer")
        live.copy_link()


def chart(frame: pl.DataFrame) -> None:
    """A column against another, the choice in the address."""
    numbers, plain = quick_chart.numeric_columns(frame), quick_chart.plain_columns(frame)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        y = st.selectbox("Number", numbers, key="y", bind="query-params", width=220)
        across = [name for name in plain if name != y] or plain
        x = st.selectbox("Over", across, key="x", bind="query-params", width=220)
        mark = st.segmented_control(
            "As", MARKS, default=MARKS[0], required=True, key="mark", bind="query-params"
        )
        is_log = st.toggle("log", key="log", bind="query-params")
    live.draw(quick_chart.chart(frame, x, y, cast(quick_chart.Mark, mark), is_log=is_log))
    drawn = quick_chart.drawn(frame).height
    if drawn < frame.height:
        st.caption(f"{drawn:,} of {frame.height:,} rows are drawn, evenly chosen in their order.")
    elif is_log:
        st.caption("Rows at 0 or below have no place on a log axis and are left out.")


def history(at: desk.Desk) -> None:
    """What was asked in this session, newest first, each to be asked again."""
    if not at.history:
        return
    with st.expander(f"Asked in this session ({len(at.history)})"):
        for place, past in enumerate(at.history):
            st.code(past.sql, language="sql", wrap_lines=True)
            with st.container(horizontal=True, vertical_alignment="center"):
                st.button(
                    "Ask again",
                    key=f"again-{place}",
                    on_click=write,
                    args=(past.sql,),
                    type="tertiary",
                    icon=":material/replay:",
                )
                st.caption(f"{escaped(past.became)} · {ago(past.asked_at)}")


def browse(known: tuple[dictionary.Described, ...]) -> None:
    """Every relation with its grain and its columns, or the columns that a word is found in."""
    st.subheader("What can be asked")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by_name = {one.name: one for one in known}
        name = st.selectbox(
            "Mart or table",
            list(by_name),
            index=list(by_name).index("structural_scar"),
            key="relation",
            bind="query-params",
            width=380,
        )
        word = st.text_input(
            "or find a column by a word", key="find", bind="query-params", placeholder="floor",
            width=260,
        )  # fmt: skip
    if word:
        show_columns(found_columns(known, word), f"No column's name or meaning has '{word}' in it.")
        return
    one = by_name[name]
    st.markdown(f"**{one.name}**, {KINDS[one.kind]}. {escaped(one.grain)}")
    schema = ["column", "type", "meaning"]
    show_columns(pl.DataFrame(one.columns, schema=schema, orient="row"), "")
    st.button(
        "Show 100 rows of it",
        on_click=write,
        args=(f"select *\nfrom {one.name}\nlimit 100",),
        icon=":material/table_rows:",
    )


def found_columns(known: tuple[dictionary.Described, ...], word: str) -> pl.DataFrame:
    """Columns whose name or meaning contains a word, marts first."""
    return pl.DataFrame(
        [
            {"of": one.name, "column": name, "type": kind, "meaning": meaning}
            for one in known
            for name, kind, meaning in one.columns
            if word.casefold() in f"{name} {meaning}".casefold()
        ]
    )


def show_columns(frame: pl.DataFrame, if_none: str) -> None:
    """Columns with their meanings, or a sentence when there are none."""
    if frame.is_empty():
        st.caption(escaped(if_none))
        return
    st.dataframe(
        frame,
        hide_index=True,
        column_order=["of", "column", "meaning", "type"],
        height=min(35 * (frame.height + 1) + 3, 420),
        column_config={
            "of": st.column_config.Column("Of", width=170),
            "column": st.column_config.Column("Column", width=190),
            "meaning": st.column_config.Column("Meaning", width=590),
            "type": st.column_config.Column("Type", width=110),
        },
    )


main()
