"""What a killed process leaves behind: its slot, its run, its attempt and its night."""

import json
import subprocess
import sys
import textwrap

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
CHILD = """
import os, sys, time
from flows import environment
environment.prepare(quiet=True)
from prefect import flow, task
from flows import processes, scanner, slots
from warehouse.lake import Lake

@task(task_run_name="hold {device}")
def hold(device):
    with slots.held(device):
        with Lake.open() as lake:
            lake.start_attempt(model_ref=device, device=device)
            if device == "gpu":
                row = {"night": 1, "watchlist_sha256": "0", "byte_budget": 1, "code_version": "0",
                       "host": os.uname().nodename, "started_at": scanner.datetime.now(scanner.UTC)}
                lake.add_rows("hub_scan", [row])
        print("held", flush=True)
        time.sleep(600)

@flow(on_running=[processes.sign])
def holding(device):
    hold(device)

holding(sys.argv[1])
"""
DRIVER = """
import atexit, json, os, signal, subprocess, sys, time
from datetime import UTC, datetime, timedelta
from flows import environment
environment.prepare(quiet=True)
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.settings import PREFECT_API_URL
from prefect.states import Failed, Running
from flows import measuring, reconciling, slots
from warehouse import read
from warehouse.lake import Lake

said = {}
child_code = sys.argv[1]

def states():
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(limit=50, sort=FlowRunSort.ID_DESC)
        tasks = client.read_task_runs(limit=50, sort=TaskRunSort.ID_DESC)
    return ({run.parameters.get("device", run.name): run.state_name for run in runs},
            {task.name: task.state_name for task in tasks})

def start(device):
    env = {**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()}
    child = subprocess.Popen([sys.executable, "-c", child_code, device], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, env=env, text=True)
    atexit.register(child.kill)
    assert child.stdout.readline() == "held\\n"
    return child

@flow
def elsewhere():
    pass

with measuring.own_server_if_none("another", print):
    for device in ("gpu", "gpu2"):
        slots.ensure(device)
    Lake.open().close()
    dead, living = start("gpu"), start("gpu2")
    said["owners"] = {one["slot"]: (one["pid"], one["host"]) for one in slots.owners()}
    said["pids"] = [dead.pid, living.pid]
    dead.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    dead.wait()
    said["before"], _ = states()
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(elsewhere, name="far", tags=["host:far", "pid:77"],
                                     state=Running())
        client.set_flow_run_state(run.id, Failed(message="x"), force=True)
        # A process of another host ends by Prefect's word; one that Prefect never knew by silence.
    now = datetime.now(UTC)
    with Lake.open() as lake:
        row = {"attempt_number": 1, "model_ref": "x", "pid": 77, "device": "cpu",
               "measurement_id": None, "method": None, "batch_size": None}
        lake.add_rows("attempt", [
            {**row, "attempt_id": "far", "host": "far", "started_at": now + timedelta(seconds=60)},
            {**row, "attempt_id": "silent", "host": "gone", "started_at": now - timedelta(days=2)},
            {**row, "attempt_id": "fresh", "host": "gone", "started_at": now},
        ])
    said["mended"] = reconciling.reconcile()
    said["after"], said["tasks"] = states()
    attempts = read.table("attempt").join(read.table("attempt_end"), on="attempt_id", how="left")
    said["attempts"] = {row["attempt_id"] if row["model_ref"] == "x" else row["model_ref"]:
                        row["outcome"] for row in attempts.iter_rows(named=True)}
    said["nights"] = read.table("hub_scan_end")["outcome"].to_list()
    said["owners after"] = [one["slot"] for one in slots.owners()]
    said["again"] = reconciling.reconcile()

    @flow
    def waiting():
        with slots.held("gpu"):
            return time.monotonic() - killed
    said["free after"] = waiting()
    living.kill()
    living.wait()
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """One Prefect server, a process that is killed while it measures, and one that lives."""
    home = tmp_path_factory.mktemp("reconcile")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DRIVER), CHILD],
        capture_output=True, text=True, timeout=300, check=False,
        env={"PATH": "/usr/bin:/bin", "CICATRIX_HOME": str(home), "HOME": str(home)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_slot_says_who_holds_it(said):
    import socket

    host = socket.gethostname()
    dead, living = said["pids"]
    assert said["owners"] == {f"gpu@{host}": [dead, host], f"gpu2@{host}": [living, host]}
    assert said["owners after"] == [f"gpu2@{host}"]


def test_a_killed_worker_blocks_its_device_no_longer_than_is_said(said):
    from flows import slots

    assert said["free after"] <= slots.FREE_AFTER_S


def test_prefect_and_the_lake_say_the_same_again(said):
    assert said["before"]["gpu"] == "Running"  # nobody was left to say otherwise
    assert said["after"]["gpu"] == "Crashed" and said["tasks"]["hold gpu"] == "Crashed"
    assert said["after"]["gpu2"] == "Running" and said["tasks"]["hold gpu2"] == "Running"
    assert said["attempts"] == {
        "gpu": "interrupted", "gpu2": None, "far": "interrupted", "silent": "interrupted",
        "fresh": None,
    }  # fmt: skip
    assert said["nights"] == ["interrupted"]


def test_it_says_what_it_mended_and_mends_it_once(said):
    dead = said["pids"][0]
    kinds = [line.split()[0] for line in said["mended"]]
    assert sorted(kinds) == ["attempt", "attempt", "attempt", "night", "run", "slot"]
    assert sum(f"process {dead}" in line for line in said["mended"]) == 3
    assert any("Prefect says of its run: Failed" in line for line in said["mended"])
    assert said["again"] == []
