"""A hub on localhost that speaks the endpoints that the real client uses, of folders on this disk.

Listing with filters, sorting and pages; model info and tree by revision; files by commit with
ranges; refusals, rate limits and breakdowns on request.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlencode, urlparse

START = datetime(2026, 1, 1, tzinfo=UTC)


class NoWaiting:
    """In place of `time` in the client alone: elsewhere, waiting loops would spin."""

    @staticmethod
    def sleep(_: float) -> None:
        pass


def sha_of(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


@dataclass
class Repo:
    """A repository: its commits, newest last, and what is said of it."""

    commits: dict[str, Path]
    created: datetime = START
    modified: datetime = START
    tags: tuple[str, ...] = ()
    card: dict[str, object] = field(default_factory=dict)
    readme: str = ""
    is_gated: bool = False
    refuses: int | None = None  # this status to everything asked of it
    claims: dict[str, str] = field(default_factory=dict)  # file name -> another sha256 than it has
    extra_names: tuple[str, ...] = ()  # named, and not there
    branches: dict[str, str] = field(default_factory=dict)

    @property
    def sha(self) -> str:
        return list(self.commits)[-1]

    def commit(self, revision: str) -> str | None:
        if revision == "main":
            return self.sha
        return self.branches.get(revision, revision if revision in self.commits else None)


class FakeHub:
    """The hub's state; `asked` keeps (method, path with query, range) of every request."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.page_size = 1000
        self.troubles: list[
            tuple[str, int, dict[str, str]]
        ] = []  # path part, status, headers: once
        self.cuts: dict[str, int] = {}  # file name -> how often its answer ends half-way
        self.url = ""

    def add(self, name: str, folder: Path | None = None, **said: object) -> Repo:
        """A repository of one commit; its sha follows from name and number."""
        commits = {sha_of(f"{name} 0"): folder or Path("/nonexistent")}
        self.repos[name] = Repo(commits=commits, **said)
        return self.repos[name]

    def push(self, name: str, folder: Path, *, after: timedelta = timedelta(days=1)) -> str:
        """One more commit of a repository; its sha."""
        repo = self.repos[name]
        sha = sha_of(f"{name} {len(repo.commits)}")
        repo.commits[sha] = folder
        repo.modified += after
        return sha

    def paths(self, part: str = "") -> list[str]:
        return [path for _, path, _ in self.asked if part in path]

    @contextmanager
    def serve(self) -> Iterator["FakeHub"]:
        handler = type("Handler", (_Handler,), {"hub": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        self.hub.asked.append((self.command, self.path, self.headers.get("Range")))
        for trouble in self.hub.troubles:
            part, status, headers = trouble
            if part in self.path:
                self.hub.troubles.remove(trouble)
                return self.send(status, b"", headers)
        url = urlparse(self.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if parts == ["api", "models"]:
            return self.listing(parse_qs(url.query))
        is_api = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if is_api else parts[:2])
        rest = parts[4:] if is_api else parts[2:]
        repo = self.hub.repos.get(name)
        if repo is None:
            return self.refuse(404, "RepoNotFound")
        if repo.refuses is not None:
            return self.refuse(repo.refuses, "")
        revision = rest[1] if len(rest) > 1 else "main"
        sha = repo.commit(revision)
        if sha is None:
            return self.refuse(404, "RevisionNotFound")
        if is_api:
            return self.tree(repo, sha) if rest[:1] == ["tree"] else self.info(name, repo, sha)
        if repo.is_gated and not self.headers.get("Authorization"):
            return self.refuse(403, "GatedRepo")
        return self.file(repo, sha, "/".join(rest[2:]))

    def listing(self, query):
        wanted = query.get("filter", [])
        by = {"createdAt": "created", "lastModified": "modified"}[query["sort"][0]]
        found = [
            (name, repo)
            for name, repo in self.hub.repos.items()
            if all(tag in repo.tags for tag in wanted)
        ]
        found.sort(key=lambda one: getattr(one[1], by), reverse=True)
        start = int(query.get("cursor", ["0"])[0])
        page = found[start : start + self.hub.page_size]
        headers = {}
        if start + self.hub.page_size < len(found):
            query = {**query, "cursor": [str(start + self.hub.page_size)]}
            link = f"{self.hub.url}/api/models?{urlencode(query, doseq=True)}"
            headers["Link"] = f'<{link}>; rel="next"'
        answer = [self.said(name, repo, repo.sha) for name, repo in page]
        self.send(200, json.dumps(answer).encode(), headers)

    def said(self, name, repo, sha):
        return {
            "_id": sha_of(name)[:24], "id": name, "modelId": name, "sha": sha,
            "createdAt": f"{repo.created:%Y-%m-%dT%H:%M:%S.000Z}",
            "lastModified": f"{repo.modified:%Y-%m-%dT%H:%M:%S.000Z}",
            "gated": "auto" if repo.is_gated else False, "private": False, "disabled": False,
            "tags": list(repo.tags), "cardData": repo.card, "downloads": 1, "likes": 0,
        }  # fmt: skip

    def info(self, name, repo, sha):
        siblings = [
            {"rfilename": one["path"], "size": one["size"], "blobId": one["oid"]}
            | (
                {"lfs": {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": 130}}
                if (lfs := one.get("lfs"))
                else {}
            )
            for one in files(repo, sha)
        ]
        answer = self.said(name, repo, sha) | {"siblings": siblings}
        self.send(200, json.dumps(answer).encode(), {})

    def tree(self, repo, sha):
        self.send(200, json.dumps(files(repo, sha)).encode(), {})

    def file(self, repo, sha, name):
        path = repo.commits[sha] / name
        if name == "README.md":
            body = repo.readme.encode()
        elif path.is_file():
            body = path.read_bytes()
        else:
            return self.refuse(404, "EntryNotFound")
        known = {one["path"]: one for one in files(repo, sha)}
        headers = {"X-Repo-Commit": sha, "ETag": f'"{etag(known.get(name), body)}"'}
        status, whole = 200, len(body)
        if asked := self.headers.get("Range"):
            start, _, end = asked.removeprefix("bytes=").partition("-")
            last = min(int(end), whole - 1) if end else whole - 1
            body, status = body[int(start) : last + 1], 206
            headers["Content-Range"] = f"bytes {start}-{last}/{whole}"
        if self.command == "GET" and self.hub.cuts.get(name, 0) > 0:
            self.hub.cuts[name] -= 1
            self.send(status, body, headers, cut=len(body) // 2)
            self.close_connection = True
            return None
        return self.send(status, body, headers)

    def refuse(self, status, code):
        self.send(status, b"", {"X-Error-Code": code})

    def send(self, status, body, headers, cut=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])

    def log_message(self, *_):
        pass


def files(repo: Repo, sha: str) -> list[dict[str, object]]:
    """The tree of a commit, as the hub tells it: weights in large-file storage."""
    folder = repo.commits[sha]
    found: list[dict[str, object]] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        body = path.read_bytes()
        one: dict[str, object] = {
            "type": "file", "path": path.name, "size": len(body), "oid": blob_id(body),
        }  # fmt: skip
        if path.suffix in {".safetensors", ".bin", ".gguf"}:
            oid = repo.claims.get(path.name, hashlib.sha256(body).hexdigest())
            one["lfs"] = {"oid": oid, "size": len(body), "pointerSize": 130}
        elif path.name in repo.claims:
            one["oid"] = repo.claims[path.name]
        found.append(one)
    found += [
        {"type": "file", "path": name, "size": 10, "oid": sha_of(name)} for name in repo.extra_names
    ]
    return found


def blob_id(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


def etag(one: dict[str, object] | None, body: bytes) -> str:
    if one is None:
        return blob_id(body)
    lfs = one.get("lfs")
    return str(lfs["oid"] if isinstance(lfs, dict) else one["oid"])
