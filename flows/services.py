"""Serving on localhost: the dashboard alone, or with the Prefect server and the scheduled flows.

Every child runs in a process group of its own, so that one Ctrl-C ends whatever it started too.
"""

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from flows import environment
from measure.errors import BadInput
from warehouse.lake import home

HOST = "127.0.0.1"
START_S = 180  # a cold start of Prefect's server on a busy machine takes a minute
STOP_S = 10
POLL_S = 0.3
ENDS_BORNE, ENDS_WITHIN_S = 5, 600  # of one service; more is no accident


class Stopped(ConnectionError):
    """A child ended by itself or never answered; the others are stopped with it."""


@dataclass(slots=True)
class Child:
    """A running service and the file its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    command: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    ended_at: list[float] = field(default_factory=list[float])

    def start_again_if_ended(self) -> None:
        """Start the service again when it was killed or failed; not again and again.

        What it had started is ended first.
        """
        code = self.process.poll()
        if not code or not self.command:
            return
        now = time.monotonic()
        self.ended_at = [at for at in self.ended_at if now - at < ENDS_WITHIN_S] + [now]
        if len(self.ended_at) <= ENDS_BORNE:
            how = f"exit code {code}" if code > 0 else signal.Signals(-code).name
            sys.stdout.write(f"the {self.name} ended ({how}): starting it again\n")
            sys.stdout.flush()
            stop([self])
            self.process = _process(self.command, self.settings, self.log, "ab")

    def refuse_if_ended(self) -> None:
        """Raise when the service is over: it never is while all is well."""
        code = self.process.poll()
        if code is not None:
            raise Stopped(
                f"the {self.name} ended with exit code {code}: "
                f"the end of {str(self.log)!r} says why"
            )


def serve_dashboard(port: int) -> int:
    """Serve the dashboard until Ctrl-C; on a free port if the asked-for one is taken."""
    chosen = port if _is_free(port) else free_port()
    with _children() as children:
        children.append(start("dashboard", _dashboard_command(chosen), {}))
        return _watch(children, {"dashboard": f"http://{HOST}:{chosen}"})


def up(port: int, api_port: int) -> int:
    """Serve the dashboard, the Prefect server and the scheduled flows until Ctrl-C."""
    environment.prepare()
    if (url := environment.running_server()) is not None:
        raise BadInput(f"a server is already up at {url}: stop it first, or use it")
    for taken, option in ((port, "--port"), (api_port, "--api-port")):
        if not _is_free(taken):
            raise BadInput(f"port {taken} is taken by another program: give another {option}")
    api_url = f"http://{HOST}:{api_port}/api"
    settings = {"PREFECT_API_URL": api_url, "PREFECT_UI_API_URL": api_url}
    server = [sys.executable, "-m", "prefect", "server", "start"]
    server += ["--host", HOST, "--port", str(api_port)]
    with _children() as children, _announced(api_url):
        children.append(start("Prefect server", server, settings))
        children.append(start("dashboard", _dashboard_command(port), {}))
        wait_for(f"{api_url}/health", children)
        children.append(start("flows", [sys.executable, "-m", "flows.serving"], settings))
        addresses = {
            "dashboard": f"http://{HOST}:{port}",
            "Prefect server": f"http://{HOST}:{api_port}",
        }
        return _watch(children, addresses)


def _watch(children: Sequence[Child], addresses: Mapping[str, str]) -> int:
    """Print the addresses once they answer; wait for Ctrl-C or for a child that ends by itself."""
    for address in addresses.values():
        wait_for(address, children)
    for name, address in addresses.items():
        sys.stdout.write(f"{name}: {address}\n")
    sys.stdout.write(f"logs: {home() / 'logs'}\nCtrl-C stops everything\n")
    sys.stdout.flush()
    while True:
        for child in children:
            child.start_again_if_ended()
            child.refuse_if_ended()
        time.sleep(POLL_S)


@contextlib.contextmanager
def _children() -> Generator[list[Child]]:
    """Children that are stopped when the block is left, whatever ends it."""
    children: list[Child] = []

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # SIGTERM (a service manager, `kill`) and SIGHUP (a closed terminal) stop as Ctrl-C does.
    before = {s: signal.signal(s, interrupt) for s in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield children
    except KeyboardInterrupt:
        sys.stdout.write("\nstopping\n")
    finally:
        for signal_, handler in before.items():
            signal.signal(signal_, handler)
        stop(children)


def stop(children: Sequence[Child]) -> None:
    """End the children and all their descendants: politely first, then not."""
    family = [process for child in children for process in _family_of(child.process.pid)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(family, timeout=STOP_S)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=STOP_S)


def _family_of(pid: int) -> set[psutil.Process]:
    """All processes of a child's session, also where the child itself is over, and below them."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == pid:
                found |= {process, *process.children(recursive=True)}
    return found


@contextlib.contextmanager
def _announced(api_url: str) -> Generator[None]:
    """Leave word of the server while it runs, for `cicatrix measure` to use it."""
    file = environment.state_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    state = {"api_url": api_url, "host": socket.gethostname(), "pid": os.getpid()}
    file.write_text(json.dumps(state), encoding="utf-8")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def start(name: str, command: Sequence[str], settings: Mapping[str, str]) -> Child:
    """Start a service in a session of its own, its output going to a log of its name."""
    log = home() / "logs" / f"{name.replace(' ', '-').lower()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    return Child(name, _process(command, settings, log, "wb"), log, command, settings)


def _process(
    command: Sequence[str], settings: Mapping[str, str], log: Path, mode: str
) -> subprocess.Popen[bytes]:
    with log.open(mode) as output:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **settings},
            # A terminal's Ctrl-C reaches this process only; it then stops the children in order.
            start_new_session=True,
        )


def _dashboard_command(port: int) -> list[str]:
    if importlib.util.find_spec("streamlit") is None:
        raise BadInput("the dashboard is not installed: pip install 'cicatrix[dashboard]'")
    return [sys.executable, "-m", "dashboard", "--port", str(port), "--server.headless=true"]


def wait_for(address: str, children: Sequence[Child]) -> None:
    """Until an address answers; raises Stopped when a child ends first."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        for child in children:
            child.refuse_if_ended()
        with contextlib.suppress(URLError, OSError), urlopen(address, timeout=5):
            return
        time.sleep(POLL_S)
    raise Stopped(f"{address} did not answer within {START_S} s: see {str(home() / 'logs')!r}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of localhost that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
