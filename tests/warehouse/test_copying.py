"""Backup, restoration and move: every table equal, history kept, nothing half-made."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from making import NOON, add_structural, measurement, model, template_row

from warehouse import attach, catalog_rows, checks, copying, extensions, read
from warehouse.lake import Lake, LakeError, Location
from warehouse.tables import TABLES

ROOT = Path(__file__).parents[2]
STRANGE = "a \"quoted\" \\ text\x01, naïve — 日本語\nof two lines; 'NULL', {x}"


FILLED = ("model", "measurement", "measurement_model", "unit", "structural_tau",
          "prompt_template", "schema_version")  # fmt: skip


def fill(location: Location) -> None:
    """Inlined rows and Parquet files, a deletion, every kind of column, several snapshots."""
    with Lake.open(location) as lake:
        add_structural(lake, "m", {0: [0.5, None, 1 / 3, 1e-300], 1: [0.1, 0.2, 0.7, 1.0]})
        lake.add_models([model("n", label=STRANGE, registered_at=NOON)])
        lake.plan(measurement("t", "template", 3), {"model": "m"})
        small = [template_row(f"p{i}", text=STRANGE, template=[1 / 3] * 20) for i in range(30)]
        large = [template_row(f"q{i}", text=STRANGE * 3) for i in range(130)]
        lake.append_unit("t", "u0", {"prompt_template": small}, 1.0)
        lake.append_unit("t", "u1", {"prompt_template": large}, 1.0)
        lake.plan(measurement("d", "template", 2), {"model": "m"})
        lake.append_unit("d", "u0", {"prompt_template": small}, 1.0)
        lake.discard_units("d", 4)
        lake.append_unit("d", "u0", {"prompt_template": large}, 1.0)


def contents(location: Location, names: Iterable[str] = FILLED) -> dict[str, list[str]]:
    """Every row of the tables as text, sorted: by no code of the copy's."""
    connection = attach.connect(location, read_only=True)
    try:
        connection.execute("begin")
        return {
            name: sorted(map(repr, connection.execute(f"from {name}").fetchall())) for name in names
        }
    finally:
        connection.close()


def history(location: Location) -> list[tuple[object, ...]]:
    """Snapshots with their times and changes, and rows of two tables at each."""
    connection = attach.connect(location, read_only=True)
    try:
        found = connection.execute(
            "select snapshot_id, snapshot_time, changes::varchar from ducklake_snapshots('lake') "
            "order by 1"
        ).fetchall()
        return [
            (
                *row,
                *(
                    connection.execute(f"select count(*) from {name} at (version => {row[0]})")
                    .fetchall()[0][0]
                    for name in ("prompt_template", "unit") if row[0] > 0
                ),
            )
            for row in found
        ]  # fmt: skip
    finally:
        connection.close()


def in_folder(folder: Path) -> Location:
    return Location(str(folder / "catalog.sqlite"), str(folder / "data"), True)


def test_a_backup_is_a_lake_and_restores_every_table(location, tmp_path):
    fill(location)
    before, snapshots = contents(location), history(location)
    backup = in_folder(tmp_path / "backup")
    copied = copying.copy(location, backup)
    assert contents(backup) == before and history(backup) == snapshots
    assert copied.n_rows == sum(map(len, before.values())) and copied.n_snapshots == len(snapshots)
    with Lake.open(location) as lake:  # what comes later is not in the backup
        lake.add_models([model("later")])
    home = Location.from_env({"CICATRIX_HOME": str(tmp_path / "elsewhere")})
    copying.copy(backup, home)
    assert contents(home) == before
    assert not any(contents(home, TABLES.keys() - set(FILLED)).values())
    with Lake.open(home) as lake:
        rows = [template_row("new")]
        assert lake.append_unit("t", "u2", {"prompt_template": rows}, 1.0)
        lake.compact(keep=timedelta(0))
    assert read.table("prompt_template", home).height == len(before["prompt_template"]) + 1
    assert contents(backup) == before
    checks.require_good(home)
    assert not [file for file in tmp_path.rglob("*") if file.name.endswith((".part", ".copying"))]


def test_a_lake_in_the_way_is_left_alone(location, tmp_path):
    fill(location)
    other = Location.from_env({"CICATRIX_HOME": str(tmp_path / "other")})
    with Lake.open(other) as lake:
        lake.add_models([model("other")])
    with pytest.raises(LakeError, match="holds a lake already"):
        copying.copy(location, other)
    with pytest.raises(LakeError, match="holds another lake already"):
        copying.move(location, other)
    with pytest.raises(LakeError, match="is the lake itself"):
        copying.copy(location, replace(location, is_configured=True))
    with pytest.raises(LakeError, match="holds no lake"):
        copying.copy(in_folder(tmp_path / "nowhere"), in_folder(tmp_path / "backup"))
    assert read.table("model", other)["model_id"].to_list() == ["other"]


@pytest.mark.slow
def test_a_damaged_backup_is_refused_and_leaves_no_lake(location, tmp_path):
    fill(location)
    backup, home = in_folder(tmp_path / "backup"), in_folder(tmp_path / "home2")
    copying.copy(location, backup)
    file = next((tmp_path / "backup" / "data").rglob("*.parquet"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(LakeError, match=r"is missing or not of its \d+ bytes"):
        copying.copy(backup, home)
    assert attach.catalog_state(home) == "absent"
    file.write_bytes(whole)
    copying.copy(backup, home)  # what was copied before is kept, what was not comes now
    assert contents(home) == contents(location)


@pytest.mark.slow
def test_a_copy_that_differs_is_not_published(location, tmp_path, monkeypatch):
    fill(location)
    real = catalog_rows._cast

    def wrong(name, given, wanted):
        return (
            f"{real(name, given, wanted)} || '!'" if name == "label" else real(name, given, wanted)
        )

    monkeypatch.setattr(catalog_rows, "_cast", wrong)
    backup = in_folder(tmp_path / "backup")
    with pytest.raises(LakeError, match="table 'model' is not that of"):
        copying.copy(location, backup)
    assert attach.catalog_state(backup) == "absent"


@pytest.mark.slow
def test_a_moved_lake_refuses_its_old_place_to_all(location, tmp_path):
    fill(location)
    before = contents(location)
    target = in_folder(tmp_path / "new")
    with Lake.open(location) as writer:
        copying.move(location, target)
        with pytest.raises(LakeError):  # one that was open all the time
            writer.add_models([model("late")])
    for read_only in (True, False):
        with pytest.raises(LakeError, match="was moved away"):
            attach.connect(location, read_only=read_only)
    assert contents(target) == before


@pytest.mark.slow
def test_files_that_stay_belong_to_the_moved_lake(location, tmp_path):
    """And a move that was killed when only the source was left is finished by the same call."""
    fill(location)
    before = contents(location)
    target = replace(in_folder(tmp_path / "new"), data=location.data)
    copying.copy(location, target)
    copying.move(location, target)
    assert attach.catalog_state(location) == "moved"
    assert contents(target) == before
    assert not (tmp_path / "new" / "data").exists()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_sqlite_to_postgres_and_back(location, postgres, tmp_path):
    fill(location)
    before, snapshots = contents(location), history(location)
    server = Location.from_env(postgres)
    with pytest.raises(LakeError, match="holds another lake already"):
        copying.move(location, server)  # the fixture's own
    connection = duckdb.connect(config=extensions.CONFIG)
    extensions.load(connection, "postgres_scanner")
    connection.execute(f"attach '{server.libpq}' as server (type postgres)")
    connection.execute("call postgres_execute('server', 'drop schema public cascade')")
    connection.execute("call postgres_execute('server', 'create schema public')")
    connection.close()
    copying.move(location, server)
    assert contents(server) == before and history(server) == snapshots
    with Lake.open(server) as lake:  # rows that stay in the catalog, and rows that become a file
        lake.add_models([model("of-postgres", label=STRANGE)])
        rows = [template_row(f"r{i}", text=STRANGE) for i in range(40)]
        assert lake.append_unit("t", "u2", {"prompt_template": rows}, 1.0)
    after, later = contents(server), history(server)
    assert len(after["model"]) == len(before["model"]) + 1 and len(later) == len(snapshots) + 2
    backup = in_folder(tmp_path / "backup")  # of a catalog of the other kind
    copying.copy(server, backup)
    assert contents(backup) == after
    copying.move(server, location)
    assert contents(location) == after and history(location) == later
    with pytest.raises(LakeError, match="was moved away"):
        attach.connect(server, read_only=True)
    copying.move(location, server)  # over what the first move had left there
    assert contents(server) == after
    with Lake.open(server) as lake:
        lake.compact(keep=timedelta(0))
    assert contents(server) == after
    checks.require_good(server)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_backups_while_a_writer_runs_are_whole_and_a_killed_one_is_none(tmp_path):
    env = {"CICATRIX_HOME": str(tmp_path / "home"), "WRITER_GO": str(tmp_path / "go")}
    location = Location.from_env(env)
    (tmp_path / "go").touch()
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    full = {**os.environ, **env, "PYTHONPATH": paths}
    command = [sys.executable, str(Path(__file__).parent / "writer.py"), "w", "3000", "130"]
    writer = subprocess.Popen(command, env=full, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    writer.stdout.readline()
    code = (
        "import sys\nfrom warehouse import copying\nfrom warehouse.lake import Location\n"
        "to = sys.argv[1]\nprint('begun', flush=True)\n"
        "copying.copy(Location.from_env(), Location(to + '/catalog.sqlite', to + '/data', True))"
    )
    seen = []
    for number in range(5):
        folder = tmp_path / f"backup{number}"
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], env=full, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        if number % 2:
            time.sleep(number * 0.2)
            process.send_signal(signal.SIGKILL)
        process.communicate()
        backup = in_folder(folder)
        if process.returncode:
            assert attach.catalog_state(backup) == "absent"
            copying.copy(location, backup)  # the same again, over what the killed one left
        units = read.table("unit", backup)
        seen.append(units.height)
        assert units["n_rows"].sum() == read.table("prompt_template", backup).height
        checks.require_good(backup)
    assert writer.poll() is None, "the writer was done before the backups were"
    writer.kill()
    writer.communicate()
    assert seen == sorted(set(seen))
