# duckdb's rows carry no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""Marts kept ready for the pages, which ask them again at every click.

A kept relation is a table in a DuckDB file of the home, beside its *state*: a fingerprint of the
SQL that makes it and of all that it follows from. A question first compares states, and works out
anew what has another one. So an answer is never older than the moment it was asked in: where it
would be stale, it is slow instead. Of one home, the first process has the file; others, and
questions about the past, keep theirs in memory.
"""

import hashlib
import math
import re
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from functools import cache, partial

import duckdb
import polars as pl

from warehouse import read
from warehouse.attach import connect
from warehouse.location import LakeError, Location, explain, home
from warehouse.relations import Relation, Views, define_as_of, relations, views
from warehouse.tables import TABLES

# Of a page's marts those that take long, and what several of them read. Records by prompt and by
# sentence are not kept, nor are texts: pages ask for those of one measurement.
KEPT = frozenset(
    {
        "ablated_feature",
        "aligned_pair",
        "brittleness_model",
        "brittleness_pair",
        "brittleness_verdict",
        "calibration_need",
        "centroid_crp",
        "circuit",
        "circuit_component",
        "circuit_link",
        "claim",
        "component_effect",
        "cross_layer",
        "crosscoder",
        "estimate_agreement",
        "evidence",
        "fisher",
        "functional_distance",
        "functional_fit",
        "gap",
        "geometry_gain",
        "geometry_verdict",
        "head_score",
        "head_token",
        "holding",
        "latent_control",
        "latent_end",
        "latent_histogram",
        "latent_listed",
        "latent_place",
        "lineage",
        "lineage_edge",
        "lineage_layer",
        "lineage_node",
        "loudness_extreme",
        "matched_component",
        "night",
        "night_model",
        "noise_curve",
        "pair",
        "patching",
        "probe",
        "provenance",
        "provenance_breakdown",
        "provenance_correctness",
        "provenance_position",
        "residual_by_role",
        "stability_component",
        "stability_hypothesis",
        "stability_rollout",
        "stability_student",
        "steered_direction",
        "stg_crosscode",
        "stg_gap_shift",
        "stg_measurement",
        "stg_pair",
        "stg_task_measurement",
        "stg_task_pair",
        "stg_template_distance",
        "stiffness",
        "structural_distance",
        "structural_scar",
        "summary",
        "teacher_attribution",
        "triangle",
        "triangle_verdict",
        "winner_gap",
        "word_geometry",
        "word_geometry_gain",
    }
)
# Its rows of one measurement follow from that alone, and stay: only those of new ones are added.
_GROWS = {"stg_gap_shift": "template_distance"}
# Of relations that no page asks for, as `read.methods_seen` says it of the others; `*` is any.
_METHODS = {
    "stg_gap_shift": ("template", "template_distance"),
    "stg_template_distance": ("template_distance",),
    "stg_measurement": ("*",),
    "stg_task_measurement": ("*",),
    "stg_task_pair": ("*",),
    "stg_crosscode": ("*",),
    "holding": ("*",),
    "pair": ("*",),
}
# What every unit changes; a relation of known methods follows their complete measurements instead.
_OF_MEASUREMENTS = {"measurement", "measurement_model", "unit"}
_REST_S = 2.0
_FILE_FORMAT = 1  # raise it when the file's own tables change

_stores: dict[tuple[Location, object, datetime | None], "Store"] = {}
_stores_lock = threading.Lock()
_MOST_PAST = 2  # stores of the past kept open


def mart(
    name: str,
    location: Location | None = None,
    *,
    as_of: datetime | None = None,
    seen_since: float | None = None,
    **equals: object,
) -> pl.DataFrame:
    """As `read.mart`, from what is kept; `seen_since` as in `state`."""
    location = location or Location.from_env()
    if name not in relations("marts") or (store := _store(location, as_of)) is None:
        return read.mart(name, location, as_of=as_of, **equals)
    return read.equal_rows(partial(store.frame, seen_since=seen_since), store.columns, name, equals)


def state(
    name: str,
    location: Location | None = None,
    *,
    as_of: datetime | None = None,
    seen_since: float | None = None,
) -> str:
    """What a mart's rows follow from, as a fingerprint: while it is the same, so are they.

    Not of a mart that follows the clock. Cheap: it reads no records, and asks nothing at all if
    the lake was looked at since the moment `seen_since` of `time.monotonic()`.
    """
    location = location or Location.from_env()
    store = _store(location, as_of)
    return "no lake" if store is None else store.state(name, seen_since)


def refresh(location: Location | None = None) -> float:
    """Work out all that is kept and not of the lake's state; the seconds it took."""
    started = time.perf_counter()
    if (store := _store(location or Location.from_env(), None)) is not None:
        for name in sorted(KEPT):
            store.refresh([name])
    return time.perf_counter() - started


def keep_ready(location: Location | None = None, stop: threading.Event | None = None) -> None:
    """Refresh whenever the lake has changed, until told to stop: no first view has to wait for it.

    It rests four times as long as it works, so that a lake being filled leaves time for others.
    """
    stop, took = stop or threading.Event(), 0.0
    while not stop.wait(max(_REST_S, 4 * took)):
        try:
            took = refresh(location)
        except LakeError:  # whoever asks is told what is wrong
            took = 0.0


def forget() -> None:
    """Close all that is open; the file stays."""
    with _stores_lock:
        while _stores:
            _stores.popitem()[1].close()


def _store(location: Location, as_of: datetime | None) -> "Store | None":
    """The open store of a lake; None where there is no lake yet."""
    key = (location, location.identity(), as_of)
    with _stores_lock:
        if key not in _stores:
            past = [k for k in _stores if k[:2] == key[:2] and k[2] is not None]
            for other in list(_stores):
                if other[:2] != key[:2] or other in past[: len(past) + 1 - _MOST_PAST]:
                    _stores.pop(other).close()
            opened = Store(location, as_of)
            if not opened.has_lake:
                opened.close()
                return None
            _stores[key] = opened
        return _stores[key]


class Store:
    """What is kept of one lake, now or as it was at an instant; for all threads of a process."""

    def __init__(self, location: Location, as_of: datetime | None) -> None:
        """Open the lake for reading, and the file beside it."""
        self._location = location
        self._as_of = as_of
        self._asking, self._refreshing = threading.Lock(), threading.Lock()
        self._connection = connect(location, read_only=True, as_of=as_of)
        self.has_lake = read.has_lake(self._connection)
        self._marks: tuple[int, dict[str, str]] = (-1, {})
        self._looked_at = -math.inf
        self._states: dict[str, str] = {}  # of what is kept
        self._columns: dict[str, list[str]] = {}
        if self.has_lake:
            self._open_file()
            # A connection of its own works out what is stale, while others ask for what is not.
            self._worker = self._connection.cursor()
            self._worker.execute("set timezone = 'UTC'; use lake")
            if as_of is not None:
                define_as_of(self._worker, as_of)
            self._shown = _KeptViews(self._connection)
            self._made = _KeptViews(self._worker)

    def close(self) -> None:
        """Let go of lake and file, once nobody asks or works."""
        with self._refreshing, self._asking:
            if self.has_lake:
                self._worker.close()
            self._connection.close()

    def frame(
        self, sql: str, values: Sequence[object], seen_since: float | None = None
    ) -> pl.DataFrame:
        """The answer to a question of relations, none of them older than this moment, or that."""
        try:
            asked = [name for name in re.findall(r"\w+", sql) if name in _names()]
            self.refresh([kept for name in asked for kept in _kept_below(name)], seen_since)
            with self._asking:
                self._shown.define(sql)
                return self._connection.execute(sql, list(values)).pl()
        except duckdb.Error as error:
            self._drop()
            raise explain(self._location, error, "read the lake") from error

    def columns(self, name: str) -> list[str]:
        """Names of a relation's columns, which only other SQL would change."""
        if name not in self._columns:
            self._columns[name] = self.frame(f"from {name} limit 0", []).columns
        return self._columns[name]

    def state(self, name: str, seen_since: float | None) -> str:
        """The fingerprint of a relation, kept or not."""
        if name not in _names():
            raise LakeError(f"there is no mart '{name}'; there are {', '.join(relations('marts'))}")
        try:
            with self._asking:
                return self._state(self._look(seen_since), name)
        except duckdb.Error as error:
            self._drop()
            raise explain(self._location, error, "read the lake") from error

    def refresh(self, names: Sequence[str], seen_since: float | None = None) -> None:
        """Work out of these, and of what they are made of, whatever has another state."""
        with self._asking:
            marks = self._look(seen_since)
            if all(self._states.get(name) == self._state(marks, name) for name in names):
                return
        with self._refreshing:
            # One look at the lake for all: what is read later may be newer than its state says,
            # and is then worked out once more; older it never is.
            with self._asking:
                marks = self._look()
                states = {
                    name: self._state(marks, name)
                    for wanted in names
                    for name in (*_all_below(wanted), wanted)
                    if name in KEPT
                }
            for name, wanted in states.items():
                if self._states.get(name) != wanted:
                    self._work_out(name, wanted)

    def _work_out(self, name: str, wanted: str) -> None:
        query = _relation(name).query
        self._made.define(" ".join(_relation(name).reads))
        target = f"kept.main.{name}"
        method = _GROWS.get(name)
        grows = method is not None and self._states.get(name, "").startswith(_made_by(name))
        new = self._new_measurements(target, method) if grows and method else []
        self._worker.execute("begin")
        try:
            if grows:
                for measurement_id in new:  # one at a time, so that the filter reaches its records
                    self._worker.execute(
                        f"insert into {target} from ({query}) where measurement_id = ?",
                        [measurement_id],
                    )
            else:
                self._worker.execute(f"create or replace table {target} as {query}")
            self._worker.execute("delete from kept.main.state where name = ?", [name])
            self._worker.execute("insert into kept.main.state values (?, ?)", [name, wanted])
            self._worker.execute("commit")
        except BaseException:
            self._worker.execute("rollback")
            raise
        self._states[name] = wanted

    def _new_measurements(self, target: str, method: str) -> list[str]:
        rows = self._worker.execute(
            "select measurement_id from stg_measurement where method = ? "
            f"and measurement_id not in (select measurement_id from {target})",
            [method],
        ).fetchall()
        return [row[0] for row in rows]

    def _look(self, seen_since: float | None = None) -> dict[str, str]:
        """What the lake's newest snapshot has of each method and table, as far as it was asked."""
        if seen_since is not None and self._looked_at >= seen_since:
            return self._marks[1]
        looked_at = time.monotonic()
        row = self._connection.execute("select id from lake.current_snapshot()").fetchone()
        snapshot = int(row[0]) if row else -1
        if self._marks[0] != snapshot:
            self._marks = (snapshot, _marks(self._connection))
        self._looked_at = looked_at
        return self._marks[1]

    def _state(self, marks: dict[str, str], name: str) -> str:
        """Made by which SQL, of which lake, from which rows."""
        for key in _follows_from(name):
            if key not in marks and key in TABLES:
                sql = f"select count(*), bit_xor(hash(own)) from {key} as own"
                marks[key] = str(self._connection.execute(sql).fetchall())
        parts = "|".join(marks.get(key, "none") for key in ("lake", *_follows_from(name)))
        return f"{_made_by(name)} {hashlib.sha256(parts.encode()).hexdigest()}"

    def _open_file(self) -> None:
        name = hashlib.sha256(f"{self._location.catalog}\n{self._location.data}".encode())
        folder = home() / "cache"
        file = folder / f"marts-{_FILE_FORMAT}-{name.hexdigest()[:16]}.duckdb"
        # The past is asked for seldom; another process of this home may have the file.
        places = [":memory:"] if self._as_of else [str(file), ":memory:"]
        for place in places:
            try:
                if place != ":memory:":
                    folder.mkdir(parents=True, exist_ok=True)
                quoted = place.replace("'", "''")
                self._connection.execute(f"attach '{quoted}' as kept (storage_version 'latest')")
                self._connection.execute(
                    "create table if not exists kept.main.state (name varchar, state varchar)"
                )
                break
            except (duckdb.Error, OSError):
                if place == ":memory:":
                    raise
        rows = self._connection.execute("from kept.main.state").fetchall()
        self._states = {name: state for name, state in rows if name in KEPT}

    def _drop(self) -> None:
        """Whatever broke it, the next question opens it anew."""
        with _stores_lock:
            for key in [key for key, store in _stores.items() if store is self]:
                _stores.pop(key).close()


class _KeptViews(Views):
    """Staging and marts, of which what is kept is read from there."""

    def body(self, relation: Relation) -> str:
        return f"from kept.main.{relation.name}" if relation.name in KEPT else relation.query

    def reads(self, relation: Relation) -> Sequence[str]:
        return () if relation.name in KEPT else relation.reads


@cache
def _follows_from(name: str) -> tuple[str, ...]:
    """Of what a relation follows: methods, whose complete measurements count, and tables."""
    tables = {one for below in (*_all_below(name), name) for one in _relation(below).reads}
    tables &= TABLES.keys()
    methods = _METHODS.get(name) or read.methods_seen(name)
    if methods and tables & _OF_MEASUREMENTS:
        tables -= _OF_MEASUREMENTS
    # Records are not looked at: each comes with its unit.
    plain = (table for table in sorted(tables) if not TABLES[table].is_record)
    return (*(f"method {method}" for method in methods), *plain)


def _marks(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What is complete of each method, and of which lake."""
    rows = connection.execute(
        "select 'method ' || method, "
        "concat_ws(' ', count(*), bit_xor(hash(measurement_id, done_at))) from ("
        "select measurement_id, method, max(committed_at) as done_at from measurement "
        "inner join unit using (measurement_id) group by measurement_id, method, n_units "
        "having count(*) = n_units) group by method"
    ).fetchall()
    marks = dict(rows)
    marks["method *"] = str(sorted(rows))
    marks["lake"] = str(
        connection.execute(
            "select schema_uuid from __ducklake_metadata_lake.ducklake_schema "
            "where schema_name = 'main'"
        ).fetchall()
    )
    return marks


def _relation(name: str) -> Relation:
    return _names()[name]


@cache
def _names() -> dict[str, Relation]:
    return {relation.name: relation for relation in views()}


@cache
def _all_below(name: str) -> tuple[str, ...]:
    """All relations that one is made of, each after those it reads itself."""
    wanted = {name}
    for relation in reversed(views()):
        if relation.name in wanted:
            wanted.update(relation.reads)
    return tuple(relation.name for relation in views() if relation.name in wanted - {name})


@cache
def _kept_below(name: str) -> tuple[str, ...]:
    """What is kept of a relation: itself, or what it reads of it."""
    if name in KEPT:
        return (name,)
    below = (k for read_ in _relation(name).reads if read_ in _names() for k in _kept_below(read_))
    return tuple(dict.fromkeys(below))


@cache
def _made_by(name: str) -> str:
    """A hash of the SQL that makes a relation."""
    queries = (_relation(one).query for one in (*_all_below(name), name))
    return hashlib.sha256("\n".join(queries).encode()).hexdigest()[:16]
