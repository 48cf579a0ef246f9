"""The nightly flow that keeps the lake in order: its rules are checked, its small files merged."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import processes
from warehouse import checks
from warehouse.lake import Lake


class RuleBroken(Exception):
    """Rows of the lake that break one of its rules; a failed check fails the flow."""


@task(cache_policy=NO_CACHE, persist_result=False)
def check() -> int:
    """Run every check of the warehouse; how many there are."""
    broken = {name: rows.height for name, rows in checks.run().items() if rows.height}
    if broken:
        found = ", ".join(f"{name} ({count} rows)" for name, count in broken.items())
        raise RuleBroken(f"the lake breaks: {found}; `cicatrix sql` shows the rows")
    return len(checks.queries())


@task(cache_policy=NO_CACHE, persist_result=False)
def compact() -> None:
    """Merge small files: thousands of them take a reader from 1 ms to 800 ms."""
    with Lake.open() as lake:
        lake.compact()


@flow(name="upkeep", persist_result=False, on_running=[processes.sign])
def upkeep() -> None:
    """Check, then compact: a lake in error is left as it is for a person to look at."""
    check()
    compact()
