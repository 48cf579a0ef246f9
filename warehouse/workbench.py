"""SQL that a person typed: one `select` that reads tables and marts, and nothing else.

Ad-hoc SQL is code. A read-only attachment is no sandbox (COPY writes wherever reading is allowed,
extensions open files on their own, EXPLAIN ANALYZE executes), nor is a look at the statement's
kind. So a statement runs in a process of its own, `sandbox`, behind three fences: the kernel lets
it read the lake and write nothing, DuckDB's settings are locked, and the parsed statement names
only what is allowed. This side starts that process, keeps the time, and ends it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import polars as pl
import pyarrow as pa

from warehouse import sandbox
from warehouse.location import LakeError, Location
from warehouse.statement import refused, relation_names

__all__ = ["Answer", "Limits", "Question", "query", "relation_names", "stand_by"]

AT_ONCE = 2  # statements of this process; others wait for their turn
OPENING_S = 60.0  # a slow machine opens a lake in a few seconds
GRACE_S = 2.0  # from the interrupt to the kill
STAND_BY_S = 600.0  # how long a process is kept ready for a statement that may come
_HEADER_BYTES = 100_000
_SLACK_BYTES = 1_000_000  # what an Arrow stream takes beside its values
_CHUNK = 1 << 20
_COMMAND = (sys.executable, "-P", "-m", "warehouse.sandbox")
_KEPT_VARIABLES = ("HOME", "LD_LIBRARY_PATH", "SYSTEMROOT")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one statement may take."""

    rows: int = 10_000
    wall_s: float = 30.0
    memory_bytes: int = 1 << 30
    result_bytes: int = 128_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, or lines of a plan; whether there were more of them; which fences were missing."""

    frame: pl.DataFrame
    is_cut: bool
    duration_s: float
    missing: tuple[str, ...]


def query(
    sql: str,
    location: Location | None = None,
    limits: Limits | None = None,
    *,
    is_plan: bool = False,
) -> Answer:
    """Run one `select` over the lake's tables and marts; anything else is a LakeError."""
    question = Question(sql, location, limits, is_plan=is_plan)
    try:
        return question.answer()
    finally:
        question.cancel()


class Question:
    """A statement under way; it ends by itself, at the latest when its time is over."""

    def __init__(
        self,
        sql: str,
        location: Location | None = None,
        limits: Limits | None = None,
        *,
        is_plan: bool = False,
    ) -> None:
        """Start it; with `is_plan` it is planned and not run."""
        self.sql = sql
        self.limits = limits or Limits()
        self._location = location or Location.from_env()
        self._is_plan = is_plan
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped: str | None = None
        self._outcome: Answer | LakeError | None = None
        self._done = threading.Event()
        self._started = time.monotonic()
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def is_done(self) -> bool:
        """Whether there is an answer, or a reason why there is none."""
        return self._done.is_set()

    @property
    def elapsed_s(self) -> float:
        """Time since it was asked, its turn waited for among it."""
        return time.monotonic() - self._started

    def wait(self, seconds: float) -> bool:
        """Wait for so long at most; whether it is done."""
        return self._done.wait(seconds)

    def answer(self) -> Answer:
        """Wait for the answer; a LakeError when there is none."""
        self._done.wait()
        assert self._outcome is not None
        if isinstance(self._outcome, LakeError):
            raise self._outcome
        return self._outcome

    def cancel(self) -> None:
        """Stop it, if it is still under way."""
        self._stop("the statement was cancelled")

    def _stop(self, why: str) -> None:
        """Interrupt, and kill what does not end then."""
        with self._lock:
            if self._stopped or self.is_done:
                return
            self._stopped = why
            process = self._process
        if process is not None:
            if os.name == "posix":
                process.send_signal(signal.SIGINT)
                _later(GRACE_S, process.kill)
            else:
                process.kill()

    def _run(self) -> None:
        try:
            outcome = self._asked()
        except LakeError as error:
            outcome = error
        except OSError as error:
            outcome = refused(f"its process failed ({error.strerror}); ask again")
        with self._lock:
            self._outcome = outcome
        self._done.set()

    def _asked(self) -> Answer:
        self._wait_for_turn()
        process = None
        try:
            process, missing = _open_process(self._location, self.limits.memory_bytes)
            with self._lock:
                self._process = process
                stopped = self._stopped
            if stopped:
                raise refused(stopped)
            too_long = f"the statement took longer than {self.limits.wall_s:g} s; ask for less"
            timer = _later(self.limits.wall_s, lambda: self._stop(too_long))
            try:
                return self._exchange(process, missing)
            finally:
                timer.cancel()
        finally:
            if process is not None:
                _end(process)
            _turns.release()

    def _wait_for_turn(self) -> None:
        while not _turns.acquire(timeout=0.1):
            if self._stopped:
                raise refused(self._stopped)
            if self.elapsed_s > self.limits.wall_s:
                raise refused(f"{AT_ONCE} other statements are running; ask again in a moment")

    def _exchange(self, process: "subprocess.Popen[bytes]", missing: tuple[str, ...]) -> Answer:
        start = time.monotonic()
        assert process.stdin is not None and process.stdout is not None
        statement = sandbox.Statement(
            self.sql,
            self._is_plan,
            self.limits.rows,
            self.limits.result_bytes,
            self.limits.wall_s + GRACE_S,
        )
        try:
            process.stdin.write(sandbox.as_line(statement))
            process.stdin.flush()
        except BrokenPipeError:
            raise self._without_answer(process) from None
        header = _header(process)
        if header is None:
            raise self._without_answer(process)
        if "error" in header:
            raise LakeError(str(header["error"]))
        content = bytearray()
        most = self.limits.result_bytes + _SLACK_BYTES
        while chunk := process.stdout.read(_CHUNK):
            content += chunk
            if len(content) > most:
                raise refused("the answer is larger than it may be; ask for fewer rows")
        frame = _frame(content)
        if frame is None:
            raise self._without_answer(process)
        return Answer(frame, bool(header.get("is_cut")), time.monotonic() - start, missing)

    def _without_answer(self, process: "subprocess.Popen[bytes]") -> LakeError:
        """Why the process ended without an answer, as far as it can be told."""
        code = process.wait()
        if self._stopped:
            return refused(self._stopped)
        if os.name == "posix" and code == -signal.SIGXCPU:
            return refused(f"the statement computed longer than {self.limits.wall_s:g} s")
        return refused(
            "the statement ended its process, most often for want of memory; ask for less"
        )


def stand_by(location: Location | None = None, limits: Limits | None = None) -> None:
    """Have a process ready that has opened the lake, so that the next statement starts at once."""
    location = location or Location.from_env()
    _ready.fill(location, (limits or Limits()).memory_bytes)


class _Ready:
    """At most one process that waits for a statement, for a lake and an amount of memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: object = None
        self._process: subprocess.Popen[bytes] | None = None

    def fill(self, location: Location, memory_bytes: int) -> None:
        key = (location, location.identity(), memory_bytes)
        with self._lock:
            old = self._process
            if old is not None and old.poll() is None and self._key == key:
                return
            self._process = process = _start(location, memory_bytes)
            self._key = key
        if old is not None:
            _end(old)
        _later(STAND_BY_S, lambda: self._retire(process))

    def take(self, location: Location, memory_bytes: int) -> "subprocess.Popen[bytes] | None":
        key = (location, location.identity(), memory_bytes)
        with self._lock:
            if self._key != key:
                return None
            process, self._process = self._process, None
        return process

    def _retire(self, process: "subprocess.Popen[bytes]") -> None:
        with self._lock:
            if self._process is not process:
                return
            self._process = None
        _end(process)


_ready = _Ready()
_turns = threading.BoundedSemaphore(AT_ONCE)


def _open_process(
    location: Location, memory_bytes: int
) -> "tuple[subprocess.Popen[bytes], tuple[str, ...]]":
    """A process that has opened the lake, and the fences it could not have."""
    process = _ready.take(location, memory_bytes) or _start(location, memory_bytes)
    opened = _opening(process)
    if "error" in opened:
        # Once more: one that stood by may have died, and the last writer that closes a catalog
        # takes away the files that its readers share.
        process = _start(location, memory_bytes)
        opened = _opening(process)
    if "error" in opened:
        raise LakeError(str(opened["error"]))
    return process, tuple(cast(list[str], opened["missing"]))


def _opening(process: "subprocess.Popen[bytes]") -> dict[str, object]:
    """What the process says when it has opened the lake, or why it has not."""
    timer = _later(OPENING_S, process.kill)
    failed: dict[str, object] = {
        "error": "the workbench: its process could not open the lake; ask again"
    }
    opened = _header(process) or failed
    timer.cancel()
    if "error" in opened:
        _end(process)
    return opened


def _start(location: Location, memory_bytes: int) -> "subprocess.Popen[bytes]":
    location.share_catalog()
    process = subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(location),
        start_new_session=True,  # a Ctrl-C in our terminal is ours to pass on
    )
    assert process.stdin is not None
    setting = sandbox.Setting(**asdict(location), memory_bytes=memory_bytes)
    process.stdin.write(sandbox.as_line(setting))
    process.stdin.flush()
    return process


def environment(location: Location) -> dict[str, str]:
    """What the process needs and no more: it holds no secret but the catalog's."""
    root = str(Path(__file__).parent.parent)
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    kept["PYTHONPATH"] = os.pathsep.join([root, *filter(None, sys.path)])
    kept["PYTHONDONTWRITEBYTECODE"] = "1"
    kept["OMP_NUM_THREADS"] = kept["OPENBLAS_NUM_THREADS"] = "1"
    if location.is_postgres:
        kept |= {name: value for name, value in os.environ.items() if name.startswith("PG")}
        options = "-c default_transaction_read_only=on"
        kept["PGOPTIONS"] = f"{kept.get('PGOPTIONS', '')} {options}".strip()
    return kept


def _header(process: "subprocess.Popen[bytes]") -> "dict[str, object] | None":
    """The next line that the process says; None when it has ended."""
    assert process.stdout is not None
    line = process.stdout.readline(_HEADER_BYTES)
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return cast("dict[str, object]", said) if isinstance(said, dict) else None


def _frame(content: bytes | bytearray) -> pl.DataFrame | None:
    """The rows of an Arrow stream; None when it breaks off."""
    try:
        table = pa.ipc.open_stream(pa.py_buffer(content)).read_all()
    except pa.ArrowInvalid:
        return None
    try:
        return cast(pl.DataFrame, pl.from_arrow(table))
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise refused(f"cannot show a column ({error}); cast it to varchar") from error


def _later(seconds: float, what: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, what)
    timer.daemon = True
    timer.start()
    return timer


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
