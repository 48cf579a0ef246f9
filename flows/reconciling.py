"""The flow that mends what a crash left behind: Prefect and the lake say again what is the case.

A process that is killed says nothing: to Prefect its run goes on for good, in the lake its attempt
and its night never end. Every flow run says which process it is (`processes.sign`); this one looks
which of them are over, and says so where they could not. What was measured, the lake alone says.
"""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from filelock import FileLock
from filelock import Timeout as LockTimeout
from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.states import Crashed

from flows import processes, scanner, slots
from flows.report import say
from warehouse.lake import Lake, home

PENDING_FOR = timedelta(hours=1)  # after this nobody starts a run that somebody took
SILENT_FOR = timedelta(days=1)  # after this a process of another host is taken for dead
PAGE = 200  # the most that Prefect's server gives at once
ALIVE = [StateType.RUNNING, StateType.CANCELLING]


@flow(name="reconcile", persist_result=False, on_running=[processes.sign])
def reconcile() -> list[str]:
    """Say of dead runs, attempts, nights and slots that they are over; a line for each mended."""
    now = datetime.now(UTC)
    with get_client(sync_client=True) as client:
        mended = [*_runs(client, now)]
        with Lake.open() as lake:
            mended += [*_attempts(client, lake, now), *_nights(lake, now)]
    mended += _slots()
    for line in mended:
        say(line)
    if mended:
        text = "# Mended\n\n" + "\n".join(f"- {line}" for line in mended)
        create_markdown_artifact(text, key="reconcile", description=f"{len(mended)} mended")
    return mended


def _runs(client: SyncPrefectClient, now: datetime) -> Iterator[str]:
    """Runs that Prefect holds for running whose process is over."""
    for run in _runs_in(client, ALIVE):
        who = processes.of(run)
        if who is None or run.start_time is None:
            continue
        if processes.is_dead(*who, run.start_time):
            host, pid = who
            yield _crash(client, run, f"its process {pid} on {host} is over")
    for run in _runs_in(client, [StateType.PENDING]):
        since = run.state.timestamp if run.state else None
        if since is not None and now - since > PENDING_FOR:
            yield _crash(client, run, f"nobody started it since {since:%Y-%m-%d %H:%M} UTC")


def _crash(client: SyncPrefectClient, run: FlowRun, reason: str) -> str:
    state = Crashed(message=f"{reason}; said by reconcile")
    tasks = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])),
        task_run_filter=TaskRunFilter(
            state=TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.RUNNING]))
        ),
        sort=TaskRunSort.EXPECTED_START_TIME_DESC,
        limit=PAGE,
    )
    for task in tasks:
        client.set_task_run_state(task.id, state, force=True)
    client.set_flow_run_state(run.id, state, force=True)
    return f"run '{run.name}': Prefect held it for {run.state_name}, now crashed: {reason}"


def _attempts(client: SyncPrefectClient, lake: Lake, now: datetime) -> Iterator[str]:
    """Attempts that the lake holds for running whose process is over, here or by Prefect's word."""
    found = lake.query(
        "select a.*, greatest(a.started_at, u.seen_at) as seen_at from attempt as a left join ("
        "select measurement_id, max(committed_at) as seen_at from unit group by all"
        ") as u on u.measurement_id = a.measurement_id "
        "where a.attempt_id not in (select attempt_id from attempt_end)"
    )
    for row in found.iter_rows(named=True):
        reason = _why_over(client, row, now)
        if reason and lake.end_attempt(row["attempt_id"], "interrupted", reason):
            yield f"attempt {row['attempt_number']} on {row['model_ref']}: {reason}"


def _why_over(client: SyncPrefectClient, row: dict[str, Any], now: datetime) -> str | None:
    host, pid, since = row["host"], row["pid"], row["started_at"]
    if processes.is_dead(host, pid, since):
        return f"its process {pid} on {host} is over"
    if host == socket.gethostname():
        return None
    runs = _runs_in(client, None, processes.tags(host, pid))
    runs = [run for run in runs if run.start_time and run.start_time <= since]
    if runs and all(run.state and run.state.is_final() for run in runs):
        return f"Prefect says of its run: {runs[0].state_name}"
    if now - row["seen_at"] > SILENT_FOR:
        return f"nothing was heard of it since {row['seen_at']:%Y-%m-%d %H:%M} UTC"
    return None


def _nights(lake: Lake, now: datetime) -> Iterator[str]:
    """Nights that never ended, where no scan runs."""
    found = lake.query(
        "select night, host, started_at from hub_scan "
        "where night not in (select night from hub_scan_end)"
    )
    for row in found.iter_rows(named=True):
        is_here = row["host"] == socket.gethostname()
        if is_here and _is_scanning() or not is_here and now - row["started_at"] < SILENT_FOR:
            continue
        reason = f"its process on {row['host']} is over"
        scanner.end_night(lake, row["night"], "interrupted", reason)
        yield f"night {row['night']}: {reason}"


def _is_scanning() -> bool:
    """Whether a scan holds this home's lock, which the system frees with its process."""
    lock = FileLock(home() / "scan.lock")
    try:
        with lock.acquire(timeout=0):
            return False
    except LockTimeout:
        return True


def _slots() -> Iterator[str]:
    """Owners on record who are over; the server takes their slots back by itself."""
    for owner in slots.owners():
        since = datetime.fromisoformat(owner["since"])
        is_over = processes.is_dead(owner["host"], owner["pid"], since)
        if is_over and slots.forget(owner):
            yield (
                f"slot {owner['slot']}: its owner, process {owner['pid']}, is over; free within "
                f"{slots.FREE_AFTER_S} s of its end"
            )


def _runs_in(
    client: SyncPrefectClient, states: list[StateType] | None, tags: list[str] | None = None
) -> list[FlowRun]:
    in_state = FlowRunFilterState(type=FlowRunFilterStateType(any_=states)) if states else None
    tagged = FlowRunFilterTags(all_=tags) if tags else None
    wanted = FlowRunFilter(state=in_state, tags=tagged)
    found: list[FlowRun] = []
    while page := client.read_flow_runs(
        flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=PAGE, offset=len(found)
    ):
        found += page
        if len(page) < PAGE:
            break
    return found
