"""What a process may still do once it is to run what a person typed: read the lake, and answer.

On Linux the kernel holds the fences: Landlock (files read below a few folders alone, no TCP but
to the catalog's server) and resource limits, none of which a process can take back. They also hold
for root. Elsewhere, or on a kernel without Landlock, what cannot be had is returned as a sentence,
for somebody to say.
"""

import ctypes
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import resource

# The numbers are the same on every architecture (asm-generic/unistd.h, since Linux 5.13).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_RULE, _PORT_RULE = 1, 2
_NO_NEW_PRIVILEGES = 38
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_CONNECT_TCP = 1 << 1
_O_PATH = getattr(os, "O_PATH", 0)
# Rights over files that each version of Landlock can take away, by the number of the version.
_N_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_MOST_FILE_RIGHTS = 16  # since version 5
_BOTH_TCP_RIGHTS = 0b11  # bind and connect, since version 4
_BOTH_SCOPES = 0b11  # abstract UNIX sockets and signals to other processes, since version 6

NO_LANDLOCK = (
    "this system has no Landlock, so only DuckDB's own settings keep a statement from files "
    "outside the lake"
)
NO_LIMITS = "this system limits neither file size nor memory of a process"
NO_TCP_RULE = (
    "the kernel does not keep a statement from the network (Linux before 6.7, or a catalog whose "
    "port stands in a service file), only DuckDB's own settings do"
)


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _PortRule(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def landlock_version() -> int:
    """The version of the kernel's Landlock; 0 where there is none."""
    libc = _libc()
    return max(libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG), 0) if libc else 0


def read_only(readable: Iterable[Path], ports: Sequence[int] | None) -> list[str]:
    """Let this process, from now on, read below these paths, write nowhere and start nothing.

    It may connect to these TCP ports; None leaves the network open, where the port is not known.
    What could not be had, as sentences. Call it before any other thread is started: it holds for
    the calling one and those that it starts.
    """
    libc, version = _libc(), landlock_version()
    if libc is None or version < 1:
        return [NO_LANDLOCK]
    closes_network = version >= 4 and ports is not None
    wanted = _Ruleset(
        files=(1 << _N_FILE_RIGHTS.get(version, _MOST_FILE_RIGHTS)) - 1,
        network=_BOTH_TCP_RIGHTS if closes_network else 0,
        scopes=_BOTH_SCOPES if version >= 6 else 0,
    )
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(wanted), ctypes.sizeof(wanted), 0)
    if ruleset < 0:
        return [NO_LANDLOCK]
    try:
        for path in readable:
            _allow_reading(libc, ruleset, path)
        for port in (ports or ()) if closes_network else ():
            rule = _PortRule(_CONNECT_TCP, port)
            libc.syscall(_ADD_RULE, ruleset, _PORT_RULE, ctypes.byref(rule), 0)
        refused = libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.syscall(
            _RESTRICT_SELF, ruleset, 0
        )
    finally:
        os.close(ruleset)
    if refused:
        return [NO_LANDLOCK]
    return [] if closes_network else [NO_TCP_RULE]


def no_file_grows() -> list[str]:
    """Let this process write no byte to any file, and leave no core; as `read_only` answers."""
    if sys.platform == "win32":
        return [NO_LIMITS]
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return []


def bound_memory(more_bytes: int) -> None:
    """Let this process take so much more address space than it has now."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + more_bytes)


def bound_cpu(more_s: float) -> None:
    """Let this process compute for so much longer; the kernel ends it after that."""
    if sys.platform != "win32":
        used = resource.getrusage(resource.RUSAGE_SELF)
        _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + more_s) + 1)


def give_way() -> None:
    """Let everybody else's work on this machine go first."""
    if sys.platform != "win32":
        with suppress(OSError):
            os.nice(10)


def _lower(kind: int, limit: int) -> None:
    _, most = resource.getrlimit(kind)
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(kind, (limit, limit))


def _libc() -> "ctypes.CDLL | None":
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _allow_reading(libc: ctypes.CDLL, ruleset: int, path: Path) -> None:
    try:
        opened = os.open(path, _O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there cannot be read
    try:
        rights = _READ_FILE | _READ_FOLDER if path.is_dir() else _READ_FILE
        rule = _PathRule(rights, opened)
        libc.syscall(_ADD_RULE, ruleset, _PATH_RULE, ctypes.byref(rule), 0)
    finally:
        os.close(opened)
