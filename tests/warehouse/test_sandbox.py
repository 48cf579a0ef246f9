"""Whatever is typed: nothing is written, nothing outside the lake is read, no limit is passed."""

import hashlib
import json
import os
import re
import resource
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import attacks
import pytest
from making import add_structural

from warehouse import checks, fences, read, sandbox, workbench
from warehouse.lake import Lake, LakeError, Location
from warehouse.workbench import Limits

pytestmark = pytest.mark.slow  # processes are started and ended: minutes in all

HERE = Path(__file__).parent
OUTSIDE = "the-text-of-a-file-outside"
SECRET = "a-secret-of-the-environment"
N_ROWS = 120  # more than is inlined: a Parquet file
SMALL = Limits(rows=1000, wall_s=2.0, memory_bytes=1 << 28, result_bytes=10_000_000)
needs_landlock = pytest.mark.skipif(
    fences.landlock_version() < 1, reason="this kernel has no Landlock"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A lake, and beside it a folder with a file that is nobody's business."""
    base = tmp_path_factory.mktemp("sandbox")
    location = Location.from_env({"CICATRIX_HOME": str(base / "home")})
    with Lake.open(location) as lake:
        add_structural(lake, "m", {0: [0.5] * N_ROWS})
    folder = base / "outside"
    folder.mkdir()
    (folder / "secret.csv").write_text(f"a,b\n{OUTSIDE},1\n")
    (folder / "schema.sql").write_text(f"select '{OUTSIDE}'")
    (folder / "load.sql").write_text(f"select '{OUTSIDE}'")
    os.environ["CICATRIX_TEST_SECRET"] = SECRET
    read.table("model", location)  # its readers' shared file is there from now on
    yield location, folder
    del os.environ["CICATRIX_TEST_SECRET"]


def fill_in(sql, location, folder):
    values = {
        "{outside}": folder / "secret.csv", "{folder}": folder, "{target}": folder / "stolen",
        "{inside}": f"{location.data}/stolen", "{catalog}": location.catalog,
        "{data}": f"{location.data}/",
    }  # fmt: skip
    for name, value in values.items():
        sql = sql.replace(name, str(value))
    return sql


def fingerprint(folder: Path) -> str:
    """Names, times and contents of all files below a folder."""
    said = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        found = path.lstat()
        said.update(f"{path} {found.st_mode} {found.st_size} {found.st_mtime_ns}\n".encode())
        if path.is_file():
            said.update(path.read_bytes())
    return said.hexdigest()


def outcome(sql, location):
    """Its answer or its error, as text."""
    try:
        answer = workbench.query(sql, location, SMALL)
    except LakeError as error:
        assert "\n" not in str(error)
        return str(error)
    assert answer.frame.height <= SMALL.rows
    assert answer.frame.estimated_size() <= SMALL.result_bytes + 1_000_000
    return f"answer {answer.frame.head(50).write_json()}"


def outcomes(statements, location):
    """Of many, two at a time, as two users would."""
    with ThreadPoolExecutor(workbench.AT_ONCE) as pool:
        return list(pool.map(lambda sql: outcome(sql, location), statements))


def assert_unharmed(location):
    assert read.table("structural_tau", location).height == N_ROWS
    assert read.table("model", location).height == 1
    assert not any(frame.height for frame in checks.run(location).values())


# A few of each kind go all the way here, and many more in the slow test below.
SOME = [
    "copy (select 1 as a) to '{target}'",
    "with a as (copy (select 1) to '{target}') select 1",
    "explain analyze delete from model",
    "attach '{catalog}' as other (type sqlite)",
    "set lock_configuration = false",
    "select 1) limit 1; drop table model; --",
    "from read_text('{outside}')",
    "from '{outside}'",
    "import database '{folder}'",
    "from __ducklake_metadata_lake.main.ducklake_table",
    "from duckdb_settings()",
    "select getenv('CICATRIX_TEST_SECRET')",
    "select " + "[" * 3_000 + "]" * 3_000,
    "select $1",
]


def test_what_is_typed_to_get_out_changes_and_tells_nothing(place):
    location, folder = place
    before = fingerprint(folder.parent)
    for said in outcomes([fill_in(sql, location, folder) for sql in SOME], location):
        assert said.startswith("the workbench: ")
        assert OUTSIDE not in said and SECRET not in said
    assert fingerprint(folder.parent) == before
    assert_unharmed(location)


@pytest.mark.timeout(3600)
def test_nothing_of_the_list_changes_or_tells_anything(place):
    """Every third; the whole list meets the parser in test_statement, and the fences below."""
    location, folder = place
    before = fingerprint(folder.parent)
    statements = [fill_in(sql, location, folder) for sql in attacks.REFUSED[::3]]
    for sql, said in zip(statements, outcomes(statements, location), strict=True):
        assert said.startswith("the workbench: "), sql
        assert OUTSIDE not in said and SECRET not in said, sql
    assert fingerprint(folder.parent) == before
    assert_unharmed(location)


def test_what_only_looks_like_an_attack_is_answered(place):
    location, _ = place
    with ThreadPoolExecutor(workbench.AT_ONCE) as pool:
        answers = list(
            pool.map(lambda sql: workbench.query(sql, location).frame.item(), attacks.HARMLESS)
        )
    assert answers == list(attacks.HARMLESS.values())


@pytest.fixture
def exchanges(monkeypatch):
    """How long each statement was under way, from when it was sent; opening the lake is before."""
    took = {}
    exchange = workbench.Question._exchange

    def timed(self, process, missing):
        start = time.monotonic()
        try:
            return exchange(self, process, missing)
        finally:
            took[self.sql] = time.monotonic() - start

    monkeypatch.setattr(workbench.Question, "_exchange", timed)
    return took


def assert_ended_in_time(statements, place, exchanges):
    location, folder = place
    before = fingerprint(folder.parent)
    for sql, said in zip(statements, outcomes(statements, location), strict=True):
        assert said.startswith(("answer", "the workbench: ")), sql
        assert exchanges[sql] < SMALL.wall_s + workbench.GRACE_S + 3, sql
    assert fingerprint(folder.parent) == before
    # ru_maxrss is in KiB: DuckDB's limit, its overdraft, and what Python and Arrow take.
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert most < 3 * SMALL.memory_bytes + 500_000_000


def test_what_would_take_all_time_or_memory_is_ended(place, exchanges):
    """Some that listen to an interrupt, and some that do not."""
    heavy = [attacks.HEAVY[i] for i in (0, 4, 7, 9, 24, 29)]
    assert_ended_in_time(heavy, place, exchanges)


@pytest.mark.timeout(3600)
def test_every_heavy_statement_is_ended(place, exchanges):
    assert_ended_in_time(attacks.HEAVY, place, exchanges)


@pytest.fixture(scope="module")
def without_parser(place):
    """What the whole list does behind the other two fences, and what code could do there."""
    location, folder = place
    (folder / "program").write_text("#!/bin/sh\n")
    (folder / "program").chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as server:
        catalog, data = Path(location.catalog), Path(location.data)
        parquet = next(data.rglob("*.parquet"))
        reaches = [
            {"do": do, "path": str(path)}
            for do, path in (
                ("read", folder / "secret.csv"), ("read", "/etc/passwd"), ("list", folder),
                ("read", "/proc/self/environ"), ("list", "/"), ("list", Path.home()),
                ("write", folder / "stolen"), ("append", folder / "secret.csv"),
                ("truncate", folder / "secret.csv"), ("delete", folder / "secret.csv"),
                ("rename", folder / "secret.csv"), ("mkdir", folder / "made"),
                ("link", folder / "linked"), ("execute", folder / "program"),
                ("execute", "/bin/sh"), ("execute", sys.executable),
                ("write", data / "stolen"), ("append", parquet), ("delete", parquet),
                ("append", catalog), ("truncate", catalog), ("write", f"{catalog}-journal"),
                ("append", f"{catalog}-shm"), ("append", f"{catalog}-wal"), ("delete", catalog),
                ("write", f"{catalog}.lock"), ("write", "/tmp/stolen"), ("write", "/dev/shm/x"),
            )
        ]  # fmt: skip
        if fences.landlock_version() >= 4:
            port = server.getsockname()[1]
            reaches.append({"do": "connect", "path": "", "port": port})
        if fences.landlock_version() >= 6:
            reaches.append({"do": "signal", "path": "", "pid": os.getpid()})
        fine = [{"do": "read", "path": str(path)} for path in (catalog, parquet)]
        typed = [fill_in(sql, location, folder) for sql in attacks.REFUSED if "sleep" not in sql]
        asked = [*typed, *reaches, *fine, "select count(*) from structural_tau"]
        setting = sandbox.Setting(**asdict(location), memory_bytes=1 << 28)
        lines = [json.dumps(asdict(setting)), *map(json.dumps, asked)]
        before = fingerprint(folder.parent)
        done = subprocess.run(
            [sys.executable, str(HERE / "attacker.py")],
            input="\n".join(lines) + "\n",
            env=workbench.environment(location) | {"CICATRIX_TEST_SECRET": "told"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    missing, *said = map(json.loads, done.stdout.splitlines())
    n = len(typed)
    reached = [(what["do"], what["path"], said[n + i]) for i, what in enumerate(reaches)]
    return {
        "missing": missing, "before": before, "after": fingerprint(folder.parent),
        "typed": list(zip(typed, said[:n], strict=True)), "reached": reached,
        "fine": said[-3:],
    }  # fmt: skip


@needs_landlock
def test_without_the_parser_still_nothing_is_written(without_parser):
    assert without_parser["missing"] == []
    assert without_parser["after"] == without_parser["before"]


@needs_landlock
def test_without_the_parser_still_no_file_outside_the_lake_is_read(without_parser):
    for sql, said in without_parser["typed"]:
        assert OUTSIDE not in said and "root:x:" not in said, sql
        assert "ended by signal" not in said, (sql, said)


@needs_landlock
def test_not_even_code_of_its_own_could_do_more(without_parser):
    for do, path, said in without_parser["reached"]:
        assert said.startswith("'OSError "), (do, path, said)
    catalog, parquet, rows = without_parser["fine"]
    assert catalog.startswith("b'SQLite format 3") and parquet.startswith("b'PAR1")
    assert rows == f"[({N_ROWS},)]"


def test_the_process_is_given_no_secret_of_ours(place, monkeypatch):
    location, _ = place
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert SECRET not in str(workbench.environment(location))
    postgres = Location("postgres:dbname=x", "/d", True)
    given = workbench.environment(postgres)
    assert given["PGPASSWORD"] == SECRET and "AWS_SECRET_ACCESS_KEY" not in given
    assert given["PGOPTIONS"] == "-c default_transaction_read_only=on"


@pytest.mark.parametrize(
    ("libpq", "env", "ports"),
    [
        ("dbname=x host=h", {}, [5432]),
        ("dbname=x host=h", {"PGPORT": "6000"}, [6000]),
        ("dbname=x port=6432", {}, [6432]),
        ("host=a,b port=5432,5433", {}, [5432, 5433]),
        ("postgresql://u:p@h/db", {}, [5432]),
        ("postgresql://u:p@h:7000/db", {}, [7000]),
        ("postgresql://u:p@a:1,b:2/db", {}, [1, 2]),
        ("postgresql://a:1,b/db", {}, [1, 5432]),
        ("service=lake", {}, None),
        ("dbname=x", {"PGSERVICE": "lake"}, None),
    ],
)
def test_the_one_port_that_stays_open_is_the_catalogs(libpq, env, ports):
    assert sandbox.catalog_ports(Location(f"postgres:{libpq}", "/d", True), env) == ports


def test_a_file_needs_no_port():
    assert sandbox.catalog_ports(Location("/l/catalog.sqlite", "/d", True), {}) == []


@pytest.mark.parametrize(
    "libpq",
    ["dbname=x password=hunter2", "password = 'hunter2' dbname=x", "postgresql://u:hunter2@h/db"],
)
def test_a_message_holds_no_password(libpq):
    location = Location(f"postgres:{libpq}", "/d", True)
    told = sandbox.without_secrets(f'could not connect with "{libpq}": hunter2 is wrong', location)
    assert "hunter2" not in told and told.startswith("could not connect")


def test_what_may_be_read_is_the_lake_and_python(place):
    location, folder = place
    paths = sandbox.readable_paths(location, {})
    assert Path(location.catalog) in paths and Path(location.data) in paths
    assert not [path for path in paths if path in (folder, *folder.parents, Path.home())]


def test_the_catalogs_folder_is_not_open_to_a_lake_elsewhere(place):
    location, _ = place
    moved = replace(location, data="/elsewhere/data")
    assert Path(location.data) not in sandbox.readable_paths(moved, {})


@pytest.mark.parametrize("over", ["socket", "port"])
def test_a_catalog_in_postgresql_is_reached_and_nothing_else(postgres, over):
    location = Location.from_env(postgres)
    if over == "port":
        by_port = re.sub(r"host=\S+", "host=localhost password=hunter2", location.catalog)
        location = replace(location, catalog=by_port)
    with Lake.open(location) as lake:
        add_structural(lake, "m", {0: [0.5] * N_ROWS})
        answer = workbench.query("select count(*) as n from structural_tau", location)
        assert answer.frame.item() == N_ROWS and answer.missing == ()
        for sql in (
            "delete from model",
            "from __ducklake_metadata_lake.public.ducklake_metadata",
            "from postgres_query('__ducklake_metadata_lake', 'select 1')",
            "call postgres_execute('__ducklake_metadata_lake', 'drop table ducklake_snapshot')",
            "from duckdb_databases()",
        ):
            with pytest.raises(LakeError) as caught:
                workbench.query(sql, location)
            assert not {location.libpq, "hunter2"} & {*str(caught.value).split()}
        setting = sandbox.Setting(**asdict(location), memory_bytes=1 << 28)
        asked = [
            "call postgres_execute('__ducklake_metadata_lake', 'create table stolen (a int)')",
            "from postgres_query('__ducklake_metadata_lake', "
            "'select current_setting(''transaction_read_only'') as x')",
            "select count(*) from structural_tau",
            {"do": "read", "path": "/etc/shadow"},
        ]
        done = subprocess.run(
            [sys.executable, str(HERE / "attacker.py")],
            input="\n".join([json.dumps(asdict(setting)), *map(json.dumps, asked)]) + "\n",
            env=workbench.environment(location),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        missing, made, is_read_only, n, shadow = map(json.loads, done.stdout.splitlines())
        assert missing == []
        assert "read-only" in made, "the server itself refuses"
        assert (is_read_only, n) == ("[('on',)]", f"[({N_ROWS},)]")
        assert shadow.startswith("'OSError ")
        assert lake.query("from model").height == 1
