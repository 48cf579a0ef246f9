"""The flows of a night: scan the hub, measure the queue, report; each may be scheduled alone."""

from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows import alerts, night, night_plan, night_report, processes, scanner, watchlist
from flows.measuring import SomeFailed, measure_targets
from flows.report import say
from flows.scan import tell_finds
from flows.scanner import Scanner
from flows.targets import Target
from flows.watchlist import Watchlist
from warehouse.lake import Lake

OPTIONS: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}


@task(**OPTIONS)
def find(chosen: Watchlist, number: int) -> list[str]:
    """List the hub and keep what is new; bases that could not be listed whole."""
    with Lake.open() as lake:
        found = Scanner(lake, chosen, number).find(say)
    tell_finds(found)
    return found.troubles


@task(**OPTIONS, task_run_name="{row[repo]}")
def measure_row(row: dict[str, Any], chosen: Watchlist, number: int) -> str:
    """Measure one derivative; the state it came to."""
    return night.measure_one(row, chosen, number, lambda target: _measured(target, chosen))


def _measured(target: Target, chosen: Watchlist) -> dict[str, str]:
    try:
        measure_targets([target], chosen.measure)
    except SomeFailed as error:
        return error.failures
    return {}


@flow(name="scan", persist_result=False, on_running=[processes.sign])
def scan_hub(path: str | None = None) -> int | None:
    """Find what is new; the number of the night, None without a watchlist."""
    if (chosen := _watchlist(path)) is None:
        return None
    with night.one_at_a_time(say), night.opened(chosen) as number:
        troubles = find(chosen, number)
        with Lake.open() as lake:
            reason = "; ".join(troubles) or None
            scanner.end_night(lake, number, "failed" if troubles else "done", reason)
    return number


@flow(name="measure-queue", persist_result=False, on_running=[processes.sign])
def measure_queue(path: str | None = None) -> dict[str, str]:
    """Measure what is queued, within what is left of the newest night; states by repository."""
    states: dict[str, str] = {}
    if (chosen := _watchlist(path)) is None:
        return states
    with night.one_at_a_time(say):
        if (number := night.newest()) is None:
            return states
        plan = night.planned(chosen, number, night_plan.pick_device(chosen))
        plan.show()
        say(plan.line())
        for item in plan.items:
            row = dict(item.row)
            states[row["repo"]] = measure_row(row, chosen, number)
            say(f"{row['repo']}: {states[row['repo']]}")
    return states


@flow(name="report", persist_result=False, on_running=[processes.sign])
def report_night(path: str | None = None) -> str:
    """Send the alerts that are due, and keep the newest night's report as an artifact."""
    chosen = _watchlist(path)
    if chosen is None or (number := night.newest()) is None:
        return ""
    with Lake.open() as lake:
        failures = alerts.send(lake, chosen, number)
    text = night_report.report(number)
    text += "".join(f"\n- {line}" for line in failures)
    create_markdown_artifact(text, key="night", description=f"Night {number}")
    for line in failures:
        say(line)
    return text


@flow(name="night", persist_result=False, on_running=[processes.sign])
def whole_night(path: str | None = None) -> int:
    """Scan, measure, report; how many derivatives failed."""
    scan_hub(path)
    states = measure_queue(path)
    say(report_night(path))
    return sum(state == "failed" for state in states.values())


def _watchlist(path: str | None) -> Watchlist | None:
    """The watchlist of a file; of a schedule, which names none, the one in the home if any."""
    if path is None and not watchlist.default_path().exists():
        say(f"no watchlist at {str(watchlist.default_path())!r}: there is nothing to scan")
        return None
    return watchlist.load(Path(path) if path else watchlist.default_path())
