"""The real services as real processes: `up` serves all three, and one Ctrl-C ends every one."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from flows import environment, services
from warehouse import checks, read
from warehouse.lake import Lake


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(seconds, condition, what):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError, ValueError):
            if found := condition():
                return found
        time.sleep(0.3)
    pytest.fail(f"no {what} within {seconds} s")


def embedded_servers():
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "prefect.server.api.server:create_app" in (process.info["cmdline"] or [])
        and process.environ().get("CICATRIX_HOME") == os.environ["CICATRIX_HOME"]
    ]


def start(home, *arguments, output=subprocess.PIPE):
    return subprocess.Popen(
        [sys.executable, "-m", "flows", *map(str, arguments)],
        stdout=output, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "CICATRIX_HOME": str(home)},
    )  # fmt: skip


def family_of(process):
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_up_serves_all_and_one_signal_ends_all(home, how):
    port, api_port = free_port(), free_port()
    process = start(home, "up", "--port", port, "--api-port", api_port)
    try:
        api = f"http://127.0.0.1:{api_port}/api"
        wait_for(150, lambda: urlopen(f"{api}/health", timeout=2).status == 200, "server")
        wait_for(60, lambda: urlopen(f"http://127.0.0.1:{port}", timeout=2).status == 200, "page")
        assert environment.running_server() == api

        def deployments():
            request = urlopen(
                _post(f"{api}/deployments/filter", {}), timeout=5
            )  # fmt: skip
            return {row["name"]: row for row in json.load(request)}

        served = wait_for(90, lambda: len(deployments()) == 2 and deployments(), "deployments")
        assert set(served) == {"on-request", "nightly"}
        assert served["nightly"]["schedules"][0]["schedule"]["cron"]
        children = family_of(process)
        assert len(children) >= 3
        listening = {
            connection.laddr.ip
            for child in children
            for connection in child.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}
        process.send_signal(how)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert f"http://127.0.0.1:{port}" in output and "Traceback" not in output
    assert not [child for child in children if child.is_running() and child.status() != "zombie"]
    assert not environment.state_file().exists()


def _post(url, body):
    from urllib.request import Request

    return Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})


@pytest.mark.slow
def test_a_killed_measuring_process_loses_and_repeats_nothing(home, tmp_path):
    """SIGKILL at several moments, then once to the end: every unit is there exactly once."""
    Lake.open().close()  # there already, and empty
    command = ("measure", "zoo:llama-distilled", "--base", "zoo:llama-base")
    for n_units in (1, 4, 7):
        process = start(home, *command, output=subprocess.DEVNULL)
        wait_for(120, lambda n=n_units: read.table("unit").height >= n, f"{n_units} units")
        process.kill()
        process.wait()
    assert embedded_servers()  # it outlives whoever is killed
    process = start(home, *command)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert not embedded_servers()
    units = read.table("unit")
    assert units.height == units.select("measurement_id", "unit").unique().height
    assert read.mart("run").filter(state="complete").height == read.table("measurement").height
    assert read.mart("summary").height == 1
    assert {name: rows.height for name, rows in checks.run().items() if rows.height} == {}


@pytest.mark.slow
def test_ctrl_c_while_measuring_is_one_line_and_leaves_nothing_behind(home):
    """As a terminal does it: the signal goes to the whole process group."""
    Lake.open().close()  # there already, and empty
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", "measure", "zoo:teacher-forward", "zoo:llama-base"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "CICATRIX_HOME": str(home)},
    )  # fmt: skip
    try:
        wait_for(120, lambda: read.table("unit").height >= 1, "unit")
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert output.rstrip().splitlines()[-1].startswith("interrupted: what was committed stays")
    assert "Traceback" not in output and "ERROR" not in output
    assert not embedded_servers()
    assert "interrupted" in read.mart("run")["state"].to_list()


def test_a_taken_port_is_one_line(home, capsys):
    from flows import cli

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert cli.main(["up", "--port", str(port)]) == cli.BAD_USAGE
    error = capsys.readouterr().err
    assert f"port {port} is taken" in error and error.count("\n") == 1


def test_a_child_that_ends_by_itself_ends_the_others_and_says_where_to_look(home):
    log = Path(home) / "x.log"
    log.parent.mkdir(parents=True)
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
    )
    over = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    over.wait()
    with (
        pytest.raises(
            ConnectionError, match=r"the worker ended with exit code 3: the end of '.*x\.log'"
        ),
        services._children() as children,
    ):
        children += [services.Child("page", sleeper, log), services.Child("worker", over, log)]
        services._watch(children, {})
    sleeper.wait(timeout=5)  # would hang for a minute if it had been left


def test_what_a_dead_child_had_started_ends_too(home, tmp_path):
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
    )
    log = tmp_path / "x.log"
    with pytest.raises(ConnectionError), services._children() as children:
        with log.open("wb") as output:
            over = subprocess.Popen(
                [sys.executable, "-c", code], stdout=output, start_new_session=True
            )
        over.wait()
        orphan = psutil.Process(int(log.read_text()))
        children.append(services.Child("worker", over, log))
        services._watch(children, {})
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def test_no_word_of_a_server_that_is_gone(home):
    home.mkdir(parents=True)
    state = {"api_url": f"http://127.0.0.1:{free_port()}/api", "host": socket.gethostname()}
    environment.state_file().write_text(json.dumps(state))
    assert environment.running_server() is None
