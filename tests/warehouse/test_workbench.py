"""The workbench answers selects and refuses everything else."""

import time

import pytest
from making import add_structural

from warehouse import checks, read, workbench
from warehouse.lake import LakeError

ALLOWED = {
    "select count(*) as n from structural_tau": [(120,)],
    "select label from lake.main.model": [("M",)],
    "with recursive a as (select 1 as x union all select x + 1 from a where x < 3) from a": [
        (1,),
        (2,),
        (3,),
    ],
    "select state from run where n_units = 1": [("complete",)],
    "select sum(i) as s from range(4) as t(i)": [(6,)],
    "values (1)": [(1,)],
    "select unnest([1, 2]) as x": [(1,), (2,)],
    "select count(*) > 5 as b from information_schema.tables": [(True,)],
    "pivot (select site, seed from structural_tau) on site in ('A', 'B') using count(*)": [
        (0, 60, 60)
    ],
    "select count(*) as n from structural_tau at (version => 1)": [(0,)],
}

REFUSED = [
    "select path from duckdb_databases, (with duckdb_databases as (select 1) select 1)",
    "with pg_settings as (select 1) select * from pg_settings",
    "select pg_sleep(1)",
    "select " + "+".join(["1"] * 3_000),
    "copy model to '/tmp/stolen.csv'",
    "copy (select 1) to '{data}x.parquet'",
    "insert into model select * from model",
    "update model set label = 'x'",
    "delete from model",
    "create table t (a int)",
    "create temp table t (a int)",
    "create or replace temp view scar as select 1",
    "drop table model",
    "attach '/tmp/other.duckdb' as other",
    "attach 'ducklake:sqlite:{catalog}' as again",
    "detach lake",
    "use memory",
    "set threads = 2",
    "reset lock_configuration",
    "pragma database_list",
    "pragma enable_profiling",
    "call ducklake_expire_snapshots('lake', older_than => now())",
    "explain analyze delete from model",
    "explain analyze insert into model select * from model",
    "explain select 1",
    "install httpfs",
    "load httpfs",
    "export database '/tmp/out'",
    "vacuum",
    "checkpoint",
    "begin",
    "prepare p as select 1",
    "select 1; select 2",
    "select 1; drop table model",
    "",
    "-- nothing",
    "from read_text('/etc/passwd')",
    "select * from read_csv('/etc/passwd')",
    "select * from read_csv_auto('/etc/passwd')",
    "select * from read_blob('{catalog}')",
    "select * from read_parquet('{data}**')",
    "from '/etc/passwd'",
    "from '{catalog}'",
    'with "/etc/passwd" as (select 1) select * from "/etc/passwd"',
    "with a as (from read_text('/etc/passwd')) from a",
    "select (select content from read_text('/etc/passwd'))",
    "select 1 where exists (from glob('/*'))",
    "select * from (select 1) t, lateral (from read_text('/etc/passwd'))",
    "select 1 union all (select size from read_text('/etc/passwd'))",
    "select 1 order by (select size from read_text('/etc/passwd'))",
    "summarize from read_text('/etc/passwd')",
    "describe from sniff_csv('/etc/passwd')",
    "pivot (from read_text('/etc/passwd')) on size in (1) using count(*)",
    "pivot model on label",
    "from glob('/')",
    "from glob('{data}**')",
    "from sqlite_scan('{catalog}', 'ducklake_table')",
    "from sqlite_query('__ducklake_metadata_lake', 'select 1')",
    "from sqlite_attach('/tmp/new.sqlite')",
    "from postgres_query('x', 'select 1')",
    "from postgres_scan('dbname=x', 'public', 't')",
    "from postgres_execute('x', 'select 1')",
    "from __ducklake_metadata_lake.ducklake_table",
    "from __ducklake_metadata_lake.main.model",
    "from ducklake_expire_snapshots('lake', older_than => now())",
    "from ducklake_cleanup_old_files('lake', cleanup_all => true)",
    "from ducklake_delete_orphaned_files('lake', cleanup_all => true)",
    "from ducklake_merge_adjacent_files('lake')",
    "from ducklake_flush_inlined_data('lake')",
    "from ducklake_set_option('lake', 'x', 'y')",
    "from ducklake_add_data_files('lake', 'model', '/tmp/x.parquet')",
    "from lake.snapshots()",
    "from query('select 1')",
    "from query_table('model')",
    "from json_execute_serialized_sql('x')",
    "from checkpoint()",
    "from enable_logging()",
    "from duckdb_secrets()",
    "from duckdb_settings()",
    "from duckdb_databases",
    "show databases",
    "select write_log('x')",
    "select current_setting('allowed_directories')",
    "selec 1",
    "select labl from model",
    "from modle",
    "select 1 from",
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    from warehouse.lake import Lake, Location

    place = Location.from_env({"CICATRIX_HOME": str(tmp_path_factory.mktemp("home"))})
    with Lake.open(place) as lake:
        add_structural(lake, "m", {0: [0.5] * 120})  # more than is inlined: a Parquet file
    return place


@pytest.mark.parametrize(("sql", "rows"), ALLOWED.items())
def test_it_answers(filled, sql, rows):
    assert workbench.query(sql, filled).rows() == rows


def test_show_and_describe_work(filled):
    assert "scar" in workbench.query("show tables", filled)["name"].to_list()
    assert workbench.query("describe scar", filled).height > 10
    assert workbench.query("summarize model", filled).height == 13
    assert workbench.query("select ? + 1 as x", filled, [2]).rows() == [(3,)]


@pytest.mark.parametrize("sql", REFUSED)
def test_it_refuses(filled, sql):
    sql = sql.replace("{catalog}", filled.catalog).replace("{data}", filled.data + "/")
    with pytest.raises(LakeError) as caught:
        workbench.query(sql, filled)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("the workbench: ")


def test_nothing_was_harmed(filled):
    assert read.table("structural_tau", filled).height == 120
    assert not any(frame.height for frame in checks.run(filled).values())


@pytest.mark.parametrize(
    "sql",
    [
        "copy (select 1 as a) to '/tmp/cicatrix-stolen.csv'",
        "from read_text('/etc/passwd')",
        "from glob('/*')",
        "delete from lake.model",
        "create table lake.t (a int)",
        "attach '/tmp/cicatrix-other.duckdb' as other",
        "set enable_external_access = true",
        "reset lock_configuration",
        "from ducklake_expire_snapshots('lake', older_than => now())",
    ],
)
def test_the_second_fence_holds_without_the_first(filled, monkeypatch, sql):
    monkeypatch.setattr(workbench, "check", lambda sql: None)
    with pytest.raises(LakeError):
        workbench.query(sql, filled)


def test_python_variables_cannot_be_read(filled):
    import polars as pl

    secret = pl.DataFrame({"a": [1]})
    assert secret.height
    with pytest.raises(LakeError, match="no table or mart 'secret'"):
        workbench.query("from secret", filled)


def test_hints_are_kept_on_one_line(filled):
    with pytest.raises(LakeError, match="Candidate bindings"):
        workbench.query("select labl from model", filled)


def test_a_long_query_is_stopped(filled):
    start = time.monotonic()
    with pytest.raises(LakeError, match="longer than 0.5 s"):
        workbench.query(
            "select count(*) from range(1000000) a, range(1000000) b", filled, timeout_s=0.5
        )
    assert time.monotonic() - start < 10


def test_an_absent_lake_answers_with_no_rows(location):
    assert workbench.query("from scar", location).is_empty()
