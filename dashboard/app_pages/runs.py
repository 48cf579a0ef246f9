"""What is being measured now? From the marts run and run_unit."""

import shlex
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import polars as pl
import streamlit as st

from dashboard import charts, controls, headings, live, retrying, tables
from dashboard.data import mart
from dashboard.words import ago, count, duration, escaped, instant, number, progress_of_runs

SILENT_AFTER = timedelta(minutes=10)  # as in the mart run
STOPPED_SHOWN = 10  # newest first
STATES: dict[str, tuple[Literal["blue", "red", "orange", "gray", "green"], str]] = {
    "running": ("blue", ":material/play_arrow:"),
    "failed": ("red", ":material/error:"),
    "interrupted": ("orange", ":material/pause:"),
    "silent": ("gray", ":material/hourglass_disabled:"),
    "complete": ("green", ":material/check:"),
}


def main() -> None:
    """Draw the page: what runs, what stopped, what is complete."""
    st.title("What is being measured now?")
    drawn = live.stamp("run")
    runs = mart("run").sort("started_at", descending=True, nulls_last=True)
    live.refresh_when_new("run", drawn, _silent_at(runs.filter(pl.col("state") == "running")))
    if runs.is_empty():
        live.invite(
            "Nothing has been measured yet. Here each measurement would show its progress, "
            "its cost, or why it stopped.",
            [
                controls.DEMO,
                (
                    "A model of your own, a folder or a name on the hub:",
                    "cicatrix measure MODEL --base BASE",
                ),
            ],
        )
        return
    st.markdown(progress_of_runs(runs))
    chosen = controls.chosen_of("State", list(STATES), "state") or list(STATES)
    shown = runs.filter(pl.col("state").is_in(chosen))
    if shown.is_empty():
        st.caption(f"No measurement is {' or '.join(chosen)}.")
    units = mart("run_unit").sort("n_units_done")
    for run in shown.filter(pl.col("state") == "running").iter_rows(named=True):
        running(run, units.filter(pl.col("measurement_id") == run["measurement_id"]))
    ended = shown.filter(pl.col("state").is_in(["failed", "silent", "interrupted"]))
    for run in ended.head(STOPPED_SHOWN).iter_rows(named=True):
        stopped(run)
    if ended.height > STOPPED_SHOWN:
        st.caption(f"and {ended.height - STOPPED_SHOWN} older, all in runs.csv")
    complete = shown.filter(pl.col("state") == "complete")
    if not complete.is_empty():
        st.subheader("Complete")
        newest_first = complete.sort("last_unit_at", descending=True, nulls_last=True)
        tables.show(newest_first, headings.RUNS)
    with st.container(horizontal=True):
        tables.download(shown, "runs")
        live.copy_link()


def running(run: dict[str, Any], units: pl.DataFrame) -> None:
    """A measurement under way: how far, how fast, how long yet."""
    with st.container(border=True):
        _heading(run)
        text, spark = st.columns([3, 1], vertical_alignment="center")
        facts = [f"{run['n_units_done']} of {count(run['n_units'], 'unit')}"]
        if run["units_per_min"] is not None:
            facts.append(f"{number(run['units_per_min'])} units per minute")
            facts.append(_left(run))
        text.progress(run["n_units_done"] / run["n_units"], text=" · ".join(facts))
        if not units.is_empty():
            with spark:
                st.altair_chart(charts.course(units, run["n_units"]))  # too small to take away
        text.caption(
            f"since {instant(run['started_at'])} ({ago(run['started_at'])}) · "
            f"{count(run['n_rows'], 'record')} so far"
            + (f" · attempt {run['attempt_number']}" if (run["attempt_number"] or 1) > 1 else "")
        )


def stopped(run: dict[str, Any]) -> None:
    """A measurement that ended early: why, what it had done, and how to go on."""
    with st.container(border=True):
        _heading(run)
        if run["state"] == "silent":
            st.markdown(
                f"No sign of life since {instant(_last_sign(run))}; it was probably killed."
            )
        else:
            st.markdown(escaped(run["reason"] or "No reason was recorded."))
        kept = (
            f"{run['n_units_done']} of {count(run['n_units'], 'unit')} kept · "
            if run["n_units"]
            else ""
        )
        st.caption(
            f"{kept}attempt {run['attempt_number']} · "
            f"{instant(run['ended_at'] or run['started_at'])}"
        )
        if run["model_ref"]:
            _run_again(run)


def _run_again(run: dict[str, Any]) -> None:
    """A button where a server is up that can measure it; the command in any case."""
    api = retrying.api_url() if retrying.can_retry(run["method"]) else None
    if api is not None and st.button(
        "Run again", key=f"again-{run['attempt_id']}", icon=":material/replay:",
        help=f"Asks the Prefect server at {api}; a folder must be where that server sees it",
    ):  # fmt: skip
        try:
            name = retrying.ask(api, run["model_ref"])
            st.success(f"Asked for, as the flow run {escaped(name)}. It shows here once it begins.")
        except retrying.RetryError as error:
            st.error(escaped(str(error)))
    st.caption(
        "Or by hand: what was committed is not measured twice."
        if api is not None
        else "Run again; what was committed is not measured twice. While `cicatrix up` runs, a "
        "button here asks its server."
    )
    st.code(f"cicatrix measure {shlex.quote(run['model_ref'])}", language="bash", wrap_lines=True)


def _heading(run: dict[str, Any]) -> None:
    tone, icon = STATES[run["state"]]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(run["state"], icon=icon, color=tone)
        what = " · ".join(str(run[k]) for k in ("method", "mode", "device", "host") if run[k])
        st.markdown(f"**{escaped(run['label'])}** · {escaped(what)}")


def _left(run: dict[str, Any]) -> str:
    """Time left, unless the unit under way already takes far longer than those before it."""
    waited_s = (datetime.now(UTC) - run["last_unit_at"]).total_seconds()
    if waited_s > max(3 * 60 / run["units_per_min"], 30):
        return f"slower now: last unit {ago(run['last_unit_at'])}"
    return f"about {duration(run['time_left_s'])} left"


def _last_sign(run: dict[str, Any]) -> datetime | None:
    return max((at for at in (run["started_at"], run["last_unit_at"]) if at), default=None)


def _silent_at(under_way: pl.DataFrame) -> datetime | None:
    """When the first of these will be called silent, should nothing more come of it."""
    signs = [sign for run in under_way.iter_rows(named=True) if (sign := _last_sign(run))]
    return min(signs) + SILENT_AFTER if signs else None


main()
