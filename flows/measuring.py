"""The flow that measures models: one task a model, holding its device; distances at the end."""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import psutil
from filelock import FileLock
from filelock import Timeout as LockTimeout
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import environment, processes, services, slots
from flows.choice import Choice
from flows.session import Session
from flows.targets import Target, in_order
from measure import models
from warehouse.lake import Lake, home

RETRIES_S = [2.0, 15.0, 60.0]  # a server that is started again takes up to a minute


class SomeFailed(Exception):
    """Not everything that was asked for could be measured; the rest was."""

    def __init__(self, failures: dict[str, str]) -> None:
        super().__init__("; ".join(f"{ref}: {reason}" for ref, reason in failures.items()))
        self.failures = failures


def is_transient(_task: object, _run: object, state: State[object]) -> bool:
    """Whether a failure may pass by itself: a network or a lock, never a wrong input or number."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, ConnectionError | TimeoutError | httpx.TransportError)


ON_DEVICE: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": len(RETRIES_S),
    "retry_delay_seconds": RETRIES_S,
    "retry_condition_fn": is_transient,
}


@task(**ON_DEVICE, task_run_name="measure {ref}")
def measure_model(session: Session, ref: str) -> str:
    """Everything of one model that is not in the lake yet; its model_id."""
    with slots.held(session.device):
        return session.measure(ref)


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="distances of {target.model}")
def measure_distances(session: Session, target: Target) -> int:
    """Distances of one target's triangle in both modes; how many were new."""
    return session.measure_distances(target)


@flow(name="measure", persist_result=False, on_running=[processes.sign])
def measure_targets(targets: Sequence[Target], choice: Choice | None = None) -> int:
    """Measure what is missing of every target; how many units were new.

    Raises:
        SomeFailed: with the reason by model, after everything else was measured.
    """
    choice = choice or Choice()
    device = choice.device or models.pick_device()
    slots.ensure(device)
    with Lake.open() as lake:
        session = Session(lake, targets, choice.settings(device), device)
        order = in_order(targets)
        for ref in order:
            session.note(ref, failure_of(measure_model(session, ref, return_state=True)))
        for ref in order:  # bases whose text came after they were measured as a stranger
            if ref not in session.failures and session.pending(ref):
                session.note(ref, failure_of(measure_model(session, ref, return_state=True)))
        for target in targets:
            state = measure_distances(session, target, return_state=True)
            session.note(target.model, failure_of(state))
        if session.failures:
            raise SomeFailed(session.failures)
        return session.n_new_units


def failure_of(state: State[Any]) -> BaseException | None:
    """Why a task did not complete, its retries included; None when it did."""
    if state.is_completed():
        return None
    error = state.result(raise_on_failure=False)
    return error if isinstance(error, BaseException) else RuntimeError(state.message or state.name)


@contextmanager
def own_server_if_none(device: str, tell: Callable[[str], None]) -> Generator[None]:
    """Where no Prefect server is up, one for this run alone; one such run at a time in a home.

    The operating system frees the lock of a run that was killed; who holds it may end the server
    that the dead run left behind, and take back its slot of the device.
    """
    if os.environ.get("PREFECT_API_URL") or environment.running_server():
        slots.ensure(device)
        yield
        return
    lock = FileLock(home() / "prefect" / "run.lock")
    try:
        held = lock.acquire(timeout=0)
    except LockTimeout:
        tell("another cicatrix process is measuring here: waiting for it to end")
        held = lock.acquire()
    with held:
        _end_orphaned_servers()
        port = services.free_port()
        url = f"http://{services.HOST}:{port}/api"
        command = [sys.executable, "-m", "uvicorn", "--factory", SERVER, "--log-level", "error"]
        # In a session of its own: a terminal's Ctrl-C must reach the measuring, which then still
        # has a server to tell.
        server = services.start(
            "run server", [*command, "--host", services.HOST, "--port", str(port)], SERVER_SETTINGS
        )
        try:
            services.wait_for(f"{url}/health", [server])
            with temporary_settings({PREFECT_API_URL: url}):
                slots.ensure(device)
                slots.free(device)
                yield
        finally:
            services.stop([server])


SERVER = "prefect.server.api.server:create_app"
SERVER_SETTINGS = {"PREFECT_UI_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "ERROR"}


def _end_orphaned_servers() -> None:
    """End servers of this home whose run was killed; only under the lock of runs."""
    for process in psutil.process_iter(["cmdline"]):
        # Gone meanwhile, or somebody else's and so not of this home.
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            is_server = SERVER in (process.info["cmdline"] or [])
            if is_server and process.environ().get("PREFECT_HOME") == os.environ["PREFECT_HOME"]:
                process.kill()
                process.wait(services.STOP_S)
