"""One slot a device: a global concurrency limit of one, with who holds it.

A holder renews its lease; when it is killed the lease runs out and the server gives the slot back:
`FREE_AFTER_S` at most after the kill. Who holds it is a variable of the Prefect server.
"""

import os
import re
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import PrefectException
from prefect.variables import Variable

LEASE_S = 60  # the shortest that Prefect grants
# The lease, the server's next look at leases (15 s), the longest wait of who asks again (30 s by
# Prefect's default, drawn up to a third longer).
FREE_AFTER_S = 120
_TAG = "slot"


@contextmanager
def held(device: str) -> Generator[None]:
    """A device's one slot, waited for and kept; its owner is on record meanwhile."""
    task = TaskRunContext.get()
    holder = ConcurrencyLeaseHolder(type="task_run", id=task.task_run.id) if task else None
    # A lease that could not be renewed in time costs at most a second user of the device, never a
    # number; ending hours of work for it would cost more.
    with concurrency(
        name_of(device),
        occupy=1,
        strict=True,
        lease_duration=LEASE_S,
        holder=holder,
        raise_on_lease_renewal_failure=False,
    ):
        mine = _owner(device, holder.id if holder else None)
        Variable.set(_variable(device), mine, tags=[_TAG], overwrite=True)
        try:
            yield
        finally:
            with suppress(httpx.HTTPError, PrefectException):  # what was measured stays measured
                forget(mine)


def name_of(device: str) -> str:
    """The global concurrency limit of a device on this host, e.g. 'cpu@host' or 'cuda:0@host'."""
    return f"{device}@{socket.gethostname()}"


def ensure(device: str) -> None:
    """Make the device's limit exist with one slot: `strict=True` refuses a missing one."""
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(name_of(device), limit=1)


def free(device: str) -> None:
    """Take the slot back, whoever held it; only where nobody can be left who does."""
    with get_client(sync_client=True) as client:
        client.update_global_concurrency_limit(
            name_of(device), GlobalConcurrencyLimitUpdate(active_slots=0)
        )


def owners() -> list[dict[str, Any]]:
    """Who holds a slot, or held it when they were killed: slot, run ids, host, pid, since."""
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/variables/filter", json={"limit": 200}).json()
    return [one["value"] for one in found if _TAG in one["tags"]]


def forget(owner: dict[str, Any]) -> bool:
    """Take a dead owner off the record, if it is still theirs; its lease runs out by itself."""
    name = _variable_of(owner["slot"])
    if Variable.get(name) != owner:
        return False
    Variable.unset(name)
    return True


def _owner(device: str, task_run: UUID | None) -> dict[str, Any]:
    flow = FlowRunContext.get()
    return {
        "slot": name_of(device),
        "flow_run": str(flow.flow_run.id) if flow and flow.flow_run else None,
        "task_run": str(task_run) if task_run else None,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(),
    }


def _variable(device: str) -> str:
    return _variable_of(name_of(device))


def _variable_of(slot: str) -> str:
    """A variable's name may hold small letters, digits, - and _ alone."""
    return "slot-" + re.sub(r"[^a-z0-9_-]", "-", slot.lower())
