"""Writing: round trips, once and only once, restarts, and the errors a user meets."""

import os
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import circuit_rows
import crosscoder_rows
import provenance_rows
import pytest
import stability_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import (
    add_structural,
    add_unit,
    comparison,
    distance_row,
    fisher_rows,
    lineage_pair_row,
    measurement,
    model,
    organism,
    stiffness_row,
    tau_row,
    template_row,
    weight_row,
    winner_gap_rows,
)

from warehouse import attach, checks, read, relations
from warehouse.lake import Lake, LakeError, Location, connect, create, schema_version
from warehouse.tables import TABLES

ROOT = Path(__file__).parents[2]
FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.fixture(scope="module")
def shared_lake(tmp_path_factory):
    place = Location.from_env({"CICATRIX_HOME": str(tmp_path_factory.mktemp("home"))})
    with Lake.open(place) as lake:
        lake.add_models([model("m")])
        yield lake


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "text": st.none() | TEXT,
                "template": st.none() | st.lists(FINITE, max_size=4),
                "beta_mean": st.none() | FINITE,
                "n_tokens": st.none() | st.integers(-(2**31), 2**31 - 1),
            }
        ),
        min_size=1,
        max_size=3,
    ),
    copies=st.sampled_from([1, 60]),  # below and above what the catalog inlines
)
def test_what_goes_in_comes_out(shared_lake, rows, copies):
    measurement_id = f"t{os.urandom(8).hex()}"
    shared_lake.plan(measurement(measurement_id, "template", 1), {"model": "m"})
    given_rows = [
        template_row(f"p{copy:03d}-{i}", **row)
        for copy in range(copies)
        for i, row in enumerate(rows)
    ]
    assert shared_lake.append_unit(measurement_id, "all", {"prompt_template": given_rows}, 1.5)
    stored = read.table("prompt_template", shared_lake.location, measurement_id=measurement_id)
    expected = [{"measurement_id": measurement_id, **row} for row in given_rows]
    assert stored.sort("prompt_id").to_dicts() == expected
    assert read.templates(measurement_id, shared_lake.location).height == len(given_rows)


def test_writing_twice_adds_nothing(lake, location):
    for _ in range(2):
        add_structural(lake, "m", {0: [0.1, 0.2], 1: [0.3, 0.4]})
        lake.add_comparisons([comparison("m", "base", "b")])
    assert lake.append_unit("s-m", "seed-0", {"structural_tau": [tau_row(0, 0, 1, 1)]}, 1) is False
    assert read.table("structural_tau", location).height == 4
    assert read.table("unit", location).height == 2
    assert read.table("measurement_model", location).height == 1
    assert read.table("model", location).height == read.table("comparison", location).height == 1
    assert lake.units_done("s-m") == {"seed-0", "seed-1"} and lake.is_complete("s-m")
    assert not lake.is_complete("unknown")


def test_a_discarded_measurement_starts_again_at_another_batch_size(lake, location):
    lake.add_models([model("m")])
    lake.plan(measurement("s", "structural", 2), {"model": "m"})
    rows = {"structural_tau": [tau_row(0, 0, 0.5, 0.5)]}
    lake.append_unit("s", "seed-0", rows, 1, batch_size=8)
    lake.discard_units("s", 4)
    assert lake.units_done("s") == frozenset()
    assert read.table("structural_tau", location).is_empty()
    assert read.table("measurement", location)["batch_size"].to_list() == [4]
    with pytest.raises(LakeError, match="restarted at 4"):
        lake.append_unit("s", "seed-0", rows, 1, batch_size=8)
    for seed in (0, 1):
        lake.append_unit("s", f"seed-{seed}", {"structural_tau": [tau_row(seed, 0, 0.5, 0.5)]}, 1)
    with pytest.raises(LakeError, match="complete and stays"):
        lake.discard_units("s", 2)
    with pytest.raises(LakeError, match="not one of the 2 planned units"):
        lake.append_unit("s", "seed-2", {"structural_tau": [tau_row(2, 0, 0.5, 0.5)]}, 1)
    assert lake.query("select count(*) as n from structural_tau")["n"].item() == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**tau_row(0, 0, 0.5, 0.5), "colour": 1}, "unknown column 'colour'"),
        ({"seed": 0, "dim": 0}, "lacks the column 'prompt_id'"),
        (tau_row(0, 0, "0.5", 0.5), "'structural_tau.tau' was given '0.5' and wants a finite"),
        (tau_row(0, 0, float("nan"), 0.5), "was given nan and wants a finite number"),
        (tau_row(0, 0, True, 0.5), "was given True"),
        (tau_row(0.5, 0, 0.5, 0.5), "whole number"),
        (tau_row(2**31, 0, 0.5, 0.5), "whole number"),
        ({**tau_row(0, 0, 0.5, 0.5), "site": "C"}, "wants one of A, B"),
        ({**tau_row(0, 0, 0.5, 0.5), "seed": None}, "never null"),
        ({**tau_row(0, 0, 0.5, 0.5), "category": "\ud800"}, "UTF-8"),
        ({**tau_row(0, 0, 0.5, 0.5), "measurement_id": "x"}, "written under 's'"),
    ],
)
def test_an_unfit_record_is_refused_and_nothing_of_its_unit_stays(lake, location, row, message):
    lake.add_models([model("m")])
    lake.plan(measurement("s", "structural", 2), {"model": "m"})
    with pytest.raises(LakeError, match=message) as caught:
        lake.append_unit("s", "seed-0", {"structural_tau": [tau_row(0, 1, 0.5, 0.5), row]}, 1)
    assert "\n" not in str(caught.value)
    assert lake.units_done("s") == frozenset()
    assert read.table("structural_tau", location).is_empty()


def test_other_misuse_gets_one_line(lake):
    lake.add_models([model("m")])
    with pytest.raises(LakeError, match="not planned"):
        lake.append_unit("s", "seed-0", {"structural_tau": []}, 1)
    with pytest.raises(LakeError, match="does not know; add_models first"):
        lake.plan(measurement("s", "structural", 2), {"model": "stranger"})
    with pytest.raises(LakeError, match="n_units 0"):
        lake.plan(measurement("s", "structural", 0), {"model": "m"})
    with pytest.raises(LakeError, match="no table of records"):
        lake.append_unit("s", "seed-0", {"model": []}, 1)
    with pytest.raises(LakeError, match="never started"):
        lake.end_attempt("x", "done")
    with pytest.raises(LakeError, match="same key"):
        lake.append_unit("s", "u", {"structural_tau": [tau_row(0, 0, 0.5, 0.5)] * 2}, 1)
    with pytest.raises(LakeError, match="no column 'colour'"):
        read.mart("structural_scar", lake.location, colour="red")
    with pytest.raises(LakeError, match="there is no mart 'scars'"):
        read.mart("scars", lake.location)


def test_attempts_are_numbered_and_end_once(lake, location):
    lake.add_models([model("m")])
    lake.plan(measurement("s", "structural", 2), {"model": "m"})
    for _ in range(2):
        attempt = lake.start_attempt(model_ref="m", device="cpu", measurement_id="s", batch_size=8)
        assert lake.end_attempt(attempt, "interrupted", "Ctrl-C")
        assert not lake.end_attempt(attempt, "done")
        lake.start_attempt(model_ref="./broken", device="cpu")
    numbers = read.table("attempt", location).sort("model_ref", "attempt_number")
    assert numbers["attempt_number"].to_list() == [1, 2, 1, 2]


def test_compaction_keeps_every_row(lake, location):
    for i in range(3):
        add_structural(lake, f"m{i}", {0: [0.5] * 60, 1: [0.25] * 60})
    before = read.table("structural_tau", location).sort("measurement_id", "seed", "dim")
    lake.compact(keep=timedelta(0))
    after = read.table("structural_tau", location).sort("measurement_id", "seed", "dim")
    assert before.equals(after)
    add_structural(lake, "later", {0: [0.5]})
    assert read.table("structural_tau", location).height == before.height + 1


def test_a_migrated_lake_is_as_declared(lake):
    found = lake.query(
        "select table_name, column_name, data_type, is_nullable from duckdb_columns() "
        "where database_name = 'lake' order by table_name, column_index"
    ).rows()
    declared = [
        (table.name, column.name, column.type, column.is_nullable)
        for table in sorted(TABLES.values(), key=lambda table: table.name)
        for column in table.columns
    ]
    assert found == declared
    versions = lake.query("select version from schema_version")["version"].to_list()
    assert versions == list(range(1, schema_version() + 1))


def test_a_newer_lake_is_refused(lake, location):
    lake._connection.execute("insert into schema_version values (99, now())")
    for read_only in (True, False):
        with pytest.raises(LakeError, match=r"version 99.*newer.*upgrade"):
            connect(location, read_only=read_only)
    n_versions = lake.query("select count(*) as n from schema_version")["n"].item()
    assert n_versions == schema_version() + 1


def test_an_older_lake_is_migrated_by_the_next_writer(lake, location, monkeypatch):
    files = dict(relations.relations("migrations"))
    version = schema_version() + 1
    name = f"{version:04d}_more"
    files[name] = relations.Relation(name, "alter table model add column extra int")
    kinds = {"migrations": files}
    genuine = relations.relations
    monkeypatch.setattr("warehouse.attach.relations", lambda kind: kinds.get(kind) or genuine(kind))
    with pytest.raises(LakeError, match="run `cicatrix init` once"):
        connect(location, read_only=True)
    Lake.open(location).close()
    connection = connect(location, read_only=True)
    assert connection.execute("select max(version) from schema_version").fetchone() == (version,)
    assert "extra" in [row[0] for row in connection.execute("describe model").fetchall()]


def test_a_failing_migration_leaves_no_trace(lake, location, monkeypatch):
    files = dict(relations.relations("migrations"))
    sql = "alter table model add column extra int; select no_such_function()"
    name = f"{schema_version() + 1:04d}_bad"
    files[name] = relations.Relation(name, sql)
    monkeypatch.setattr("warehouse.attach.relations", lambda kind: files)
    with pytest.raises(LakeError, match="cannot migrate the lake"):
        Lake.open(location)
    monkeypatch.undo()
    assert "extra" not in [row[0] for row in lake.query("describe model").rows()]


def test_two_processes_may_make_the_lake_at_once(tmp_path):
    code = "from warehouse.lake import Lake\nwith Lake.open() as lake: pass"
    env = {**os.environ, "CICATRIX_HOME": str(tmp_path / "new"), "PYTHONPATH": str(ROOT)}
    with ThreadPoolExecutor() as pool:
        runs = list(
            pool.map(
                lambda _: subprocess.run(
                    [sys.executable, "-c", code], env=env, capture_output=True, text=True
                ),
                range(3),
            )
        )
    assert [run.returncode for run in runs] == [0] * 3, [run.stderr[-300:] for run in runs]
    place = Location.from_env({"CICATRIX_HOME": str(tmp_path / "new")})
    assert read.table("schema_version", place).height == schema_version()


def test_a_reader_that_came_while_the_lake_was_made_sees_what_follows(location):
    """Attached but not yet migrated: the reader gets no rows, and does not keep that answer."""
    being_made = attach._connection(location)
    attach._make(being_made, location)
    assert read.table("model", location).is_empty()
    being_made.close()
    with Lake.open(location) as lake:
        lake.add_models([model("m")])
    assert read.table("model", location).height == 1


@pytest.mark.parametrize(
    ("catalog", "libpq"),
    [
        ("postgres:dbname=x host=h", "dbname=x host=h"),
        ("postgresql:dbname=x", "dbname=x"),
        ("postgresql://u:secret@h/db", "postgresql://u:secret@h/db"),
        ("postgres://u:secret@h/db", "postgresql://u:secret@h/db"),
    ],
)
def test_a_postgres_catalog_is_given_as_pairs_or_as_a_url(catalog, libpq):
    place = Location.from_env({"CICATRIX_CATALOG": catalog})
    assert place.is_postgres and place.libpq == libpq
    assert "secret" not in place.name


def test_a_catalog_of_no_known_kind_is_refused():
    with pytest.raises(LakeError, match="a catalog of kind 'mysql:' cannot be: give a SQLite file"):
        Location.from_env({"CICATRIX_CATALOG": "mysql://somebody:secret@host/lake"})
    assert Location.from_env({"CICATRIX_CATALOG": "sqlite:/a/b"}).catalog == "/a/b"


def test_a_missing_configured_catalog_is_an_error_until_it_is_made(tmp_path):
    place = Location.from_env({"CICATRIX_CATALOG": str(tmp_path / "there" / "catalog.sqlite")})
    for attempt in (lambda: Lake.open(place), lambda: read.mart("structural_scar", place)):
        with pytest.raises(LakeError, match=r"no lake.*cicatrix init"):
            attempt()
    assert not (tmp_path / "there").exists()
    create(place)
    create(place)
    assert read.mart("structural_scar", place).is_empty()
    assert Lake.open(place).add_models([model("m")]) == 1


def test_data_without_their_catalog_are_not_built_upon(location):
    with Lake.open(location) as lake:
        add_structural(lake, "m", {0: [0.5] * 120})
    for file in Path(location.catalog).parent.glob("catalog.sqlite*"):
        file.unlink()
    for attempt in (lambda: Lake.open(location), lambda: read.mart("run", location)):
        with pytest.raises(LakeError, match=r"holds data but its catalog .* is missing"):
            attempt()


def test_a_catalog_without_its_data_is_an_error(lake, location):
    Path(location.data).rename(location.data + "-moved")
    with pytest.raises(LakeError, match="data folder"):
        connect(location, read_only=True)


@pytest.mark.parametrize("content", ["text", "other sqlite"])
def test_a_file_that_is_no_lake_is_left_alone(location, content):
    file = Path(location.catalog)
    file.parent.mkdir(parents=True)
    if content == "text":
        file.write_text("not a database, and long enough to be looked at as one" * 20)
    else:
        other = sqlite3.connect(file)
        other.execute("create table mine (a)")
        other.commit()
        other.close()
    before = file.read_bytes()
    for attempt in (lambda: Lake.open(location), lambda: read.mart("run", location)):
        with pytest.raises(LakeError, match="no DuckLake catalog"):
            attempt()
    assert file.read_bytes() == before


def test_a_half_made_catalog_is_made_anew(location):
    Path(location.catalog).parent.mkdir(parents=True)
    Path(location.catalog).touch()  # killed before the first table
    assert read.mart("structural_scar", location).is_empty()
    with Lake.open(location) as lake:
        assert lake.add_models([model("m")]) == 1


def test_a_home_below_a_file_gets_one_line(tmp_path):
    (tmp_path / "file").touch()
    place = Location.from_env({"CICATRIX_HOME": str(tmp_path / "file" / "home")})
    with pytest.raises(LakeError, match="cannot make the lake.*Make it writable") as caught:
        Lake.open(place)
    assert "\n" not in str(caught.value)


def in_namespace(mount: str, code: str, folder: Path) -> subprocess.CompletedProcess:
    """Run Python where `mount` has been done, in a mount namespace that vanishes with it."""
    script = f"{mount}\nexec {sys.executable} - <<'PYTHON'\n{textwrap.dedent(code)}\nPYTHON\n"
    env = {**os.environ, "CICATRIX_HOME": str(folder), "PYTHONPATH": str(ROOT)}
    env["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return subprocess.run(
        ["unshare", "--mount", *user, "sh", "-ec", script], env=env, capture_output=True, text=True
    )


def test_an_unwritable_folder_gets_one_line_and_keeps_its_lake(tmp_path):
    # A read-only bind mount: permissions alone do not stop root, as which tests may run.
    home = tmp_path / "home"
    home.mkdir()
    code = """
        import sys
        from warehouse.lake import Lake, LakeError
        try:
            Lake.open().add_models([])
        except LakeError as error:
            sys.exit(str(error))
    """
    mount = f"mount --bind {home} {home}; mount -o remount,ro,bind {home}"
    place = Location.from_env({"CICATRIX_HOME": str(home)})
    empty = in_namespace(mount, code, home)
    with Lake.open(place) as lake:
        add_structural(lake, "m", {0: [0.5]})
    filled = in_namespace(mount, code, home)
    for run in (empty, filled):
        assert run.returncode == 1, run.stderr
        assert run.stderr.count("\n") == 1 and "cannot be written to" in run.stderr, run.stderr
    assert not any(frame.height for frame in checks.run(place).values())
    assert read.mart("run", place)["state"].to_list() == ["complete"]


@pytest.mark.slow
def test_a_full_disk_gets_one_line_and_keeps_what_was_committed(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    code = """
        import os, sys
        from making import measurement, model, template_row
        from warehouse import checks, read
        from warehouse.lake import Lake, LakeError, Location
        done = 0
        ballast = os.environ["CICATRIX_HOME"] + "/ballast"
        open(ballast, "wb").write(b"x" * 1_000_000)
        with Lake.open() as lake:
            lake.add_models([model("m")])
            lake.plan(measurement("t", "template", 1000), {"model": "m"})
            try:
                for chunk in range(1000):
                    text = os.urandom(3000).hex()
                    rows = [template_row(f"{chunk}-{i}", text=text + str(i)) for i in range(120)]
                    lake.append_unit("t", f"u{chunk}", {"prompt_template": rows}, 1.0)
                    done += 1
            except LakeError as error:
                print(error, file=sys.stderr)
            else:
                sys.exit("never full")
        filler = open(os.environ["CICATRIX_HOME"] + "/filler", "wb", buffering=0)
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass
        try:
            home = os.environ["CICATRIX_HOME"] + "/another"
            Lake.open(Location.from_env({"CICATRIX_HOME": home}))
            sys.exit("made a lake on a full disk")
        except LakeError as error:
            print(error, file=sys.stderr)
        filler.close()
        os.unlink(filler.name)
        os.unlink(ballast)
        broken = {name: rows.height for name, rows in checks.run().items() if rows.height}
        assert not broken, broken
        assert done > 2 and read.table("unit").height == done, done
        assert read.table("prompt_template").height == 120 * done
        with Lake.open() as lake:
            rows = [template_row(f"last-{i}") for i in range(120)]
            assert lake.append_unit("t", "last", {"prompt_template": rows}, 1.0)
        sys.exit(3)
    """
    run = in_namespace(f"mount -t tmpfs -o size=4m tmpfs {home}", code, home)
    assert run.returncode == 3, run.stderr
    lines = run.stderr.splitlines()
    assert len(lines) == 2 and all("is full" in line for line in lines), run.stderr


def test_every_check_finds_what_it_is_for(lake, location):
    assert checks.queries().keys() == checks.run(location).keys()
    add_structural(lake, "good", {0: [0.5, 0.5], 1: [0.25, 0.5]})
    lake.add_comparisons([comparison("good", "base", "b")])
    assert not any(frame.height for frame in checks.run(location).values())
    checks.require_good(location)
    lake.plan(measurement("t", "template", 1, options='{"ppp_fit":"ml"}'), {"model": "good"})
    lake.append_unit("t", "all", {"prompt_template": [template_row("p", template=[1.0] * 3)]}, 1)
    options = '{"inputs":{"base":"t"},"ppp_fit":"ols"}'
    lake.plan(measurement("d", "template_distance", 1, options=options), {"base": "good"})
    row = distance_row("derivative", centroid_distance=3.0, ci_low_crp_distance=9.0)
    gaps = winner_gap_rows([1.0], cancellation_g1=0.5, n_up_g1=0)
    lake.append_unit("d", "all", {"template_distance": [row], **gaps}, 1)
    stiffness = stiffness_row(gamma_rms=1.0)
    add_unit(lake, "w", "stiffness", {"model": "good"}, {"model_stiffness": [stiffness]})
    curvatures = fisher_rows([30.0, 10.0], rho_f=1.0, n_prompts=3)
    add_unit(lake, "f", "fisher", {"model": "good"}, curvatures)
    weights = {
        "weight_lineage": [weight_row(0, "q", cosine=1.5)],
        "weight_lineage_pair": [lineage_pair_row(2)],
    }
    add_unit(lake, "l", "lineage", {"derivative": "good", "base": "b"}, weights)
    broken = {**provenance_rows.one_of_each_broken(), **stability_rows.one_of_each_broken()}
    broken |= crosscoder_rows.one_of_each_broken()
    add_unit(lake, "r", "rollout", {"model": "good"}, broken)
    # No ablation has these means.
    add_unit(lake, "c", "component", {"model": "good"}, circuit_rows.one_of_each_broken())
    options = '{"inputs":{"region":"b","limits":"b"}}'  # calibrated on itself
    lake.plan(measurement("b", "step_burden", 1, options=options), {"model": "good"})
    raw = lake._connection
    record = "'P', 'c', 'A', 1, "
    raw.execute(f"insert into structural_tau values ('s-good', 1, 5, {record} 1.5, 0.5, null)")
    raw.execute(f"insert into structural_tau values ('s-good', 0, 0, {record} null, null, null)")
    raw.execute(f"insert into structural_tau values ('ghost', 0, 0, {record} 'nan', 0.5, null)")
    add_impossible_triangle(lake)
    lake.add_organisms([organism("good", base_id="good")])
    lake.add_verdicts([verdict_row(p=0.25)])  # of a pair that nobody registered, too
    found = {name: frame.height for name, frame in checks.run(location).items()}
    assert all(found.values()), found
    with pytest.raises(LakeError, match="duplicate_key"):
        checks.require_good(location)


def add_impossible_triangle(lake):
    """A base at 0, a derivative and a reference at 1 in the first gap, said to be 9 away."""
    models = {"base": "b", "derivative": "d", "reference": "r"}
    lake.add_models([model(model_id) for model_id in models.values()])
    for role, model_id in models.items():
        lake.plan(measurement(f"t-{role}", "template", 1), {"model": model_id})
        template = [float(role != "base")] + [0.0] * 19
        rows = [template_row("p", template=template)]
        lake.append_unit(f"t-{role}", "all", {"prompt_template": rows}, 1)
    inputs = ",".join(f'"{role}":"t-{role}"' for role in models)
    options = f'{{"inputs":{{{inputs}}},"mode":"free"}}'
    lake.plan(measurement("triangle", "template_distance", 1, options=options), models)
    near = distance_row("derivative", centroid_distance=1.0, crp_distance=1.0)
    far = distance_row("reference", centroid_distance=9.0, crp_distance=9.0)
    lake.append_unit("triangle", "all", {"template_distance": [near, far]}, 1)


def verdict_row(**over):
    return {
        "derivative_id": "child",
        "base_id": "base",
        "layer": "structural",
        "question": "distilled-like",
        "statement": None,
        "label": "INCONCLUSIVE",
        "reasons": ["within the null"],
        "missing": [],
        "p": 0.5,
        "p_least": 0.5,
        "n_null": 1,
        "numbers": "{}",
        "thresholds": "{}",
        "code_version": "0",
        **over,
    }


def test_an_answer_is_kept_when_it_differs_from_the_newest(lake, location):
    lake.add_models([model("child"), model("base")])
    other = verdict_row(layer="functional")
    claim = verdict_row(question="claim", statement="it is loud", p=None, p_least=None, n_null=None)
    assert lake.add_verdicts([verdict_row(), other, claim]) == 3
    assert lake.add_verdicts([verdict_row(code_version="1"), other, claim]) == 0
    assert lake.add_verdicts([verdict_row(label="UNCALIBRATED", missing=["2 null"])]) == 1
    assert lake.add_verdicts([verdict_row()]) == 1  # back to what it was is a change too
    assert lake.add_verdicts([verdict_row(reasons=["another"])]) == 1
    rows = read.table("verdict", location, layer="structural", question="distilled-like")
    assert rows.sort("judged_at")["label"].to_list() == [
        "INCONCLUSIVE", "UNCALIBRATED", "INCONCLUSIVE", "INCONCLUSIVE",
    ]  # fmt: skip
    assert read.newest("claim", location) == read.table("verdict", location)["judged_at"].max()
    assert {name: rows.height for name, rows in checks.run(location).items() if rows.height} == {}


@pytest.mark.parametrize(
    ("over", "check"),
    [
        ({"p": 0.4}, "verdict_out_of_range"),
        ({"p_least": 0.25, "p": 0.5}, "verdict_out_of_range"),
        ({"n_null": None}, "verdict_out_of_range"),
        ({"reasons": []}, "verdict_out_of_range"),
        ({"label": "UNCALIBRATED"}, "verdict_out_of_range"),
        ({"statement": "it is loud"}, "verdict_out_of_range"),
        ({"numbers": "{"}, "verdict_out_of_range"),
        ({"base_id": "nobody"}, "verdict_of_unknown_pair"),
        ({"base_id": "child"}, "verdict_of_unknown_pair"),
    ],
)
def test_what_a_verdict_must_not_be_is_found(lake, location, over, check):
    lake.add_models([model("child"), model("base")])
    lake.add_verdicts([verdict_row(**over)])
    broken = {name for name, rows in checks.run(location).items() if rows.height}
    assert broken == {check}


def test_a_list_of_texts_is_checked(lake):
    lake.add_models([model("child"), model("base")])
    with pytest.raises(LakeError, match=r"'verdict.reasons' was given 1 and wants text"):
        lake.add_verdicts([verdict_row(reasons=[1])])
