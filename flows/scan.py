"""What `cicatrix scan` does around the flow: find, plan, tell; run."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from flows import night_plan, scanner, watchlist
from flows.night_plan import Plan
from flows.scanner import Finds, Found, Scanner
from flows.watchlist import Watchlist
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


def planned(lake: Lake, chosen: Watchlist, device: str) -> Plan:
    """The night's plan from the ledger."""
    return night_plan.plan(scanner.ledger(lake).to_dicts(), chosen, device)


def show_ledger() -> int:
    """Print the ledger: state, repository, reason."""
    with Lake.open() as lake:
        rows = scanner.ledger(lake).sort("state", "repo", "found_at")
    for row in rows.select(
        "state", "repo", "sha", pl.col("reason").fill_null("")
    ).iter_rows():  # a line each, for grep and sort
        say("\t".join(row))
    return 0


def say(line: str) -> None:
    """Tell the user."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
