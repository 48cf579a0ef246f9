"""The real huggingface_hub client against a local server that speaks the endpoints it uses."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest

SHAS = {"main": "a" * 40, "v1": "b" * 40}


class Hub(BaseHTTPRequestHandler):
    """Model info by revision, the file tree, and files by commit, of the folders in `repos`."""

    repos: dict[str, Path] = {}
    asked: list[str] = []

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, *, with_body):
        path = urlparse(self.path).path
        type(self).asked.append(path)
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self.model_api("/".join(parts[2:4]), parts[4:], with_body)
        else:  # /org/name/resolve/<sha>/<file>
            self.file("/".join(parts[:2]), parts[3], "/".join(parts[4:]), with_body)

    def model_api(self, repo, rest, with_body):
        revision = rest[1] if len(rest) > 1 and rest[0] in {"revision", "tree"} else "main"
        sha = revision if revision in SHAS.values() else SHAS.get(revision)
        if repo == "org/gated":
            self.refuse(403, "GatedRepo")
        elif repo == "org/broken":
            self.refuse(500, "")
        elif repo not in self.repos:
            self.refuse(404, "RepoNotFound")
        elif sha is None:
            self.refuse(404, "RevisionNotFound")
        else:
            files = sorted(file for file in self.repos[repo].iterdir())
            if rest[:1] == ["tree"]:
                found = [
                    {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": etag(f)}
                    for f in files
                ]
                self.send(json.dumps(found).encode(), with_body, {})
                return
            siblings = [{"rfilename": file.name, "size": file.stat().st_size} for file in files]
            info = {"id": repo, "modelId": repo, "sha": sha, "siblings": siblings}
            assert parse_qs(urlparse(self.path).query) is not None
            self.send(json.dumps(info).encode(), with_body, {})

    def file(self, repo, sha, name, with_body):
        path = self.repos[repo] / name
        self.send(path.read_bytes(), with_body, {"ETag": f'"{etag(path)}"', "X-Repo-Commit": sha})

    def send(self, body, with_body, headers):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def etag(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:40]


@pytest.fixture(scope="module")
def hub(model_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    good = root / "good"
    good.mkdir()
    for file in model_folder("llama").iterdir():
        (good / file.name).write_bytes(file.read_bytes())
    (good / "modeling_evil.py").write_text("raise SystemExit")
    (good / "pytorch_model.bin").write_bytes(b"pickle")
    pickles = root / "pickles"
    pickles.mkdir()
    (pickles / "config.json").write_text("{}")
    (pickles / "pytorch_model.bin").write_bytes(b"pickle")
    Hub.repos = {"org/tiny": good, "org/pickles": pickles}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def find(hub, tmp_path, ref, call="find"):
    """`sources.find` in a process of its own: the client reads HF_ENDPOINT when imported."""
    code = (
        "import sys, json\nfrom measure import sources\n"
        "try:\n"
        f"    found = sources.{call}(sys.argv[1])\n"
        "    names = {n: str(getattr(found, n)) for n in found.__slots__}\n"
        "    print(json.dumps(names))\n"
        "except (sources.BadInput, ConnectionError) as error:\n"
        "    print(json.dumps({'error': type(error).__name__, 'line': str(error)}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ref],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_revision_is_resolved_once_and_only_safe_files_come(hub, tmp_path):
    Hub.asked.clear()
    found = find(hub, tmp_path, "org/tiny@v1")
    assert found["model_id"] == f"org/tiny@{SHAS['v1']}"
    assert found["kind"] == "hub"
    names = {file.name for file in Path(found["folder"]).iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".py", ".bin"))]
    files = [path for path in Hub.asked if "/resolve/" in path]
    assert files and all(f"/resolve/{SHAS['v1']}/" in path for path in files)


def test_without_a_revision_the_main_branch_is_resolved(hub, tmp_path):
    assert find(hub, tmp_path, "org/tiny")["model_id"] == f"org/tiny@{SHAS['main']}"


def test_the_size_is_known_before_anything_is_downloaded(hub, tmp_path):
    Hub.asked.clear()
    size = find(hub, tmp_path, "org/tiny", call="size_of")
    assert int(size["download_bytes"]) > 10_000
    assert not [path for path in Hub.asked if "/resolve/" in path]


@pytest.mark.parametrize(
    ("ref", "kind", "said"),
    [
        ("org/nobody", "BadInput", "does not exist at that name and revision"),
        ("org/tiny@v9", "BadInput", "does not exist at that name and revision"),
        ("org/gated", "BadInput", "is gated: accept its terms"),
        ("org/pickles", "BadInput", "holds only pickle checkpoints"),
        ("org/a--b", "BadInput", "is no valid hub id"),
        ("org/broken", "ConnectionError", "the model hub answered 500"),
    ],
)
def test_what_the_hub_refuses_is_one_line(hub, tmp_path, ref, kind, said):
    found = find(hub, tmp_path, ref)
    assert found["error"] == kind, found
    assert said in found["line"] and "\n" not in found["line"]


def test_no_network_is_transient(tmp_path):
    found = find("http://127.0.0.1:9", tmp_path, "org/tiny")
    assert found["error"] == "ConnectionError"
    assert "cannot be reached" in found["line"]
