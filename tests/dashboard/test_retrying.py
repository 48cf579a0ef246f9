"""A retry: what is posted to the Prefect server's API, and what a user hears without one."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from dashboard import retrying


class Prefect(BaseHTTPRequestHandler):
    """Knows one deployment and keeps what is posted."""

    posted: list[tuple[str, dict]] = []  # noqa: RUF012  of the class, for the test to read

    def do_GET(self) -> None:
        is_known = self.path == "/api/deployments/name/measure/on-request"
        self._answer(200 if is_known else 404, {"id": "d1"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posted.append((self.path, json.loads(body)))
        self._answer(201, {"name": "calm-otter"})

    def _answer(self, status: int, content: dict) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Prefect.posted.clear()
    with HTTPServer(("127.0.0.1", 0), Prefect) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_what_is_posted_names_the_model_and_the_deployment(server):
    assert retrying.ask(f"{server}/api", "zoo:llama-base") == "calm-otter"
    body = {
        "parameters": {"targets": [{"model": "zoo:llama-base"}]}, "state": {"type": "SCHEDULED"},
    }  # fmt: skip
    assert Prefect.posted == [("/api/deployments/d1/create_flow_run", body)]


def test_a_server_that_measures_nothing_or_is_gone_is_one_line(server):
    with pytest.raises(retrying.RetryError, match="it serves no measuring"):
        retrying.ask(f"{server}/other", "m")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{free.getsockname()[1]}/api"
        with pytest.raises(retrying.RetryError, match="cannot be asked"):
            retrying.ask(gone, "m")
    with pytest.raises(retrying.RetryError, match="is no address of a server"):
        retrying.ask("file:///etc", "m")


def test_the_server_is_that_of_this_machine_or_as_set(home, monkeypatch, tmp_path):
    assert retrying.api_url() is None
    folder = tmp_path / "home"
    folder.mkdir(exist_ok=True)
    for host, found in ((socket.gethostname(), "http://here/api"), ("another", None)):
        state = {"api_url": "http://here/api", "host": host}
        (folder / "up.json").write_text(json.dumps(state))
        assert retrying.api_url() == found
    monkeypatch.setenv("PREFECT_API_URL", "http://set/api/")
    assert retrying.api_url() == "http://set/api"


@pytest.mark.slow
def test_the_runs_page_asks_the_server_that_is_up(filled, page, server, monkeypatch):
    app = page("runs", state=["failed"])
    assert not [button for button in app.button if button.label == "Run again"]
    monkeypatch.setenv("PREFECT_API_URL", f"{server}/api")
    app = page("runs", state=["failed"])
    (button,) = (button for button in app.button if button.label == "Run again")
    app = button.click().run()
    assert not app.exception
    assert "calm-otter" in app.success[0].value.replace("\\", "")
    ((_, body),) = Prefect.posted
    assert body["parameters"] == {"targets": [{"model": "../my models/bert"}]}
