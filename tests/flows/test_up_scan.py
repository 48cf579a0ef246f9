"""`cicatrix up` scans by its own schedules' flows, and bears the loss of each of its processes."""

import json
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from urllib.request import Request, urlopen

import psutil
import pytest
from hub_of_zoo import BASE, CARD, DISTILLED, write_watchlist

from flows.services import free_port
from measure import zoo
from tests.fake_hub import START, FakeHub
from warehouse import checks, read
from warehouse.lake import Lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
CHILDREN = {"worker": "flows.serving", "server": "server", "dashboard": "dashboard"}


class Up:
    """`cicatrix up` as a process, and what its Prefect server is asked."""

    def __init__(self, log):
        self.port, self.api_port = free_port(), free_port()
        self.api = f"http://127.0.0.1:{self.api_port}/api"
        command = [sys.executable, "-m", "flows", "up", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "--api-port", str(self.api_port)],
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
        )

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(self.api + path, data, headers), timeout=10) as answer:
            return json.load(answer)

    def until(self, condition, what, seconds=240):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, f"up ended while waiting for {what}"
            with suppress(OSError):  # a server that is being started again
                if found := condition():
                    return found
            time.sleep(0.5)
        pytest.fail(f"no {what} within {seconds} s")

    def start(self, flow):
        """Ask for a run of a nightly flow, as its schedule does; its id."""
        found = self.until(lambda: self.ask(f"/deployments/name/{flow}/nightly"), f"flow {flow}")
        run = self.until(
            lambda: self.ask(f"/deployments/{found['id']}/create_flow_run", {}), f"run of {flow}"
        )
        return run["id"]

    def state(self, run):
        return self.ask(f"/flow_runs/{run}")["state"]["type"]

    def done(self, run):
        """Wait for a run's end; its last state."""
        ended = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
        return self.until(lambda: (s := self.state(run)) in ended and s, "end of a run")

    def child(self, name):
        for process in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):
                if CHILDREN[name] in process.cmdline():
                    return process
        return None

    def kill(self, name):
        """SIGKILL a service, and wait for the one that takes its place."""
        victim = self.until(lambda: self.child(name), name)
        victim.send_signal(signal.SIGKILL)
        self.until(lambda: (new := self.child(name)) and new.pid != victim.pid, f"new {name}")


@pytest.fixture(scope="module")
def nightly(tmp_path_factory):
    """A scan under `up`, each of whose three processes is killed while it measures."""
    root = tmp_path_factory.mktemp("up")
    rng = random.Random(0)
    hub = FakeHub()
    folder = {member.name: member.path for member in zoo.shipped()}
    hub.add(BASE, folder["llama-base"])
    tags = (f"base_model:finetune:{BASE}",)
    hub.add(DISTILLED, folder["llama-distilled"], tags=tags, readme=CARD, created=START,
            modified=START)  # fmt: skip
    with hub.serve(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("CICATRIX_HOME", str(root / "home"))
        for name in ("CICATRIX_CATALOG", "CICATRIX_DATA", "PREFECT_API_URL", "PREFECT_HOME",
                     "HF_HOME", "HF_HUB_CACHE"):  # fmt: skip
            patch.delenv(name, raising=False)
        patch.setenv("HF_ENDPOINT", hub.url)
        Lake.open().close()  # without the zoo's records
        write_watchlist(root / "home" / "watchlist.toml")
        up = Up(root / "up.log")
        try:
            first = up.done(up.start("scan"))
            runs = []
            for name in ("worker", "server", "dashboard"):
                runs.append(up.start("measure-queue"))
                before = read.table("unit").height
                up.until(
                    lambda b=before, r=runs[-1]: (
                        read.table("unit").height > b or up.state(r) == "COMPLETED"
                    ),
                    "unit",
                )
                time.sleep(rng.uniform(0, 2))
                up.kill(name)
            last = [up.done(up.start("measure-queue")) for _ in range(2)][-1]
            report = up.done(up.start("report"))
            mended = up.done(up.start("reconcile"))
            artifacts = up.ask("/artifacts/filter", {"sort": "CREATED_DESC"})
            states = {run: up.state(run) for run in runs}
            with urlopen(f"http://127.0.0.1:{up.port}", timeout=20) as answer:
                page = answer.status
            up.process.send_signal(signal.SIGINT)
            code = up.process.wait(60)
        finally:
            up.process.terminate()  # it ends what it started
            with suppress(subprocess.TimeoutExpired):
                up.process.wait(60)
            up.process.kill()
        yield {"first": first, "last": last, "report": report, "mended": mended, "states": states,
               "artifacts": artifacts, "page": page, "code": code,
               "log": (root / "up.log").read_text()}  # fmt: skip


def test_each_process_that_was_killed_was_started_again(nightly):
    for name in ("flows", "Prefect server", "dashboard"):
        assert f"the {name} ended (SIGKILL): starting it again" in nightly["log"]
    assert nightly["page"] == 200 and nightly["code"] == 0
    assert "Traceback" not in nightly["log"]


def test_the_scan_is_done_once_whatever_was_killed(nightly):
    assert nightly["first"] == nightly["last"] == "COMPLETED"
    assert read.mart("night_model").select("repo", "state").rows() == [(DISTILLED, "measured")]
    measured = read.mart("run")
    assert set(measured["state"]) == {"complete"}
    units = read.table("unit")
    assert units.height == units.select("measurement_id", "unit").unique().height
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}


def test_prefect_holds_no_dead_run_for_running(nightly):
    assert nightly["mended"] == "COMPLETED"
    assert set(nightly["states"].values()) <= {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
    ended = read.table("attempt_end")
    assert ended.height == read.table("attempt").height


def test_the_nights_report_is_an_artifact(nightly):
    assert nightly["report"] == "COMPLETED"
    (text,) = {one["data"] for one in nightly["artifacts"] if one["key"] == "night"}
    assert text.startswith("# Night 1\n") and "1 new of 1 bases" in text
    assert "1 measured" in text and DISTILLED in text
    assert "DeepSeek-R1" in text  # a claim, under its own head
