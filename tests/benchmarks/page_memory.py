"""What a page left open costs: the memory of this process while a session is refreshed.

    python -m tests.benchmarks.page_memory --home FOLDER [--minutes 5] [--page overview]

FOLDER is one that `tests.benchmarks.big_lake` made. The page is run anew without a rest, which is
far more often than once in 5 s as an open page looks; every 20th time with nothing cached, as
after something new was measured.
"""

import argparse
import gc
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.benchmarks.pages import APP, PAGES
from warehouse import kept

WARM_UP = 40  # runs before memory is first taken


def main(arguments: Sequence[str]) -> int:
    """Refresh for so long and print the resident set as it goes."""
    parser = argparse.ArgumentParser(prog="page_memory")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--page", choices=PAGES, default="overview")
    args = parser.parse_args(arguments)
    os.environ["CICATRIX_HOME"] = str(args.home)
    kept.refresh()
    app = AppTest.from_file(str(APP), default_timeout=600)
    app.switch_page(f"app_pages/{args.page}.py")
    for number in range(WARM_UP):
        _refresh(app, number)
    started, told, number = time.monotonic(), -1.0, 0
    while (minutes := (time.monotonic() - started) / 60) < args.minutes:
        if minutes - told >= args.minutes / 5:
            told = minutes
            _say(minutes, number)
        _refresh(app, number)
        number += 1
    _say((time.monotonic() - started) / 60, number)
    return 0


def _refresh(app: AppTest, number: int) -> None:
    if number % 20 == 0:
        st.cache_resource.clear()
    app.run()
    assert not app.exception


def _say(minutes: float, number: int) -> None:
    gc.collect()
    rss = psutil.Process().memory_info().rss / 2**20
    sys.stdout.write(f"{minutes:5.1f} min, {number:5} runs: {rss:,.0f} MB\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
