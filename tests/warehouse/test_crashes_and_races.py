"""Writers that are killed, and writers that meet: real processes, on either kind of catalog."""

import os
import random
import signal
import statistics
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from making import add_structural

from warehouse import checks, read
from warehouse.attach import connect
from warehouse.lake import Lake, Location
from warehouse.relations import Views

ROOT = Path(__file__).parents[2]
N_UNITS = 40
N_ODD = 130
N_KILLS = 14


def start_writer(env: dict[str, str], measurement_id: str, n_units: int) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "writer.py"), measurement_id]
        + [str(n_units), str(N_ODD)],
        env={**os.environ, **env, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def sqlite(tmp_path: Path) -> dict[str, str]:
    return {"CICATRIX_HOME": str(tmp_path / "home")}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_writer_loses_nothing_and_doubles_nothing(sqlite, tmp_path):
    rng = random.Random(0)
    location = Location.from_env(sqlite)
    (tmp_path / "go").touch()
    env = {**sqlite, "WRITER_GO": str(tmp_path / "go")}
    said: list[str] = []
    n_killed = 0
    number = 0
    while n_killed < N_KILLS:
        assert number < 3 * N_KILLS, "the writer was always done before it was killed"
        # A new measurement now and then, so that plans are interrupted as well.
        writer = start_writer(env, f"s{number // 4}", N_UNITS)
        number += 1
        assert writer.stdout is not None
        first = writer.stdout.readline() if rng.random() < 0.8 else "killed while it opens"
        time.sleep(rng.uniform(0.0, 1.5))
        writer.send_signal(signal.SIGKILL)
        rest, _ = writer.communicate()
        n_killed += writer.returncode == -signal.SIGKILL
        for line in (first + rest).splitlines():
            if line.startswith("prompts-"):
                said.append(f"s{(number - 1) // 4} {line.split()[0]}")
        broken = {name: rows.height for name, rows in checks.run(location).items() if rows.height}
        assert not broken, f"after kill {n_killed}: {broken}"
        units = read.table("unit", location)
        there = {f"{row['measurement_id']} {row['unit']}" for row in units.to_dicts()}
        assert set(said) <= there, "a committed unit is lost"
    assert len(said) > N_KILLS
    assert len(said) == len(set(said))
    for resumed in {f"s{i // 4}" for i in range(number)}:
        assert start_writer(env, resumed, N_UNITS).wait(60) == 0
        rows = read.table("prompt_template", location, measurement_id=resumed)
        assert rows.height == N_UNITS // 2 * (30 + N_ODD)
    assert read.table("unit", location).height == N_UNITS * len({i // 4 for i in range(number)})
    checks.require_good(location)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_four_writers_at_once_two_of_them_the_same_measurement(kind, request, tmp_path):
    env: dict[str, str] = request.getfixturevalue(kind)
    location = Location.from_env(env)
    env = {**env, "WRITER_GO": str(tmp_path / "go")}
    names = ["a", "b", "shared", "shared"]
    writers = [start_writer(env, name, N_UNITS) for name in names]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n", writer.communicate()
    reader = connect(location, read_only=True)
    half = checks.queries()["unit_rows_differ"]
    Views(reader).define(half)
    (tmp_path / "go").touch()
    seen: list[int] = []
    while any(writer.poll() is None for writer in writers):
        # One statement sees one snapshot: units and records of the same instant.
        assert reader.execute(half).fetchall() == [], "half a unit was seen"
        seen += reader.execute("select count(*) from unit").fetchone()
        time.sleep(0.02)
    outputs = [writer.communicate() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4, outputs
    lines = [out.splitlines() for out, _ in outputs]
    assert [len(lines[0]), len(lines[1])] == [N_UNITS, N_UNITS]
    shared = [line.split()[0] for line in lines[2] + lines[3]]
    assert len(shared) == len(set(shared)) == N_UNITS, "each unit has one author"
    assert seen == sorted(seen) and len({n for n in seen if 0 < n < 3 * N_UNITS}) > 5
    assert read.table("unit", location).height == 3 * N_UNITS
    rows_wanted = 3 * N_UNITS // 2 * (30 + N_ODD)
    assert read.table("prompt_template", location).height == rows_wanted
    checks.require_good(location)
    times = [float(line.split()[1]) for out in lines for line in out]
    report = f"{kind}: append p50 {statistics.median(times):.3f} s, reads {len(seen)}"
    (tmp_path / "report").write_text(report)
    sys.stderr.write(report + "\n")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_workers_on_postgres_one_of_them_killed(postgres, tmp_path):
    """On one measurement and on two; who is left never fails, and nothing is lost or doubled."""
    rng = random.Random(1)
    location = Location.from_env(postgres)
    (tmp_path / "go").touch()
    env = {**postgres, "WRITER_GO": str(tmp_path / "go")}
    wanted: set[str] = set()
    n_killed = 0
    for number, names in enumerate([("s0", "s0"), ("a1", "b1"), ("s2", "s2"), ("s3", "s3")]):
        writers = [start_writer(env, name, N_UNITS) for name in names]
        heard = [writer.stdout.readline() for writer in writers if writer.stdout]
        assert heard == ["open\n"] * 2
        time.sleep(rng.uniform(0.1, 1.0))
        killed, left = writers[number % 2], writers[1 - number % 2]
        killed.send_signal(signal.SIGKILL)
        said = [killed.communicate(timeout=60)[0], left.communicate(timeout=120)[0]]
        n_killed += killed.returncode == -signal.SIGKILL
        assert left.returncode == 0, left.stderr
        again = start_writer(env, names[number % 2], N_UNITS)
        said.append(again.communicate(timeout=120)[0])
        assert again.returncode == 0
        wanted |= set(names)
        pairs = zip(
            (names[number % 2], names[1 - number % 2], names[number % 2]), said, strict=True
        )
        done = [f"{name} {line.split()[0]}" for name, text in pairs
                for line in text.splitlines() if line.startswith("prompts-")]  # fmt: skip
        units = read.table("unit", location)
        there = {f"{row['measurement_id']} {row['unit']}" for row in units.to_dicts()}
        assert len(done) == len(set(done)), "a unit with two authors"
        assert set(done) <= there, "a committed unit is lost"
        assert units.height == len(there) == N_UNITS * len(wanted)
        rows = read.table("prompt_template", location)
        assert rows.height == len(wanted) * N_UNITS // 2 * (30 + N_ODD)
    assert n_killed >= 3, "the writers were done before they were killed"
    checks.require_good(location)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_compaction_takes_nothing_from_a_running_writer(sqlite, tmp_path):
    """Again and again, keeping no history at all, so that every loose file is one to delete."""
    location = Location.from_env(sqlite)
    (tmp_path / "go").touch()
    # Without its pauses a quick writer is done before the second compaction has had the lock.
    env = {**sqlite, "WRITER_GO": str(tmp_path / "go"), "WRITER_PAUSE": "0.3"}
    writer = start_writer(env, "w", N_UNITS)
    assert writer.stdout is not None and writer.stdout.readline() == "open\n"
    n_compacted = 0
    with Lake.open(location) as lake:
        while writer.poll() is None and n_compacted < 3:
            lake.compact(keep=timedelta(0))
            n_compacted += writer.poll() is None
            time.sleep(0.3)  # the lock is nobody's turn: the writer would find it taken each time
    said, _ = writer.communicate(timeout=120)
    assert writer.returncode == 0, said
    assert n_compacted > 1
    assert read.table("unit", location).height == N_UNITS
    rows = read.table("prompt_template", location)
    assert rows.height == rows["prompt_id"].n_unique() == N_UNITS // 2 * (30 + N_ODD)
    checks.require_good(location)


@pytest.mark.slow
def test_history_and_loose_files_go_when_they_are_old_and_measurements_never(sqlite):
    location = Location.from_env(sqlite)
    with Lake.open(location) as lake:
        for number in range(3):
            add_structural(lake, f"m{number}", {0: [0.5] * 4})

        def snapshots():
            return lake.query("select count(*) as n from ducklake_snapshots('lake')")["n"].item()

        before = snapshots()
        folder = location.data_folder
        assert folder is not None
        young, old = folder / "main" / "young.parquet", folder / "main" / "old.parquet"
        for file in (young, old):  # as a writer leaves one that was killed before its commit
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(b"PAR1")
        week_ago = time.time() - 8 * 24 * 3600
        os.utime(old, (week_ago, week_ago))
        lake.compact()
        assert snapshots() >= before  # a week of history stays
        assert young.exists() and not old.exists()
        lake.compact(keep=timedelta(0))
        assert snapshots() <= 2 and not young.exists()
    assert read.table("structural_tau", location).height == 12
    assert read.mart("run", location)["state"].to_list() == ["complete"] * 3
