"""What somebody may type to get out of the sandbox: each a statement, by what it is after.

{catalog} and {data} are the lake's, {outside} a file and {folder} a folder that are not, {target} a
file that does not exist there, {inside} one that does not exist in the data folder.
"""

WRITES = """
copy model to '{target}'
copy (select 1 as a) to '{target}' (format csv)
copy (select 1 as a) to '{inside}.parquet'
copy (select 1 as a) to '{folder}/parts' (format parquet, partition_by (a))
copy model from '{outside}'
copy from database lake to memory
with a as (copy (select 1) to '{target}') select 1
with a as (copy (select 1) to '{target}' returning *) from a
with a as (insert into model select * from model returning *) from a
with a as (delete from model returning *) select count(*) from a
with a as (update model set label = 'x' returning *) from a
with a as materialized (copy (select 1) to '{target}') select 1
with a as (select 1) insert into model select * from a
with a as (select 1) delete from model
with a as (from model) merge into model using a on true when matched then delete
explain analyze copy (select 1) to '{target}'
explain analyze delete from model
explain analyze insert into model select * from model
explain analyze create table t as select 1
explain (analyze) delete from model
explain (analyze, format json) update model set label = 'x'
explain delete from model
explain select 1
select * from (explain analyze delete from model)
with a as (explain analyze select 1) from a
insert into model select * from model
insert or replace into model select * from model
insert into lake.main.model select * from model
update model set label = 'x'
update lake.model set label = 'x'
delete from model
delete from lake.main.model
truncate model
merge into model using (select 1 as i) on true when matched then delete
create table t (a int)
create table lake.t as select 1
create or replace table model as select 1
create temp table t (a int)
create table memory.t (a int)
create view v as select 1
create or replace view scar as select 1
create or replace temp view scar as select 1
create schema s
create sequence s
create type mood as enum ('a')
create macro m(a) as a + 1
create macro m() as table select 1
create temp macro m() as table from read_text('{outside}')
create function m(a) as a + 1
create index i on model (label)
create secret s (type s3, key_id 'a', secret 'b')
create persistent secret s (type s3, key_id 'a', secret 'b')
drop table model
drop table if exists lake.main.model
drop view scar
drop schema main cascade
drop secret s
alter table model add column x int
alter table model drop column label
alter table model rename to m
alter database lake rename to l
comment on table model is 'x'
export database '{target}'
import database '{folder}'
vacuum
vacuum analyze model
analyze
checkpoint
force checkpoint
checkpoint lake
from checkpoint()
from force_checkpoint()
select write_log('x')
from enable_logging()
from truncate_duckdb_logs()
from sqlite_attach('{target}')
from ducklake_set_option('lake', 'x', 'y')
from ducklake_set_commit_message('lake', 'a', 'b')
from ducklake_commit('lake')
from ducklake_expire_snapshots('lake', older_than => now())
from ducklake_cleanup_old_files('lake', cleanup_all => true)
from ducklake_delete_orphaned_files('lake', cleanup_all => true)
from ducklake_merge_adjacent_files('lake')
from ducklake_rewrite_data_files('lake')
from ducklake_flush_inlined_data('lake')
from ducklake_add_data_files('lake', 'model', '{outside}')
call ducklake_expire_snapshots('lake', older_than => now())
call ducklake_merge_adjacent_files('lake')
call ducklake_flush_inlined_data('lake')
call lake.merge_adjacent_files()
from postgres_execute('x', 'drop table ducklake_metadata')
from sqlite_query('__ducklake_metadata_lake', 'delete from ducklake_snapshot')
""".strip().splitlines()

SESSION = """
attach '{target}' as other
attach ':memory:' as other
attach '{catalog}' as other (type sqlite)
attach '{catalog}' as other (type sqlite, read_only)
attach 'ducklake:sqlite:{catalog}' as again
attach 'ducklake:sqlite:{catalog}' as again (data_path '{folder}')
attach if not exists 'ducklake:sqlite:{catalog}' as again (read_only)
attach 'postgres:dbname=postgres' as pg
attach 'https://example.org/x.duckdb' as web
detach lake
detach __ducklake_metadata_lake
use memory
use __ducklake_metadata_lake
use temp
set threads = 8
set memory_limit = '100GB'
set enable_external_access = true
set lock_configuration = false
set allowed_directories = ['/']
set allowed_paths = ['{outside}']
set allow_unsigned_extensions to true
set temp_directory = '{folder}'
set search_path = '__ducklake_metadata_lake'
set schema = 'information_schema'
set global threads = 8
set session timezone = 'Mars/Phobos'
set variable x = (select content from read_text('{outside}'))
set log_query_path = '{target}'
set profiling_output = '{target}'
set secret_directory = '{folder}'
set extension_directory = '{folder}'
set home_directory = '{folder}'
set custom_extension_repository = 'http://127.0.0.1:1'
set allow_parser_override_extension = 'strict'
reset lock_configuration
reset enable_external_access
reset all
pragma database_list
pragma enable_profiling
pragma enable_profiling = 'json'
pragma profiling_output = '{target}'
pragma disable_optimizer
pragma show_tables
pragma show_tables_expanded
pragma table_info('model')
pragma storage_info('model')
pragma version
pragma threads = 8
pragma memory_limit = '1TB'
pragma import_database('{folder}')
pragma copy_database('lake', 'memory')
pragma add_parquet_key('k', '0123456789112345')
pragma json_execute_serialized_sql('x')
install httpfs
install httpfs from 'http://127.0.0.1:1'
force install httpfs
update extensions
load httpfs
load '{outside}'
load postgres_scanner
begin
begin; select 1
commit
rollback
abort
prepare p as select 1
prepare p as delete from model
execute p
execute p(1)
deallocate p
call pragma_version()
call query('select 1')
call read_text('{outside}')
call duckdb_settings()
select 1; select 2
select 1; drop table model
select 1;; select 2
select 1 /* ; */; delete from model
; select 1; select 2
from model limit 1; copy model to '{target}'
select 1) limit 1; drop table model; --
select 1) union all (from read_text('{outside}')
1) from (select 1
""".strip().splitlines()

FILES = """
from read_text('{outside}')
from read_text(['{outside}', '/etc/passwd'])
select content from read_text('{outside}')
from read_blob('{outside}')
from read_blob('{catalog}')
from read_csv('{outside}')
from read_csv_auto('{outside}')
from read_csv('{outside}', header = false, columns = {'a': 'varchar'})
from read_csv('{target}', store_rejects = true)
from read_json('{outside}')
from read_json_auto('{outside}')
from read_json_objects('{outside}')
from read_ndjson('{outside}')
from read_ndjson_objects('{outside}')
from read_parquet('{data}**')
from read_parquet('{folder}/*.parquet')
from parquet_scan('{folder}/*.parquet')
from parquet_scan('{data}**')
from parquet_metadata('{data}**')
from parquet_file_metadata('{data}**')
from parquet_full_metadata('{data}**')
from parquet_kv_metadata('{data}**')
from parquet_schema('{data}**')
from parquet_bloom_probe('{data}**', 'label', 'x')
from read_duckdb('{outside}')
from sniff_csv('{outside}')
from glob('{folder}/*')
from glob('/')
from glob('{data}**')
from glob('/proc/self/*')
from '{outside}'
from "{outside}"
from '{catalog}'
from '{folder}/*.parquet'
from '{data}**/*.parquet'
from 'https://example.org/x.parquet'
from 'http://127.0.0.1:1/x.csv'
from 's3://bucket/x.parquet'
from 'hf://datasets/a/b/x.parquet'
from read_parquet('s3://bucket/x.parquet')
from read_csv('http://127.0.0.1:1/x.csv')
from read_text('https://example.org')
from '/dev/stdin'
from read_text('/dev/stdin')
from read_text('/proc/self/environ')
from read_blob('/proc/self/mem')
from read_text('/proc/1/environ')
with "{outside}" as (select 1) select * from "{outside}"
with a as (from read_text('{outside}')) from a
with recursive a as (select 1 as x union all select size from read_text('{outside}')) from a
select (select content from read_text('{outside}'))
select 1 where exists (from glob('/*'))
select * from (select 1) t, lateral (from read_text('{outside}'))
select * from model join read_text('{outside}') on true
select 1 union all (select size from read_text('{outside}'))
select 1 order by (select size from read_text('{outside}'))
select 1 limit (select size from read_text('{outside}'))
select 1 offset (select size from read_text('{outside}'))
select 1 group by (select size from read_text('{outside}'))
select sum(1) filter (where exists (from read_text('{outside}')))
select sum(1) over (order by (select size from read_text('{outside}')))
select list_transform([1], x -> (select size from read_text('{outside}')))
select list_transform([1], lambda x: (select size from read_text('{outside}')))
select [x for x in (select list(content) from read_text('{outside}'))]
select case when true then (select size from read_text('{outside}')) end
select columns(c -> exists (from read_text('{outside}'))) from model
select * replace ((select size from read_text('{outside}')) as label) from model
select * from model tablesample reservoir(10) where exists (from read_text('{outside}'))
select {'a': (select content from read_text('{outside}'))}.a
select map {'a': (select content from read_text('{outside}'))}
select 1 in (select size from read_text('{outside}'))
select 1 = any (select size from read_text('{outside}'))
select 1 between 0 and (select size from read_text('{outside}'))
select cast((select content from read_text('{outside}')) as varchar)
select coalesce(null, (select content from read_text('{outside}')))
from (values ((select content from read_text('{outside}')))) as t(a)
from model at (version => (select size from read_text('{outside}')))
summarize from read_text('{outside}')
describe from sniff_csv('{outside}')
describe from read_text('{outside}')
describe '{outside}'
summarize '{outside}'
from (describe from read_text('{outside}'))
pivot (from read_text('{outside}')) on size in (1) using count(*)
unpivot (from read_text('{outside}')) on size
pivot model on label
pivot model on label using count(*) group by family
from system.main.read_text('{outside}')
from main.read_text('{outside}')
from "read_text"('{outside}')
from READ_TEXT('{outside}')
from sqlite_scan('{catalog}', 'ducklake_table')
from sqlite_query('{catalog}', 'select 1')
from postgres_query('x', 'select 1')
from postgres_scan('dbname=x', 'public', 't')
from postgres_scan_pushdown('dbname=x', 'public', 't')
from postgres_attach('dbname=x')
from query('select 1')
from query('from read_text(''{outside}'')')
from query($1)
from query(?)
from query_table('model')
from query_table(['model', 'unit'])
from query_table('{outside}')
from json_execute_serialized_sql(json_serialize_sql('select 1'))
select json_serialize_plan('from read_text(''{outside}'')')
select json_deserialize_sql(json_serialize_sql('select 1'))
from arrow_scan(1::pointer, 1::pointer, 1::pointer)
from arrow_scan_dumb(1, 1, 1)
from pandas_scan(1)
from python_map_function(1)
from seq_scan(1)
from repeat_row(1, num_rows => 3)
from summary(model)
from test_all_types()
from test_vector_types(1)
from histogram('model', 'label')
from ducklake_scan('lake')
from ducklake_list_files('lake', 'model')
from ducklake_table_changes('lake', 'main', 'model', 0, 9)
from ducklake_table_insertions('lake', 'main', 'model', 0, 9)
from secret
from sys
from os
""".strip().splitlines()

SECRETS = """
select getenv('CICATRIX_TEST_SECRET')
select getenv('HOME')
select getvariable('x')
select current_setting('allowed_directories')
select current_setting('secret_directory')
select set_config('threads', '8', false)
select current_query()
select current_database()
select current_schemas(true)
select current_connection_id()
select txid_current()
select version()
select in_search_path('lake', 'main')
select pg_get_viewdef(1)
select has_table_privilege('model', 'select')
select obj_description(1)
select nextval('s')
select currval('s')
select setseed(0.5)
select stats(label) from model
select $1
select ?
select $name
from duckdb_settings()
from duckdb_secrets()
from duckdb_secrets(redact => false)
from which_secret('s3://x', 's3')
from duckdb_secret_types()
from duckdb_databases()
from duckdb_databases
from duckdb_tables()
from duckdb_tables
from duckdb_views()
from duckdb_columns()
from duckdb_schemas()
from duckdb_functions()
from duckdb_extensions()
from duckdb_logs()
from duckdb_logs
from duckdb_memory()
from duckdb_temporary_files()
from duckdb_external_file_cache()
from duckdb_variables()
from duckdb_prepared_statements()
from duckdb_dependencies()
from duckdb_optimizers()
from duckdb_connection_count()
from pragma_user_agent()
from pragma_platform()
from pragma_database_size()
from pragma_show('model')
from pragma_table_info('model')
from pragma_storage_info('model')
from pragma_metadata_info()
from pragma_version()
from pragma_database_list
from sqlite_master
from sqlite_schema
from sqlite_temp_master
from information_schema.tables
from information_schema.columns
from information_schema.schemata
from system.information_schema.tables
from pg_catalog.pg_tables
from pg_tables
from pg_catalog.pg_database
from pg_catalog.pg_settings
from pg_settings
from pg_authid
from __ducklake_metadata_lake.ducklake_table
from __ducklake_metadata_lake.main.ducklake_table
from __ducklake_metadata_lake.main.ducklake_metadata
from __ducklake_metadata_lake.main.model
from __ducklake_metadata_lake.ducklake_inlined_data_tables
from "__ducklake_metadata_lake"."main"."ducklake_snapshot"
from __DUCKLAKE_METADATA_LAKE.main.ducklake_data_file
describe __ducklake_metadata_lake.main.ducklake_table
summarize __ducklake_metadata_lake.main.ducklake_table
from ducklake_table
from ducklake_metadata
from ducklake_options('lake')
from ducklake_settings('lake')
from ducklake_table_info('lake')
from ducklake_snapshots('lake')
from ducklake_current_snapshot('lake')
from lake.snapshots()
from lake.current_snapshot()
from lake.options()
from lake.table_info()
show databases
show all tables
show schemas
show variables
show extensions
show tables from __ducklake_metadata_lake
show tables from lake
describe
with duckdb_databases as (select 1) from duckdb_databases
select path from duckdb_databases, (with duckdb_databases as (select 1) select 1)
with pg_settings as (select 1) select * from pg_settings
with sqlite_master as (select 1) select * from sqlite_master
with pragma_database_list as (select 1) from pragma_database_list
with "information_schema.tables" as (select 1) from "information_schema.tables"
select pg_sleep(100)
select sleep_ms(100000)
select parse_duckdb_log_message('a', 'b')
select * from icu_calendar_names()
from pg_timezone_names()
""".strip().splitlines()

# Letters that look like others, or become others when they are put in lower case.
TRICKS = [
    "",
    "   ",
    ";",
    "-- nothing",
    "/* nothing */",
    "-- select 1",
    "selec 1",
    "select",
    "select 1 from",
    "from modle",
    "\x00select 1",
    "select 1\x00; drop table model",
    "ｓｅｌｅｃｔ 1; drop table model",
    "from ｒｅａｄ_text('{outside}')",
    "from read\u200b_text('{outside}')",
    "from read_text\u00a0('{outside}')",
    "from reаd_text('{outside}')",  # noqa: RUF001 - a Cyrillic a
    "from READ_TEXT\u0131('{outside}')",
    "from U&'\\0072ead_text'('{outside}')",
    "from \u212bmodel",
    "select '\udc80'",  # half a character, as a terminal gives bytes that are none
    "select 1 \u037e drop table model",  # a Greek question mark
    "\ufeffdrop table model",
    "\u2028drop table model",
    "select 1 -- ;\n; delete from model",
    "drop/**/table/**/model",
    "DrOp TaBlE model",
    "/*/**/*/ drop table model",
    "select 1 -- \r drop table model\n; drop table model",
    "select 'a'; drop table model; --'",
    "select $$a$$; drop table model",
    "select $a$ ; $a$; drop table model",
    "select e'\\''; drop table model --'",
    'select "a"";" ; drop table model',
    "select 1\\; drop table model",
    "select '" + "x" * 100_001 + "'",
    "select " + "+".join(["1"] * 3_000),
    "select " + "not " * 5_000 + "true",
    "select " + "[" * 3_000 + "]" * 3_000,
    "select " + "case when true then " * 2_000 + "1" + " end" * 2_000,
    "from " + "(from " * 2_000 + "model" + ")" * 2_000,
    "select " + "-" * 9_001 + "1",
    "with "
    + ", ".join(f"a{i} as (from read_text('{{outside}}'))" for i in range(500))
    + " from a1",
    " union all ".join(["select 1"] * 5_000) + " union all from read_text('{outside}')",
]

REFUSED = [*WRITES, *SESSION, *FILES, *SECRETS, *TRICKS]

# Allowed by the parser, and ended by a limit: time, memory, or the size of an answer.
HEAVY = [
    "select count(*) from range(1000000) a, range(1000000) b",
    "select sum(a.range * b.range) from range(1000000000) a, range(1000000000) b",
    "select count(*) from range(10000) a, range(10000) b, range(10000) c, range(10000) d",
    "with recursive t as (select 1 as x union all select x + 1 from t) select max(x) from t",
    "with recursive t as (select 1 as x union all select x from t) from t",
    "with recursive t as (select 1 as x union all select x + 1 from t) select count(*) from t, t u",
    "select count(*) from (with recursive t as (select 'a' as x union all "
    "select x || x from t) from t)",
    "select repeat('x', 100000000000)",
    "select repeat(repeat(repeat('x', 100000), 100000), 100)",
    "select length(repeat('x', 4000000000))",
    "select lpad('x', 2000000000, 'y')",
    "select range(10000000000)",
    "select len(range(2000000000))",
    "select list(range) from range(10000000000)",
    "select string_agg('xxxxxxxxxxxxxxxx', ',') from range(10000000000)",
    "select list_transform(range(100000000), x -> list_transform(range(100000000), y -> x + y))",
    "select list_sort(range(1000000000))",
    "select list_reduce(range(1000000000), (a, b) -> a + b)",
    "select * from range(10000000000) order by range desc limit 5 offset 9999999990",
    "select count(distinct range) from range(10000000000)",
    "select range, count(*) from range(10000000000) group by 1",
    "select histogram(range) from range(10000000000)",
    "select mode(range::varchar) from range(10000000000)",
    "select row_number() over (order by random()) from range(1000000000) order by 1",
    "select unnest(range(1000000000)), unnest(range(1000000000))",
    "select repeat('x', 100000000) from range(10)",
    "select repeat('x', 1000000) from range(10000)",
    "select list(repeat('x', 1000)) from range(1000000)",
    "select regexp_matches(repeat('a', 1000000), '(a|a)*b') from range(1000000000) order by 1",
    "select levenshtein(repeat('a', 100000), repeat('b', 100000))",
    "select jaccard(repeat('ab', 100000000), repeat('ba', 100000000))",
    "select count(*) from repeat('x', 1000000000000)",
    "select max(hash(a.range, b.range)) from generate_series(1, 100000000) a(range), "
    "generate_series(1, 100000000) b(range)",
    "select json_array_length(json_group_array(range)) from range(1000000000)",
    "select bitstring_agg(range, 0, 999999999) from range(1000000000)",
    "select product(range) from range(100000000000)",
    "select " + " + ".join(f"(select count(*) from range({10**11 + i}))" for i in range(50)),
    "select a.* from structural_tau a, structural_tau b, structural_tau c, structural_tau d "
    "order by a.tau desc, b.tau, c.tau, d.tau",
    "summarize from range(100000000000)",
    "pivot (select range % 2 as a from range(100000000000)) on a in (0, 1) using count(*)",
]

# Looks like an attack and is none: it must be answered, for a sandbox that refuses all is easy.
HARMLESS = {
    "select 'drop table model; copy x to ''y''' as a": "drop table model; copy x to 'y'",
    "select 1 -- ; drop table model": 1,
    "select /* ; drop table model */ 2": 2,
    "select 3;": 3,
    "select $$a;b$$": "a;b",
    "select 'a' || chr(59) || 'b'": "a;b",
    'select 4 as "; drop table model"': 4,
    "with read_text as (select 5) from read_text": 5,
    "select count(*) from (select 'from read_text(''x'')')": 1,
    "select list_sum(list_transform([1, 2], x -> x + 1))": 5,
    "select [x * 2 for x in [1, 2] if x > 1][1]": 4,
    "select max(x) from (with recursive t as (select 1 as x union all select x + 1 from t "
    "where x < 9) from t)": 9,
    "select regexp_replace('abc', 'b', '')": "ac",
    "select ' ' || 'ｓｅｌｅｃｔ'": " ｓｅｌｅｃｔ",
    "select count(*) from range(1000000)": 1_000_000,
    "select " + "(" * 5_000 + "1" + ")" * 5_000: 1,
}
