"""How long a page takes, and how many marks its charts are sent: over a large lake.

    python -m tests.benchmarks.pages --home FOLDER [--direct] [--only PAGE ...]

FOLDER is one that `tests.benchmarks.big_lake` made. Each page's script is run in this process by
Streamlit's AppTest, which draws no pixels: what the server does for one view. A first view is
that of a new session with nothing cached; an interaction sets one control to another value.
`--direct` asks the lake itself, as the pages did before marts were kept. CPU seconds are of all
threads: on an idle machine of two cores a run takes no longer than these.
"""

import argparse
import itertools
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import AppTest, local_script_runner

from dashboard import data, live
from tests.dashboard.marks import marks_of
from warehouse import kept, read

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
PAGES = tuple(sorted(path.stem for path in (APP.parent / "app_pages").glob("[a-z]*.py")))
FIRST_VIEWS, INTERACTIONS = 3, 20
# Between two interactions a person reads; meanwhile a process makes ready for the next statement.
READING_S = {"sql": 2.0}


class Direct:
    """The lake itself, in place of what is kept."""

    @staticmethod
    def mart(name: str, location: Any = None, *, seen_since: Any = None, **asked: Any) -> Any:  # noqa: ARG004
        """Rows as of now: nothing was seen before."""
        return read.mart(name, location, **asked)

    @staticmethod
    def state(name: str, location: Any = None, *, seen_since: Any = None, **instant: Any) -> str:  # noqa: ARG004
        """What a page took for a mart's state."""
        return str(read.newest(name, location, **instant))


def main(arguments: Sequence[str]) -> int:
    """Time every page and write a table; 1 where one failed."""
    parser = argparse.ArgumentParser(prog="pages", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--direct", action="store_true")
    parser.add_argument("--only", nargs="*", choices=PAGES, default=PAGES)
    args = parser.parse_args(arguments)
    os.environ["CICATRIX_HOME"] = str(args.home)
    compiled = ScriptCache()  # a server compiles a page once; AppTest alone does at each run
    local_script_runner.ScriptCache = lambda: compiled  # pyright: ignore[reportAttributeAccessIssue, reportPrivateImportUsage]
    if args.direct:
        data.kept = live.kept = Direct  # pyright: ignore[reportAttributeAccessIssue]
    else:
        _say(f"all that is kept, worked out anew in {kept.refresh():.1f} s")
    _say(f"load {os.getloadavg()[0]:.1f}; seconds of the clock, and of CPU in brackets\n")
    _say("| page | first view | p50 | p95 | max | n | marks, at most | |")
    _say("|---|---|---|---|---|---|---|---|")
    failed = [page for page in args.only if not _timed(page)]
    _say(f"\nload {os.getloadavg()[0]:.1f}")
    return 1 if failed else 0


def _timed(page: str) -> bool:
    """One row of the table; whether no run raised."""
    first: list[tuple[float, float]] = []
    marks: list[int] = []
    app = None
    for _ in range(FIRST_VIEWS):
        st.cache_resource.clear()
        app = AppTest.from_file(str(APP), default_timeout=600)
        app.switch_page(f"app_pages/{page}.py")
        first.append(_run(app))
        marks += marks_of(app)
    assert app is not None
    later: list[tuple[float, float]] = []
    for _ in itertools.islice(interactions(app), INTERACTIONS):
        later.append(_run(app))
        marks += marks_of(app)
        time.sleep(READING_S.get(page, 0.0))
    said = [str(error.value) for error in (*app.exception, *app.error)]
    told = "; ".join(" ".join(line.split())[:80] for line in said)
    cells = (
        [max(first), *(_quantile(later, q) for q in (0.5, 0.95, 1.0))]
        if later
        else [max(first)] * 4
    )
    times = " | ".join(f"{clock:.2f} ({cpu:.2f})" for clock, cpu in cells)
    _say(f"| {page} | {times} | {len(later)} | {max(marks, default=0):,} | {told} |")
    return not said


def _run(app: AppTest) -> tuple[float, float]:
    clock, cpu = time.perf_counter(), time.process_time()
    app.run()
    return time.perf_counter() - clock, time.process_time() - cpu


def interactions(app: AppTest) -> Iterator[None]:
    """Each control in turn, set to its next value."""
    for turn in itertools.count(1):
        n_moved = 0
        for kind in ("selectbox", "button_group"):
            for place in range(len(getattr(app, kind) if kind == "selectbox" else app.get(kind))):
                widgets = app.get(kind)
                if place >= len(widgets):
                    continue
                widget: Any = widgets[place]
                options = widget.options
                if len(options) < 2:
                    continue
                if kind == "selectbox":
                    widget.select_index((turn * 7) % len(options))
                else:
                    wanted = options[turn % len(options)]
                    is_many = isinstance(widget.value, list)
                    widget.set_value([wanted] if is_many else wanted)
                n_moved += 1
                yield
        if not n_moved:
            return


def _quantile(runs: list[tuple[float, float]], q: float) -> tuple[float, float]:
    """Of clock and CPU each, between the runs."""

    def of(values: list[float]) -> float:
        ordered = sorted(values)
        if q == 0.5:
            return statistics.median(ordered)
        return ordered[min(len(ordered) - 1, round(q * (len(ordered) - 1)))]

    return of([clock for clock, _ in runs]), of([cpu for _, cpu in runs])


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
