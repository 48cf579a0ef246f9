# pyarrow and duckdb's rows carry no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownParameterType=false
# pyright: reportUnknownArgumentType=false
"""A pack: the complete measurements of a lake as one Parquet file, for other lakes to take.

The file has one row, and for each table a column that holds the list of its rows. What a taker
can work out to the bit is left out:

    instants            when something became known to this lake; the taker has a clock of its own
    measurement_id      outside `measurement`: the place in that list, from 0
    text_sha256         of a template: empty where it is the hash of its text
    `_FOLLOWS`          numbers: the bits in which they differ from what they follow from

No attempt is in a pack, and with it no host and no path.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from warehouse import checks, extensions
from warehouse.attach import schema_version
from warehouse.declaring import ARROW_TYPES, INSTANT, Column, Table
from warehouse.lake import Lake
from warehouse.location import LakeError
from warehouse.relations import Views, define_empty_lake
from warehouse.rows import Row, to_arrow
from warehouse.tables import RECORD_TABLES, TABLES

_MAGIC = b"PAR1"
_SCHEMA, _MADE_BY = "cicatrix_schema", "made_by"
_LEVEL = 19  # of zstd: half a megabyte under the default; 22 gains nothing more
_PAGE_BYTES = 2**26  # a column is one page, so that a text is found again wherever it stood

_OF_MODELS = ("model", "organism", "comparison")
_PACKED = tuple(
    TABLES[name]
    for name in (
        *_OF_MODELS,
        "measurement",
        "measurement_model",
        "unit",
        *(table.name for table in RECORD_TABLES),
    )
)
# What a number equals, or nearly; of `own`, the row itself, and of tables further up in `_PACKED`.
_FOLLOWS = {
    "structural_tau": {"tau_rerun": "own.tau"},
    "winner_gap_prompt": {"d": "moved.difference", "d1": "moved.difference[1]"},
}
_JOINED = {
    "winner_gap_prompt": """
        left join (
            select
                measurement.measurement_id,
                base.prompt_id,
                [derivative.template[k] - base.template[k] for k in range(1, 21)] as difference
            from measurement
            inner join stg_prompt_template as base
                on json_extract_string(measurement.options, '$.inputs.base') = base.measurement_id
            inner join stg_prompt_template as derivative
                on json_extract_string(measurement.options, '$.inputs.derivative')
                = derivative.measurement_id
                and base.prompt_id = derivative.prompt_id
        ) as moved
            on plan.measurement_id = moved.measurement_id and own.prompt_id = moved.prompt_id
    """
}

# Not with what was compared with it as a stranger: that is another derivative's.
_COMPARED_WITH = """
    select {derivative} as model_id
    union
    select model_id from stg_comparison where derivative_id = {derivative}
    union
    select other.model_id
    from measurement_model as own
    inner join measurement_model as other using (measurement_id)
    where own.model_id = {derivative} and own.role in ('derivative', 'distilled')
"""


@dataclass(frozen=True, slots=True)
class TakenPack:
    """What a pack brought."""

    n_measurements: int
    n_known: int  # measurements that the lake had planned already: they stay as they are
    n_rows: int  # records

    def text(self) -> str:
        """One line for a person."""
        return (
            f"took {self.n_measurements} measurements ({self.n_rows:,} records), "
            f"{self.n_known} were there"
        )


def is_pack(path: Path) -> bool:
    """Whether a file is called or begins like Parquet; not whether it is sound."""
    start = b""
    with suppress(OSError), path.open("rb") as file:
        start = file.read(len(_MAGIC))
    return start == _MAGIC or path.suffix == ".parquet"


class Readable(Protocol):
    """A lake, or the module `read`."""

    def snapshot(self, queries: Mapping[str, str]) -> dict[str, pa.Table]:
        """Answers to several questions about one instant of the lake."""
        ...


def write_pack(lake: Readable, path: Path, *, made_by: str, of: str | None = None) -> int:
    """Write all that the lake knows and that is complete; how many measurements.

    `made_by` says what made the records, such as the hash of a build. With `of`, a derivative's
    id: what is of it, and of the models that it was ever compared with, alone.
    """
    answers = lake.snapshot({table.name: _packing(table, of) for table in _PACKED})
    pack = pa.table({table.name: _as_list(answers[table.name], table) for table in _PACKED})
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        _write(pack, part, {_SCHEMA: str(schema_version()), _MADE_BY: made_by})
        _unpacked(part)  # what no lake would take is better told to who can mend it
        os.replace(part, path)
    except OSError as error:
        raise LakeError(f"'{path}' cannot be written ({error}): give another place") from error
    finally:
        part.unlink(missing_ok=True)
    return len(answers["measurement"])


def take_pack(
    lake: Lake, path: Path, refuse: Callable[[Row, Mapping[str, str]], None] | None = None
) -> TakenPack:
    """Add what the lake does not know, in one transaction; what it knows stays as it is.

    `refuse` is given each measurement's row and its models by role, and raises to refuse the pack.
    """
    tables = _unpacked(path)
    if refuse is not None:
        models: dict[str, dict[str, str]] = {}
        for member in tables["measurement_model"].to_pylist():
            models.setdefault(member["measurement_id"], {})[member["role"]] = member["model_id"]
        for row in tables["measurement"].to_pylist():
            refuse(row, models[row["measurement_id"]])
    n_new, n_rows = lake.add_measured(tables)
    return TakenPack(n_new, len(tables["measurement"]) - n_new, n_rows)


def _unpacked(path: Path) -> dict[str, pa.Table]:
    """The pack's tables, every value checked, in a lake of their own that passes every check.

    Instants count from the epoch, a microsecond from one measurement to the next, so that the
    newest of several stays the newest.
    """
    packed = _read(path)
    ids = packed["measurement"]["measurement_id"]
    connection = duckdb.connect(config=extensions.CONFIG)
    try:
        connection.execute("set timezone = 'UTC'")
        define_empty_lake(connection)
        Views(connection).define_all()
        plan = {"measurement_id": ids, "place": pa.array(range(len(ids)), pa.int32())}
        connection.register("plan", pa.table(plan))
        tables: dict[str, pa.Table] = {}
        for table in _PACKED:
            connection.register("packed", packed[table.name])
            rows = connection.execute(_unpacking(table)).to_arrow_table().to_pylist()
            tables[table.name] = to_arrow(table, rows)
            connection.register("checked", tables[table.name])
            connection.execute(f"insert into {table.name} select * from checked")
        if faults := _faults(connection):
            raise LakeError(f"it fails the checks {', '.join(faults)}")
        return tables
    except (duckdb.Error, LakeError) as error:
        what = " ".join(str(error).split())
        raise LakeError(
            f"the pack '{path}' holds what no lake may ({what}): have it written again"
        ) from error
    finally:
        connection.close()


def _write(pack: pa.Table, path: Path, notes: Mapping[str, str]) -> None:
    leaves = [(_leaf(table, column), column) for table in _PACKED for column in table.columns]
    with pq.ParquetWriter(
        path,
        pack.schema,
        compression="zstd",
        compression_level=_LEVEL,
        # Lists of paths, of which its types do not know.
        use_dictionary=[leaf for leaf, column in leaves if not _is_real(column)],  # pyright: ignore[reportArgumentType]
        use_byte_stream_split=[leaf for leaf, column in leaves if _is_real(column)],  # pyright: ignore[reportArgumentType]
        data_page_size=_PAGE_BYTES,
        dictionary_pagesize_limit=_PAGE_BYTES,
        write_statistics=False,
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        writer.write_table(pack)
        writer.add_key_value_metadata(notes)


def _read(path: Path) -> dict[str, pa.Table]:
    """The columns of a pack of our own schema as tables, as they are packed."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            notes = file.metadata.metadata or {}
            pack = file.read()
        pack.validate(full=True)
    except (OSError, pa.ArrowException) as error:
        what = " ".join(str(error).split())
        raise LakeError(
            f"'{path}' cannot be read as a pack ({what}): give the whole file, as it was written"
        ) from error
    found = notes.get(_SCHEMA.encode(), b"").decode(errors="replace")
    if not found.isdecimal():
        raise LakeError(
            f"'{path}' is Parquet but no pack, which names the schema of its records: give a pack"
        )
    if int(found) != (ours := schema_version()):
        todo = "upgrade this one" if int(found) > ours else "have it written again"
        raise LakeError(
            f"the pack '{path}' is of schema {found} and this cicatrix takes {ours}: {todo}"
        )
    try:
        return {table.name: _as_table(pack[table.name], table) for table in _PACKED}
    except (KeyError, pa.ArrowException) as error:
        raise LakeError(
            f"the pack '{path}' has not the columns of its schema ({error}): have it written again"
        ) from error


def _faults(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of the checks that the lake of this connection fails."""
    incomplete = "from measurement anti join stg_measurement using (measurement_id)"
    queries = {**checks.queries(), "incomplete_measurement": incomplete}
    return [name for name, sql in queries.items() if connection.execute(sql).fetchone()]


def _packing(table: Table, of: str | None) -> str:
    """The question for a table's rows as they are packed, always in one order."""
    if of is None:
        is_model, is_pair, is_plan = "true", "true", "true"
    else:
        derivative = "'" + of.replace("'", "''") + "'"
        models = _COMPARED_WITH.format(derivative=derivative)
        is_model = f"own.model_id in ({models})"
        is_pair = f"own.derivative_id = {derivative}"
        is_plan = (
            "measurement_id not in (select measurement_id from measurement_model "
            f"where model_id not in ({models}))"
        )
    columns = ", ".join(
        f"{_packed(table, column)} as {column.name}"
        for column in table.columns
        if column.type != INSTANT
    )
    key = [f"own.{name}" for name in table.key if name not in ("measurement_id", "declared_at")]
    if table.name in _OF_MODELS:
        source = "stg_comparison" if table.name == "comparison" else table.name
        which = is_pair if table.name == "comparison" else is_model
        return f"select {columns} from {source} as own where {which} order by {', '.join(key)}"
    return (
        "with plan as (select measurement_id, (row_number() over "
        "(order by committed_at, measurement_id) - 1)::integer as place from stg_measurement "
        f"where {is_plan}) "
        f"select {columns} from {table.name} as own "
        "inner join plan on own.measurement_id = plan.measurement_id "
        f"{_JOINED.get(table.name, '')} order by {', '.join(['plan.place', *key])}"
    )


def _unpacking(table: Table) -> str:
    """The question for a table's rows as they were, of the relation `packed`."""
    columns = ", ".join(f"{_restored(table, column)} as {column.name}" for column in table.columns)
    if table.name in (*_OF_MODELS, "measurement"):
        return f"select {columns} from packed as own"
    return (
        f"select {columns} from packed as own left join plan on own.measurement_id = plan.place "
        f"{_JOINED.get(table.name, '')}"
    )


def _packed(table: Table, column: Column) -> str:
    own = f"own.{column.name}"
    if _is_place(table, column):
        return "plan.place"
    if follows := _follows(table, column):
        return _xor(column, follows, "bigint")
    if (table.name, column.name) == ("prompt_template", "text_sha256"):
        return f"if({own} = sha256(own.text), '', {own})"
    return own


def _restored(table: Table, column: Column) -> str:
    own = f"own.{column.name}"
    if _is_place(table, column):
        return "plan.measurement_id"
    if column.type == INSTANT:
        return f"to_timestamp(0) + to_microseconds({'plan.place' if table.name == 'unit' else 0})"
    if follows := _follows(table, column):
        return _xor(column, follows, "double")
    if (table.name, column.name) == ("prompt_template", "text_sha256"):
        return f"if({own} = '', sha256(own.text), {own})"
    return own


def _xor(column: Column, follows: str, kind: str) -> str:
    """The bits in which a number, or each of a list, differs from what it follows from."""
    own = f"own.{column.name}"
    if column.type.endswith("[]"):
        each = f"xor({own}[k]::bit, coalesce({follows}[k], 0)::bit)::{kind}"
        return f"[{each} for k in range(1, 1 + len({own}))]"
    return f"xor({own}::bit, coalesce({follows}, 0)::bit)::{kind}"


def _is_place(table: Table, column: Column) -> bool:
    return column.name == "measurement_id" and table.name != "measurement"


def _follows(table: Table, column: Column) -> str | None:
    return _FOLLOWS.get(table.name, {}).get(column.name)


def _is_real(column: Column) -> bool:
    return column.type.startswith("DOUBLE")


def _leaf(table: Table, column: Column) -> str:
    """The Parquet path of a column's values."""
    return f"{table.name}.list.element.{column.name}" + ".list.element" * column.type.endswith("[]")


def _type(table: Table, column: Column) -> pa.DataType:
    """The Arrow type in which a column is packed."""
    if _is_place(table, column):
        return pa.int32()
    if _follows(table, column):
        return pa.list_(pa.int64()) if column.type.endswith("[]") else pa.int64()
    return ARROW_TYPES[column.type]


def _schema(table: Table) -> pa.Schema:
    return pa.schema(
        [
            pa.field(column.name, _type(table, column), nullable=column.is_nullable)
            for column in table.columns
            if column.type != INSTANT
        ]
    )


def _as_list(rows: pa.Table, table: Table) -> pa.ListArray:
    """The rows as one value: a list of structs."""
    structs = rows.cast(_schema(table)).to_struct_array()
    whole = pa.concat_arrays(structs.chunks) if structs.num_chunks else pa.array([], structs.type)
    return pa.ListArray.from_arrays(pa.array([0, len(whole)], pa.int32()), whole)


def _as_table(column: pa.ChunkedArray, table: Table) -> pa.Table:
    """The rows of such a list."""
    structs = pa.concat_arrays([chunk.flatten() for chunk in column.chunks])
    return pa.Table.from_struct_array(structs).cast(_schema(table))
