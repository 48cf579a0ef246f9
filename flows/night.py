"""One night's work: measure what is planned, one derivative after another, and keep its state.

A derivative whose state somebody else changed meanwhile is left to them; what is in the lake is
not measured again, so a night that was killed goes on where it stopped.
"""

import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from filelock import Timeout as LockTimeout

from flows import ledger as outcomes
from flows import scanner, verdict
from flows.facts import Pair
from flows.night_plan import Plan, plan
from flows.scanner import Tell
from flows.targets import Target
from flows.watchlist import Watchlist
from measure import hub, sources
from measure.errors import BadInput
from measure.request import code_version
from warehouse.lake import Lake, LakeError, home

MeasureTargets = Callable[[Target], dict[str, str]]  # reasons by reference of what failed


@contextmanager
def one_at_a_time(tell: Tell) -> Generator[None]:
    """No two scans of a home at once; a killed one's lock is freed by the operating system."""
    home().mkdir(parents=True, exist_ok=True)
    lock = FileLock(home() / "scan.lock")
    try:
        held = lock.acquire(timeout=0)
    except LockTimeout:
        tell("another scan is running here: waiting for it to end")
        held = lock.acquire()
    with held:
        yield


@contextmanager
def opened(watchlist: Watchlist) -> Generator[int]:
    """A numbered night, which says how it ended unless it is killed."""
    with Lake.open() as lake:
        night = scanner.open_night(lake, watchlist, socket.gethostname(), code_version())
    try:
        yield night
    except BaseException as error:
        with Lake.open() as lake:
            scanner.end_night(lake, night, *outcomes.outcome_of(error))
        raise


def newest() -> int | None:
    """The number of the newest night; None before the first."""
    with Lake.open() as lake:
        return lake.query("select max(night) as n from hub_scan")["n"].item()


def planned(watchlist: Watchlist, night: int, device: str) -> Plan:
    """What is left to measure of a night, within what is left of its budget."""
    with Lake.open() as lake:
        spent = lake.query(
            "select coalesce(sum(download_bytes), 0)::bigint as n from hub_model "
            "inner join hub_state using (repo, sha) where hub_state.night = ? and change > 1 "
            "and state in ('measured', 'failed')",
            [night],
        )
        return plan(scanner.ledger(lake).to_dicts(), watchlist, device, int(spent["n"].item()))


def measure_one(
    row: Mapping[str, Any], watchlist: Watchlist, night: int, measure: MeasureTargets
) -> str:
    """Measure and judge a row of the ledger; its new state, or "changed" by somebody else."""
    with Lake.open() as lake:
        now = scanner.ledger(lake).filter(repo=row["repo"], sha=row["sha"])
        if now["change"].item() != row["change"]:
            return "changed"
    _make_room(watchlist, row)
    target = target_of(row, watchlist)
    failures = measure(target)
    with Lake.open() as lake:
        reason = failures.get(target.model) or failures.get(target.base or "")
        if reason is None:
            reason = _judge(lake, target, failures)
        state = "measured" if reason is None else "failed"
        kept = scanner.change_state(lake, dict(row), night, state, reason)
    return state if kept else "changed"


def target_of(row: Mapping[str, Any], watchlist: Watchlist) -> Target:
    """What a row is measured as, and what it is compared with."""
    family = watchlist.family_of(row["family"])
    base = f"{row['base']}@{row['base_sha']}"
    return Target(
        model=row["model_ref"],
        base=base,
        reference=family.reference if family else None,
        shared_comparator=family.shared_comparator if family else None,
    )


def _judge(lake: Lake, target: Target, failures: Mapping[str, str]) -> str | None:
    """Judge a measured pair and keep the verdict; why it could not be judged, or None."""
    members = {"derivative": target.model, **target.others()}
    try:
        ids = {
            role: sources.model_id_of(ref) for role, ref in members.items() if ref not in failures
        }
        found = verdict.judge(lake, Pair(target=target, ids=ids))
        lake.add_verdicts(found.rows())
    except (BadInput, ConnectionError, LakeError) as error:
        return outcomes.outcome_of(error)[1]
    return None


def _make_room(watchlist: Watchlist, row: Mapping[str, Any]) -> None:
    """Evict from the home's own cache; one that the user shares with other programs is theirs."""
    if owns_cache():
        limit = int(watchlist.night.cache_gb * 1e9) - row["download_bytes"]
        hub.evict(limit, {row["sha"], row["base_sha"]})


def owns_cache() -> bool:
    """Whether the cache is the home's own."""
    return Path(home()).resolve() in hub.cache_dir().resolve().parents
