"""The parser's fence: what is answered, and that everything else is refused before it is run."""

import attacks
import duckdb
import pytest

from warehouse import extensions, functions
from warehouse.location import LakeError
from warehouse.statement import check, relation_names

PATHS = {"{outside}": "/etc/hostname", "{folder}": "/etc", "{target}": "/tmp/cicatrix-stolen"}
ALLOWED = [
    "select count(*) as n from structural_tau",
    "select label from lake.main.model",
    "select m.label, s.* from model m left join structural_scar s on s.derivative_id = m.model_id",
    "with recursive a as (select 1 as x union all select x + 1 from a where x < 3) from a",
    "with a as materialized (from structural_scar), b as (from a) from b",
    "values (1)",
    "table model",
    "select unnest([1, 2]) as x",
    "pivot (select site, seed from structural_tau) on site in ('A', 'B') using count(*)",
    "unpivot (select n_layers, n_params from model) on columns(*)",
    "select count(*) as n from structural_tau at (version => 1)",
    "select * exclude (label) replace (1 as n_layers) from model",
    "select distinct on (family) family, label from model order by all limit 10 offset 1",
    "select family, quantile_cont(n_params, 0.5) over (partition by family) from model qualify "
    "row_number() over (order by label) < 3",
    "select * from model asof join unit on model.registered_at >= unit.committed_at",
    "select sum(n_layers) filter (where family ilike 'L%') from model group by cube (family)",
    "select date_trunc('day', registered_at) + interval 1 day, extract(year from now()) from model",
    "select case when label is null then coalesce(family, '-') else label::varchar end from model",
    "select try_cast(label as integer), label collate nocase, #1 from model",
    "select columns(c -> c like 'n_%') from model using sample 10 rows",
    "show tables",
    "describe structural_scar",
    "summarize model",
    "from (describe structural_scar)",
]


@pytest.fixture(scope="module")
def parser():
    connection = duckdb.connect(config=extensions.CONFIG)
    yield connection
    connection.close()


def filled_in(sql):
    for name, path in PATHS.items():
        sql = sql.replace(name, path)
    return sql.replace("{catalog}", "/l/catalog.sqlite").replace("{data}", "/l/data/")


@pytest.mark.parametrize("sql", [*ALLOWED, *attacks.HEAVY, *attacks.HARMLESS])
def test_it_lets_pass(parser, sql):
    check(sql, parser)


@pytest.mark.parametrize("number", range(len(attacks.REFUSED)))
def test_it_refuses(parser, number):
    with pytest.raises(LakeError) as caught:
        check(filled_in(attacks.REFUSED[number]), parser)
    said = str(caught.value)
    assert "\n" not in said and said.startswith("the workbench: ") and len(said) < 500


def test_no_view_of_duckdb_can_be_hidden_behind_a_name(parser):
    views = parser.execute("select view_name from duckdb_views() where internal").fetchall()
    searched = {name for (name,) in views} - {"tables", "columns", "views", "schemata"}
    assert len(searched) > 30
    for (name,) in parser.execute(
        "select distinct view_name from duckdb_views() where internal and schema_name "
        "in ('main', 'pg_catalog')"
    ).fetchall():
        with pytest.raises(LakeError):
            check(f'with "{name}" as (select 1) select * from "{name}"', parser)


def test_functions_are_named_as_duckdb_names_them(parser):
    """A name that DuckDB does not know would be a slip of ours, and one it should never have."""
    rows = parser.execute("select distinct lower(function_name) from duckdb_functions()").fetchall()
    by_parser = {"!", "->"}  # of the grammar alone
    assert {name for (name,) in rows} | by_parser >= functions.FUNCTIONS
    for word in ("read_", "duckdb_", "pragma_", "sleep", "setting", "secret", "query", "glob"):
        assert not [name for name in functions.FUNCTIONS if word in name], word


def test_every_table_and_mart_may_be_asked(parser):
    assert {"structural_scar", "model", "stg_measurement", "published"} <= relation_names()
    for name in relation_names():
        check(f"select * from {name}", parser)
