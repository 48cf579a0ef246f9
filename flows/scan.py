"""What `cicatrix scan` does around the flow: find, plan, tell; run."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from flows import command, night_plan, scanner, watchlist
from flows.report import say
from flows.scanner import Finds, Found, Scanner
from warehouse.lake import Lake


def dry_run(path: Path) -> int:
    """Print what a night would do, from the hub and the ledger; nothing is written."""
    chosen = watchlist.load(path)
    device = night_plan.pick_device(chosen)
    with Lake.open() as lake:
        found = Scanner(lake, chosen, None).find(say)
        rows = [*scanner.ledger(lake).iter_rows(named=True), *(as_row(one) for one in found.new)]
    tell_finds(found)
    plan = night_plan.plan(rows, chosen, device)
    plan.show()
    say(plan.line())
    return 1 if found.troubles else 0


def run(path: Path, again: Sequence[str] = ()) -> int:
    """One night: scan, measure, report; 1 if something failed."""
    chosen = watchlist.load(path)
    device = night_plan.pick_device(chosen)
    if again:
        _queue_again(again)
    failures: list[int] = []

    def whole() -> None:
        from flows.scan_flow import whole_night

        failures.append(whole_night(str(path.resolve())))

    command.run_flow(whole, device, say)
    with Lake.open() as lake:
        (outcome,) = lake.query("select outcome from hub_scan_end order by night desc limit 1").row(
            0
        )
    return 1 if sum(failures) or outcome != "done" else 0


def _queue_again(repos: Sequence[str]) -> None:
    with Lake.open() as lake:
        newest = lake.query("select coalesce(max(night), 1) as n from hub_scan")["n"].item()
        for repo in scanner.queue_again(lake, repos, int(newest)):
            say(f"{repo}: queued again")


def as_row(found: Found) -> dict[str, Any]:
    """A find as the ledger would hold it."""
    state = {"state": found.state, "reason": found.reason}
    return {**found.model, **state, "n_failed": int(found.state == "failed"), "change": 1}


def tell_finds(found: Finds) -> None:
    """What is new, by state; of what cannot be measured, why."""
    states = Counter(one.state for one in found.new)
    counted = ", ".join(f"{n} {state}" for state, n in states.most_common())
    bases = len({one["base"] for one in found.listings})
    say(f"new on the hub, of {bases} bases: {len(found.new)}" + (f" ({counted})" * bool(counted)))
    for one in found.new:
        if one.state != "queued":
            say(f"  {one.model['repo']}: {one.state}" + (f": {one.reason}" if one.reason else ""))


def show_ledger() -> int:
    """Print the ledger: state, repository, reason."""
    with Lake.open() as lake:
        rows = scanner.ledger(lake).sort("state", "repo", "found_at")
    for row in rows.select(
        "state", "repo", "sha", pl.col("reason").fill_null("")
    ).iter_rows():  # a line each, for grep and sort
        say("\t".join(row))
    return 0
