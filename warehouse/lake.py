# pyarrow and duckdb's rows carry no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownParameterType=false
# pyright: reportUnknownArgumentType=false
"""Writing to the lake: models, plans, attempts, and units of records, each once.

A unit commits in one transaction: its records and its row in `unit`. DuckLake enforces no keys,
so every write looks and inserts under one writer lock (`locking`).
"""

import os
import socket
import threading
import uuid
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import duckdb
import polars as pl
import pyarrow as pa

from warehouse.attach import connect, create, schema_version
from warehouse.declaring import INSTANT, Table
from warehouse.location import LakeError, Location, explain, home
from warehouse.locking import writer_lock
from warehouse.relations import Views
from warehouse.rows import Row, to_arrow
from warehouse.tables import RECORD_TABLES, TABLES

__all__ = [
    "Lake",
    "LakeError",
    "Location",
    "connect",
    "create",
    "home",
    "make_default",
    "schema_version",
]

_EPOCH = datetime.fromtimestamp(0, UTC)
_SAME_MODEL = "old.model_id = new.model_id"
_QUESTION = ("derivative_id", "base_id", "layer", "question", "statement")
_SAME_PAIR = "old.derivative_id = new.derivative_id and old.role = new.role"


def make_default() -> bool:
    """Make the lake of the home if there is none yet; a configured one is left to `create`.

    Whether it was made now.
    """
    location = Location.from_env()
    if location.is_configured or location.catalog_state() not in ("absent", "blank"):
        return False
    connect(location, read_only=False).close()
    return True


class Lake:
    """A lake open for writing; `with Lake.open() as lake:`.

    May be shared by the threads of a process.
    """

    def __init__(self, location: Location) -> None:
        """Use `Lake.open`."""
        self.location = location
        self._connection = connect(location, read_only=False)
        self._views = Views(self._connection)
        self._lock = writer_lock(location)
        self._thread_lock = threading.RLock()

    @classmethod
    def open(cls, location: Location | None = None) -> Self:
        """Open for writing: made where the default home has none, migrated where it is older."""
        return cls(location or Location.from_env())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the lake."""
        self._connection.close()
        self._lock.close()

    def add_models(self, models: Iterable[Row]) -> int:
        """Register models; one already known stays as it is. `registered_at` is filled in.

        How many are new.
        """
        return self._add_new("model", models, "registered_at", _SAME_MODEL)

    def add_organisms(self, organisms: Iterable[Row]) -> int:
        """Register the lineage of models of the zoo, as `add_models` does; how many are new."""
        return self._add_new("organism", organisms, "registered_at", _SAME_MODEL)

    def declare(self, organism: Row, *, instead_of: datetime | None) -> None:
        """Keep what a user says of a model's lineage, `registered_at` filled in.

        `instead_of` is when the row that it replaces was registered; None: there is none. Raises
        LakeError where another row is there by now.
        """
        row = to_arrow(TABLES["organism"], [organism], _now_as("registered_at", organism))
        model_id = organism["model_id"]
        with self._transaction("declare a lineage"):
            if self._one(
                "select 1 from organism where model_id = ? and registered_at is distinct from ?",
                model_id,
                instead_of,
            ):
                raise LakeError(
                    f"the lineage of '{model_id}' was declared by somebody else just now; "
                    "run the command again"
                )
            self._connection.execute("delete from organism where model_id = ?", [model_id])
            self._insert("organism", row)

    def add_comparisons(self, comparisons: Iterable[Row]) -> int:
        """Declare pairs, `declared_at` filled in; how many are new.

        A pair already declared stays as it is, but for a base that another one has replaced
        since: declaring it again makes it the base again.
        """
        is_known = (
            f"{_SAME_PAIR} and {_SAME_MODEL} and (new.role <> 'base' or old.declared_at = ("
            "select max(declared_at) from comparison as base where base.role = 'base' "
            "and base.derivative_id = new.derivative_id))"
        )
        return self._add_new("comparison", comparisons, "declared_at", is_known)

    def add_verdicts(self, verdicts: Iterable[Row]) -> int:
        """Keep answers, `judged_at` filled in; how many differ from the newest to their question.

        The same answer by another version of the code is the same answer.
        """
        same = [f"old.{n} is not distinct from new.{n}" for n in _QUESTION]
        is_newest = (
            "old.judged_at = (select max(judged_at) from verdict as latest where "
            + " and ".join(f"latest.{n} is not distinct from new.{n}" for n in _QUESTION)
            + ")"
        )
        answer = [
            f"old.{column.name} is not distinct from new.{column.name}"
            for column in TABLES["verdict"].columns
            if column.name not in (*_QUESTION, "code_version", "judged_at")
        ]
        return self._add_new(
            "verdict", verdicts, "judged_at", " and ".join([*same, is_newest, *answer])
        )

    def add_rows(self, name: str, rows: Iterable[Row]) -> int:
        """Add rows of a table that is no record, but those whose key is there; how many are new.

        Of several writers of the same key the first alone gets 1: who numbers a row can tell.
        """
        table = TABLES[name]
        is_known = " and ".join(f"old.{one} = new.{one}" for one in table.key)
        incoming = to_arrow(table, rows)
        with self._transaction(f"add to {name}"):
            return self._insert_new(name, incoming, f"{name} as old where {is_known}")

    def plan(self, measurement: Row, models: Mapping[str, str]) -> bool:
        """Plan a measurement of these models by role; False when it is planned already.

        Fills `planned_at`.
        """
        row = to_arrow(TABLES["measurement"], [measurement], _now_as("planned_at", measurement))
        measurement_id = str(measurement["measurement_id"])
        if not isinstance(measurement["n_units"], int) or measurement["n_units"] < 1:
            raise LakeError(
                f"measurement '{measurement_id}' was planned with n_units "
                f"{measurement['n_units']!r}; give at least 1"
            )
        roles = [{"role": role, "model_id": model_id} for role, model_id in models.items()]
        if not roles:
            raise LakeError(f"measurement '{measurement_id}' names no model; give one by role")
        members = to_arrow(TABLES["measurement_model"], roles, {"measurement_id": measurement_id})
        with self._transaction("plan a measurement"):
            if self._one("select 1 from measurement where measurement_id = ?", measurement_id):
                return False
            for model_id in models.values():
                if not self._one("select 1 from model where model_id = ?", model_id):
                    raise LakeError(
                        f"measurement '{measurement_id}' names the model '{model_id}', "
                        "which the lake does not know; add_models first"
                    )
            self._insert("measurement", row)
            self._insert("measurement_model", members)
        return True

    def add_measured(self, tables: Mapping[str, pa.Table]) -> tuple[int, int]:
        """Add whole measurements and the models they are of, by table, in one transaction.

        What is known stays as it is: a base that is declared, a measurement that is planned.
        Instants in `tables` count from the epoch, and become that long after this moment: what
        others committed before is older. How many measurements are new, and of how many records.
        """
        known = {
            "model": f"model as old where {_SAME_MODEL}",
            "organism": f"organism as old where {_SAME_MODEL}",
            "comparison": f"comparison as old where {_SAME_PAIR} "
            f"and ({_SAME_MODEL} or new.role = 'base')",
        }
        planned = "measurement as old where old.measurement_id = new.measurement_id"
        with self._transaction("add measurements"):
            moment = f"to_microseconds({(_now() - _EPOCH) // timedelta(microseconds=1)})"
            n_new: dict[str, int] = {}
            # The plans come last: until then they tell which measurements are new.
            for name in sorted(tables, key=lambda name: name == "measurement"):
                columns = ", ".join(
                    f"new.{c.name}" + (f" + {moment}" if c.type == INSTANT else "")
                    for c in TABLES[name].columns
                )
                n_new[name] = self._insert_new(
                    name, tables[name], known.get(name, planned), columns
                )
        records = (n for name, n in n_new.items() if TABLES[name].is_record)
        return n_new["measurement"], sum(records)

    def units_done(self, measurement_id: str) -> frozenset[str]:
        """Units of the measurement that are committed."""
        rows = self._rows("select unit from unit where measurement_id = ?", measurement_id)
        return frozenset(row[0] for row in rows)

    def is_complete(self, measurement_id: str) -> bool:
        """Whether all planned units are committed; False for one that was never planned."""
        return bool(
            self._rows(
                "select 1 from measurement m where measurement_id = ? and n_units = "
                "(select count(*) from unit u where u.measurement_id = m.measurement_id)",
                measurement_id,
            )
        )

    def append_unit(
        self,
        measurement_id: str,
        unit: str,
        records: Mapping[str, Sequence[Row]],
        duration_s: float,
        *,
        batch_size: int | None = None,
    ) -> bool:
        """Commit a unit, records and its own row together; False when it is there already.

        Records may leave `measurement_id` out. With `batch_size`, a unit measured at
        another batch size than the measurement's present one is refused: somebody else
        restarted it.
        """
        fixed = {"measurement_id": measurement_id}
        tables = {
            name: to_arrow(_record_table(name), rows, fixed) for name, rows in records.items()
        }
        n_rows = sum(len(rows) for rows in tables.values())
        with self._transaction(f"append unit '{unit}'"):
            planned = self._planned(measurement_id)
            if self._one(
                "select 1 from unit where measurement_id = ? and unit = ?", measurement_id, unit
            ):
                return False
            self._refuse_unfitting(measurement_id, unit, planned, batch_size)
            for name, rows in tables.items():
                self._insert(name, rows)
            done = {
                "unit": unit,
                "n_rows": n_rows,
                "duration_s": duration_s,
                "committed_at": _now(),
            }
            self._insert("unit", to_arrow(TABLES["unit"], [done], fixed))
        return True

    def discard_units(self, measurement_id: str, batch_size: int) -> None:
        """Start an incomplete measurement again at another batch size.

        Its units and records are deleted.
        """
        with self._transaction("discard units"):
            n_units, _ = self._planned(measurement_id)
            if self._n_done(measurement_id) >= n_units:
                raise LakeError(
                    f"measurement '{measurement_id}' is complete and stays; to measure it "
                    "again plan another replicate"
                )
            for name in (*(table.name for table in RECORD_TABLES), "unit"):
                self._connection.execute(
                    f"delete from {name} where measurement_id = ?", [measurement_id]
                )
            self._connection.execute(
                "update measurement set batch_size = ? where measurement_id = ?",
                [batch_size, measurement_id],
            )

    def start_attempt(
        self,
        *,
        model_ref: str,
        device: str,
        measurement_id: str | None = None,
        method: str | None = None,
        batch_size: int | None = None,
        host: str | None = None,
        pid: int | None = None,
    ) -> str:
        """Say that this process begins to measure.

        The id of the attempt, numbered from 1 per measurement.
        """
        attempt_id = uuid.uuid4().hex
        row = {
            "attempt_id": attempt_id,
            "measurement_id": measurement_id,
            "method": method,
            "model_ref": model_ref,
            "host": host or socket.gethostname(),
            "pid": pid or os.getpid(),
            "device": device,
            "batch_size": batch_size,
            "started_at": _now(),
        }
        with self._transaction("start an attempt"):
            number = self._one(
                "select count(*) + 1 from attempt where measurement_id = $1 "
                "or ($1 is null and measurement_id is null and model_ref = $2)",
                measurement_id,
                model_ref,
            )
            self._insert("attempt", to_arrow(TABLES["attempt"], [row], {"attempt_number": number}))
        return attempt_id

    def end_attempt(self, attempt_id: str, outcome: str, reason: str | None = None) -> bool:
        """Say how an attempt ended: 'done', 'failed' or 'interrupted'.

        False when that was said already.
        """
        row = {"outcome": outcome, "reason": reason, "ended_at": _now()}
        end = to_arrow(TABLES["attempt_end"], [row], {"attempt_id": attempt_id})
        with self._transaction("end an attempt"):
            if not self._one("select 1 from attempt where attempt_id = ?", attempt_id):
                raise LakeError(
                    f"attempt '{attempt_id}' was never started; call start_attempt first"
                )
            if self._one("select 1 from attempt_end where attempt_id = ?", attempt_id):
                return False
            self._insert("attempt_end", end)
        return True

    def compact(self, keep: timedelta = timedelta(days=7)) -> None:
        """Merge small files; drop the history older than `keep` and the files only it needs."""
        before = _now() - keep
        with self._thread_lock, self._lock:
            try:
                for call, values in (
                    ("ducklake_flush_inlined_data('lake')", []),
                    ("ducklake_expire_snapshots('lake', older_than => ?)", [before]),
                    ("ducklake_merge_adjacent_files('lake')", []),
                    ("ducklake_rewrite_data_files('lake')", []),
                    ("ducklake_cleanup_old_files('lake', older_than => ?)", [before]),
                    ("ducklake_delete_orphaned_files('lake', older_than => ?)", [before]),
                ):
                    self._connection.execute(f"call {call}", values)
            except duckdb.Error as error:
                raise explain(self.location, error, "compact the lake") from error

    def query(self, sql: str, params: Sequence[object] | None = None) -> pl.DataFrame:
        """Run our own SQL on this connection; what a person typed goes to `workbench.query`."""
        with self._thread_lock, self._errors_told("query the lake"):
            self._views.define(sql)
            return self._connection.execute(sql, params or []).pl()

    def snapshot(self, queries: Mapping[str, str]) -> dict[str, pa.Table]:
        """Answers to several questions of ours about one instant of the lake."""
        with self._thread_lock, self._errors_told("read the lake"):
            self._views.define(*queries.values())
        with self._transaction("read the lake"):
            return {
                name: self._connection.execute(sql).to_arrow_table()
                for name, sql in queries.items()
            }

    @contextmanager
    def _transaction(self, doing: str) -> Generator[None]:
        """One transaction under the writer lock; on any error nothing of it stays."""
        with self._thread_lock, self._lock, self._errors_told(doing):
            try:
                self._connection.execute("begin")
                yield
                self._connection.execute("commit")
            except BaseException:
                with suppress(duckdb.Error):  # a failed commit has rolled back by itself
                    self._connection.execute("rollback")
                raise

    @contextmanager
    def _errors_told(self, doing: str) -> Generator[None]:
        """DuckDB's errors as one line; Ctrl-C during a query as what it is."""
        try:
            yield
        except duckdb.Error as error:
            raise explain(self.location, error, doing) from error
        except RuntimeError as error:
            if str(error) == "Query interrupted":
                raise KeyboardInterrupt from error
            raise

    def _add_new(self, name: str, rows: Iterable[Row], instant: str, is_known: str) -> int:
        """Insert the rows `new` for which no row `old` is known to stand for it; how many."""
        given = [{**row, **_now_as(instant, row)} for row in rows]
        incoming = to_arrow(TABLES[name], given)
        with self._transaction(f"add to {name}"):
            return self._insert_new(name, incoming, f"{name} as old where {is_known}")

    def _insert_new(self, name: str, rows: pa.Table, known: str, columns: str = "*") -> int:
        """Insert the rows `new` of which nothing is `known`; how many."""
        self._connection.register("incoming", rows)
        try:
            found = self._one(
                f"insert into {name} select {columns} from incoming as new "
                f"where not exists (select 1 from {known})"
            )
        finally:
            self._connection.unregister("incoming")
        return int(str(found or 0))

    def _insert(self, name: str, rows: pa.Table) -> None:
        if not len(rows):
            return
        self._connection.register("incoming", rows)
        try:
            self._connection.execute(f"insert into {name} select * from incoming")
        finally:
            self._connection.unregister("incoming")

    def _planned(self, measurement_id: str) -> tuple[int, int]:
        """Number of units and batch size of a planned measurement."""
        rows = self._rows(
            "select n_units, batch_size from measurement where measurement_id = ?", measurement_id
        )
        if not rows:
            raise LakeError(
                f"measurement '{measurement_id}' is not planned in {self.location.name}; "
                "call plan first"
            )
        return rows[0]

    def _refuse_unfitting(
        self, measurement_id: str, unit: str, planned: tuple[int, int], batch_size: int | None
    ) -> None:
        n_units, planned_batch_size = planned
        if batch_size is not None and batch_size != planned_batch_size:
            raise LakeError(
                f"unit '{unit}' was measured at batch size {batch_size} but measurement "
                f"'{measurement_id}' has been restarted at {planned_batch_size}; measure it at that"
            )
        if self._n_done(measurement_id) >= n_units:
            raise LakeError(
                f"unit '{unit}' is not one of the {n_units} planned units of measurement "
                f"'{measurement_id}', which are all there; plan another measurement for it"
            )

    def _n_done(self, measurement_id: str) -> int:
        return self._rows("select count(*) from unit where measurement_id = ?", measurement_id)[0][
            0
        ]

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._thread_lock, self._errors_told("read the lake"):
            return self._connection.execute(sql, list(values)).fetchall()

    def _one(self, sql: str, *values: object) -> object:
        """First value of the first row; None without a row."""
        rows = self._rows(sql, *values)
        return rows[0][0] if rows else None


def _now() -> datetime:
    return datetime.now(UTC)


def _now_as(name: str, row: Row) -> dict[str, object]:
    """The present instant under that name, unless the row brings its own."""
    return {} if row.get(name) is not None else {name: _now()}


def _record_table(name: str) -> Table:
    table = TABLES.get(name)
    if table is None or not table.is_record:
        known = ", ".join(record.name for record in RECORD_TABLES)
        raise LakeError(f"'{name}' is no table of records; those are {known}")
    return table
