"""What Prefect adds: retries of what is transient only, one holder of a device at a time."""

import subprocess
import sys
import textwrap

import pytest


@pytest.fixture(scope="module")
def prefect_runs(tmp_path_factory):
    """One process with a Prefect server of its own; what the lines below print."""
    home = tmp_path_factory.mktemp("prefect")
    code = textwrap.dedent(
        """
        from flows import environment
        environment.prepare(quiet=True)
        import os, pathlib
        import httpx
        from flows import measuring, slots
        from measure.errors import BadInput
        from prefect import flow

        class Failing:
            device = "cpu"
            def __init__(self, *errors):
                self.errors, self.n_calls = list(errors), 0
            def measure(self, ref):
                self.n_calls += 1
                if self.errors:
                    raise self.errors.pop(0)
                return "done"

        measuring.measure_model.retry_delay_seconds = 0
        task = measuring.measure_model.with_options(retry_delay_seconds=0)

        @flow
        def one(session):
            return task(session, "x", return_state=True).name

        serving = measuring.own_server_if_none("another", print)
        serving.__enter__()
        missing = Failing()
        print("no-limit", one(missing), missing.n_calls)
        slots.ensure("cpu")
        lost = httpx.ConnectError("the Prefect server is away")
        transient = Failing(ConnectionError("reset"), TimeoutError("slow"), lost)
        print("transient", one(transient), transient.n_calls)
        wrong = Failing(BadInput("wrong"), BadInput("wrong"))
        print("wrong", one(wrong), wrong.n_calls)
        fault = Failing(ValueError("a fault of ours"))
        print("fault", one(fault), fault.n_calls)

        from prefect.client.orchestration import get_client
        with get_client(sync_client=True) as client:
            limit = client.read_global_concurrency_limit_by_name(slots.name_of("cpu"))
            print("slots", limit.limit, limit.active_slots)
        serving.__exit__(None, None, None)
        results = pathlib.Path(os.environ["PREFECT_HOME"], "storage")
        print("results", sum(file.is_file() for file in results.rglob("*")))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={"PATH": "/usr/bin:/bin", "CICATRIX_HOME": str(home), "HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_a_missing_limit_is_refused_and_not_taken_as_none(prefect_runs):
    assert prefect_runs["no-limit"] in {"Crashed 0", "Failed 0"}


def test_what_is_transient_is_tried_again(prefect_runs):
    assert prefect_runs["transient"] == "Completed 4"


def test_what_is_wrong_is_not(prefect_runs):
    assert prefect_runs["wrong"] == "Failed 1"
    assert prefect_runs["fault"] == "Failed 1"


def test_the_device_is_given_back_and_no_result_is_stored(prefect_runs):
    assert prefect_runs["slots"] == "1 0"
    assert prefect_runs["results"] == "0"
