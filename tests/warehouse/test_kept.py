"""What is kept for the pages is what the lake says, at every moment."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.dashboard.ablations import add_ablations
from tests.dashboard.conftest import add_derivative, add_distance, add_structural
from tests.dashboard.features import add_features
from tests.dashboard.insides import add_insides
from tests.dashboard.steps import add_steps
from tests.dashboard.traces import add_rankings, add_traces
from tests.warehouse.making import distance_row, measurement, model, template_row
from warehouse import kept, read
from warehouse.lake import Lake, LakeError
from warehouse.relations import relations

OF_THE_CLOCK = ("run", "run_unit")
SCARS = (400, 450, 420, 900)  # by seed, multiples of epsilon: the median but the largest is 420


@pytest.fixture(autouse=True)
def nothing_open() -> Iterator[None]:
    yield
    kept.forget()


@pytest.fixture
def lake(home: Path) -> Iterator[Lake]:
    """A derivative, its base and a stranger."""
    with Lake.open() as opened:
        for family, tau in (("llama", 0.2), ("qwen2", 0.5)):
            add_structural(opened, f"{family}-base", family, dict.fromkeys((0, 1, 2, 123), tau))
        add_derivative(opened, "llama-distilled", SCARS)
        add_distance(opened, "llama-distilled", "llama-base", "free", centroid=0.5, crp=2.0)
        yield opened


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort([c for c, kind in frame.schema.items() if not kind.is_nested()])


def assert_same(name: str, as_of: datetime | None = None) -> int:
    """How many rows both ways give, the same."""
    direct = read.mart(name, as_of=as_of)
    assert_frame_equal(in_order(kept.mart(name, as_of=as_of)), in_order(direct), rel_tol=1e-12)
    return direct.height


@pytest.mark.slow
def test_every_mart_is_the_same_kept_and_not(lake: Lake):
    for add in (add_traces, add_rankings, add_ablations, add_insides, add_features, add_steps):
        add(lake)
    marts = [name for name in relations("marts") if name not in OF_THE_CLOCK]
    filled = {name for name in marts if assert_same(name)}
    # A mart without rows says nothing of whether it is the same.
    assert len(filled & kept.KEPT) >= 20
    kept.refresh()
    for name in kept.KEPT & set(marts):
        assert_same(name)


def test_what_is_new_shows_at_once(lake: Lake):
    assert kept.mart("structural_scar")["derivative"].to_list() == ["llama-distilled"]
    before = kept.state("structural_scar")
    add_derivative(lake, "llama-tuned", (1, 2, 3, 4))
    assert kept.state("structural_scar") != before
    assert set(kept.mart("structural_scar")["derivative"]) == {"llama-distilled", "llama-tuned"}
    lake.declare(_organism(), instead_of=None)
    assert kept.mart("structural_scar", derivative_id="llama-tuned")["is_distilled"].item() is False


def test_a_look_at_the_lake_since_that_moment_is_enough(lake: Lake):
    began = time.monotonic()
    kept.mart("structural_scar", seen_since=began)
    before = kept.state("structural_scar", seen_since=began)
    add_derivative(lake, "llama-tuned", (1, 2, 3, 4))
    assert kept.state("structural_scar", seen_since=began) == before
    assert kept.mart("structural_scar", seen_since=began).height == 1
    assert kept.mart("structural_scar", seen_since=time.monotonic()).height == 2
    assert kept.state("structural_scar", seen_since=began) != before


def test_what_a_mart_does_not_see_changes_neither_its_state_nor_its_table(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
):
    kept.mart("structural_distance"), kept.mart("functional_distance")
    before = kept.state("structural_distance")
    made = _made(monkeypatch)
    add_distance(lake, "llama-distilled", "llama-base", "forced", centroid=0.5, crp=2.0)
    assert kept.state("structural_distance") == before
    kept.mart("structural_distance")
    assert "structural_distance" not in made
    kept.mart("functional_distance")
    assert "functional_distance" in made


def test_an_unfinished_measurement_changes_nothing(lake: Lake):
    states = {name: kept.state(name) for name in ("summary", "evidence", "triangle", "fisher")}
    lake.plan(
        {
            "measurement_id": "half", "method": "structural", "method_version": 1,
            "prompt_set": "bank", "prompt_set_sha256": "5e7", "seeds": [0, 1], "dtype": "float32",
            "backend": "transformers", "device_kind": "cpu", "replicate": 0, "options": "{}",
            "text_sha256": None, "n_units": 2, "batch_size": 8, "code_version": "0",
            "library_versions": "{}",
        },
        {"model": "llama-base"},
    )  # fmt: skip
    lake.append_unit("half", "seed-0", {}, 1.0)
    assert {name: kept.state(name) for name in states} == states
    lake.append_unit("half", "seed-1", {}, 1.0)
    assert kept.state("summary") != states["summary"]


@pytest.mark.slow
def test_the_past_is_kept_beside_the_present(lake: Lake):
    then = datetime.now(UTC)
    add_derivative(lake, "llama-tuned", (1, 2, 3, 4))
    assert (assert_same("structural_scar", then), assert_same("structural_scar")) == (1, 2)
    before_all = datetime.now(UTC) - timedelta(days=1)
    assert assert_same("summary", before_all) == 0


def test_another_process_finds_what_was_kept(lake: Lake, monkeypatch: pytest.MonkeyPatch):
    kept.mart("summary")
    kept.forget()
    made = _made(monkeypatch)
    assert kept.mart("summary")["median_non_max_x_eps"].item() == pytest.approx(420)
    assert made == []


def test_other_sql_makes_it_anew(lake: Lake, monkeypatch: pytest.MonkeyPatch):
    kept.mart("summary")
    kept.forget()
    made = _made(monkeypatch)
    by = kept._made_by  # pyright: ignore[reportPrivateUsage]
    changed = {"structural_scar", "summary"}
    monkeypatch.setattr(kept, "_made_by", lambda name: "other" if name in changed else by(name))
    kept.mart("summary")
    assert set(made) == changed


@pytest.mark.slow
def test_of_two_processes_the_second_keeps_its_own(lake: Lake, home: Path):
    kept.mart("structural_scar")
    kept.forget()
    (file,) = (home / "cache").glob("marts-*.duckdb")
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin and other.stdout
        other.stdout.readline()
        assert assert_same("structural_scar") == 1
        other.stdin.close()


def test_templates_of_new_comparisons_are_added_to_those_kept(lake: Lake):
    """A table that only grows is the same as one made at once."""
    sql = "select measurement_id, role, k, shift from stg_gap_shift where k < 3 order by all"

    def shifts() -> list[tuple[object, ...]]:
        store = kept._store(lake.location, None)  # pyright: ignore[reportPrivateUsage]
        assert store is not None
        return store.frame(sql, []).rows()

    _compare(lake, "one", {"base": [1.0] * 20, "derivative": [3.0, *[1.0] * 19]})
    first = [("one", "derivative", 1, 2.0), ("one", "derivative", 2, 0.0)]
    assert shifts() == first
    _compare(lake, "two", {"base": [0.0] * 20, "derivative": [0.5] * 20})
    second = [("two", "derivative", 1, 0.5), ("two", "derivative", 2, 0.5)]
    assert shifts() == first + second
    kept.forget()
    assert shifts() == first + second


@pytest.mark.slow
def test_readers_never_see_what_is_older_than_their_question(lake: Lake):
    """Four threads ask while a writer adds derivatives: each sees all that was added before."""
    n_added, wrong = [1], []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            least = n_added[0]
            seen = kept.mart("structural_scar").height
            if seen < least:
                wrong.append((seen, least))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(6):
        add_derivative(lake, f"llama-{number}", (1, 2, 3, 4))
        n_added[0] += 1
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert kept.mart("structural_scar").height == 7


def test_what_changed_is_worked_out_before_anybody_asks(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kept, "KEPT", frozenset({"structural_scar"}))
    monkeypatch.setattr(kept, "_REST_S", 0.01)
    done, seen = threading.Event(), threading.Event()
    made = _made(monkeypatch)
    work_out = kept.Store._work_out  # pyright: ignore[reportPrivateUsage]

    def noted(store: kept.Store, name: str, wanted: str) -> None:
        work_out(store, name, wanted)
        seen.set()

    monkeypatch.setattr(kept.Store, "_work_out", noted)
    ready = threading.Thread(target=kept.keep_ready, args=(lake.location, done))
    ready.start()
    try:
        assert seen.wait(30)
        seen.clear()
        add_derivative(lake, "llama-tuned", (1, 2, 3, 4))
        assert seen.wait(30)
    finally:
        done.set()
        ready.join()
    assert set(made) == {"structural_scar"}


@pytest.mark.slow
def test_a_lake_made_anew_in_the_same_place_is_another_one(home: Path, lake: Lake):
    assert kept.mart("structural_scar").height == 1
    lake.close()
    shutil.rmtree(home / "lake")
    assert kept.mart("structural_scar").is_empty()
    with Lake.open() as other:
        add_structural(other, "llama-base", "llama", {0: 0.5})
        assert kept.mart("structural_scar").is_empty()
        assert kept.mart("holding")["n_measurements"].to_list() == [1]


def test_what_cannot_be_asked_is_said(lake: Lake):
    with pytest.raises(LakeError, match="there is no mart 'scars'"):
        kept.mart("scars")
    with pytest.raises(LakeError, match="there is no mart 'scars'"):
        kept.state("scars")
    with pytest.raises(LakeError, match="'summary' has no column 'model'"):
        kept.mart("summary", model="x")
    assert kept.mart("summary", derivative_id="llama-distilled").height == 1


def _compare(lake: Lake, name: str, templates: dict[str, list[float]]) -> None:
    """One prompt of each role's model, and their comparison."""
    models = {role: f"{name}-{role}" for role in templates}
    lake.add_models([model(one) for one in models.values()])
    for role, template in templates.items():
        lake.plan(measurement(f"t-{name}-{role}", "template", 1), {"model": models[role]})
        rows = {"prompt_template": [template_row("p", template=template)]}
        lake.append_unit(f"t-{name}-{role}", "all", rows, 1)
    inputs = ",".join(f'"{role}":"t-{name}-{role}"' for role in templates)
    options = f'{{"inputs":{{{inputs}}},"mode":"free"}}'
    lake.plan(measurement(name, "template_distance", 1, options=options), models)
    lake.append_unit(name, "all", {"template_distance": [distance_row("derivative")]}, 1)


def _made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is worked out from now on."""
    names: list[str] = []
    work_out: Callable[..., None] = kept.Store._work_out  # pyright: ignore[reportPrivateUsage]

    def noted(store: kept.Store, name: str, wanted: str) -> None:
        names.append(name)
        work_out(store, name, wanted)

    monkeypatch.setattr(kept.Store, "_work_out", noted)
    return names


def _organism() -> dict[str, object]:
    return {
        "model_id": "llama-tuned", "name": "llama-tuned", "method": "sft", "role": "derivative",
        "is_distilled": False, "base_id": "llama-base", "teacher_id": None, "seed": None,
        "is_shipped": False, "declared_by": "user",
    }  # fmt: skip
