"""`cicatrix doctor`: versions, devices, lake, disk, and what to do about what is wrong."""

import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows import environment
from warehouse import read
from warehouse.lake import LakeError, Location, home, make_default

LIBRARIES = {
    "torch": "measure",
    "transformers": "measure",
    "duckdb": "",
    "duckdb-extension-ducklake": "",
    "polars": "",
    "prefect": "flows",
    "streamlit": "dashboard",
    "gguf": "gguf",
    "duckdb-extension-postgres-scanner": "postgres",
}
OPTIONAL = {"gguf", "duckdb-extension-postgres-scanner"}
LOW_DISK_BYTES = 2_000_000_000


class Finding(NamedTuple):
    """One line of the report."""

    what: str
    state: str  # 'ok', 'note' (nothing to do) or 'problem'
    detail: str
    remedy: str = ""


def report() -> int:
    """Print every finding; 1 if one of them is a problem."""
    findings = [*_versions(), *_devices(), *_disk(), *_lake(), *_server()]
    table = Table("what", "state", "found", "what to do")
    for finding in findings:
        table.add_row(*(escape(cell) for cell in finding[:3]), escape(finding.remedy))
    console = Console()
    (console if console.is_terminal else Console(width=140)).print(table)
    return int(any(finding.state == "problem" for finding in findings))


def _versions() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}")
    for name, extra in LIBRARIES.items():
        try:
            yield Finding(name, "ok", version(name))
        except PackageNotFoundError:
            wanted = f"cicatrix[{extra}]" if extra else "cicatrix"
            state = "note" if name in OPTIONAL else "problem"
            yield Finding(name, state, "not installed", f"pip install '{wanted}'")


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except ImportError:
        remedy = "pip install 'cicatrix[measure]'"
        yield Finding("device", "problem", "torch is not installed", remedy)
        return
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    for index, name in enumerate(names):
        free, total = torch.cuda.mem_get_info(index)
        memory = f"{free / 1e9:.0f} of {total / 1e9:.0f} GB free"
        yield Finding(f"cuda:{index}", "ok", f"{name}, {memory}")
    yield Finding("cpu", "ok", f"{torch.get_num_threads()} threads")


def _disk() -> Iterator[Finding]:
    folder = home()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    enough = free >= LOW_DISK_BYTES
    yield Finding(
        "disk",
        "ok" if enough else "problem",
        f"{free / 1e9:,.1f} GB free for {home()}",
        "" if enough else "free some space, or set CICATRIX_HOME to a larger disk",
    )


def _lake() -> Iterator[Finding]:
    try:
        make_default()
        location = Location.from_env()
        n_measurements = read.table("measurement").height
        n_complete = read.mart("run").filter(state="complete").height
    except LakeError as error:
        yield Finding("lake", "problem", str(error), "do as it says, then run doctor again")
        return
    yield Finding(
        "lake", "ok", f"{location.name}: {n_complete:,} of {n_measurements:,} measurements complete"
    )


def _server() -> Iterator[Finding]:
    url = environment.running_server()
    if url is None:
        yield Finding("Prefect server", "note", "none is up here", "`cicatrix up` starts one")
    else:
        yield Finding("Prefect server", "ok", url)
