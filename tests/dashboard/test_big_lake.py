"""The pages over a synthetic lake larger than any chart may show: bounds on marks and memory."""

import gc
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.benchmarks import big_lake
from tests.benchmarks.pages import PAGES, interactions
from tests.dashboard.marks import MOST, marks_of
from warehouse import kept, read
from warehouse.lake import Location

GROWTH_MB = 60  # after warm-up; a page's frames that were not let go would be more in a minute
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def big_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """152 models and their synthetic records; nothing writes to it."""
    made = tmp_path_factory.mktemp("big")
    big_lake.fill(Location.from_env({"CICATRIX_HOME": str(made)}), 152, 1_000_000)
    return made


@pytest.fixture
def big(big_home: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    assert big_home != home
    monkeypatch.setenv("CICATRIX_HOME", str(big_home))
    yield big_home
    kept.forget()


def test_no_chart_is_sent_more_marks_than_it_may(big: Path, page):
    """Though there are charts whose rows are more, so that the bound is seen to act."""
    assert read.mart("structural_distance").height + read.mart("structural_scar").height > 1_500
    steps = read.mart("crosscoder_training").group_by("measurement_id").len()
    assert steps["len"].max() * 5 > 400
    most = {}
    for name in PAGES:
        app = page(name)
        seen = marks_of(app)
        for _ in itertools.islice(interactions(app), 4):
            app.run()
            seen += marks_of(app)
        assert not app.exception, name
        most[name] = max(seen, default=0)
    assert {name: n for name, n in most.items() if n > MOST} == {}
    assert sum(n > 0 for n in most.values()) >= 8  # the count sees charts at all


def test_memory_does_not_grow_while_a_page_is_refreshed(big: Path, page):
    app = page("overview")
    for _ in range(5):
        app.run()
    before, n_runs, end = _rss_mb(), 0, time.monotonic() + 30
    while time.monotonic() < end:
        app.run()
        n_runs += 1
    grown = _rss_mb() - before
    assert n_runs >= 5
    assert grown < GROWTH_MB, f"{grown:.0f} MB over {n_runs} runs"


def _rss_mb() -> float:
    gc.collect()
    return psutil.Process(os.getpid()).memory_info().rss / 2**20
