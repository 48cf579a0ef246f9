"""Which process a flow run is, and whether it is over."""

import os
import socket
from datetime import datetime
from typing import Any

import psutil
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State


def sign(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Let a flow run say which process it is, as tags; a hook `on_running`."""
    with get_client(sync_client=True) as client:
        kept = [tag for tag in flow_run.tags if not tag.startswith(("host:", "pid:"))]
        client.update_flow_run(flow_run.id, tags=[*kept, *tags(socket.gethostname(), os.getpid())])


def tags(host: str, pid: int) -> list[str]:
    """The tags of a run that is this process."""
    return [f"host:{host}", f"pid:{pid}"]


def of(run: FlowRun) -> tuple[str, int] | None:
    """Host and process id that a run signed with; None before it did."""
    said = dict(tag.split(":", 1) for tag in run.tags if ":" in tag)
    if "host" not in said or not said.get("pid", "").isdecimal():
        return None
    return said["host"], int(said["pid"])


def is_dead(host: str, pid: int, since: datetime) -> bool:
    """Whether a process of this host is over; False for one of another host, which nobody knows."""
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(pid)
        # A later process may have got the number; clocks of processes are coarse.
        return process.status() == psutil.STATUS_ZOMBIE or (
            process.create_time() > since.timestamp() + 5
        )
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
