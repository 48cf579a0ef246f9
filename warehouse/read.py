"""Reading the lake, from a notebook, a page or a flow: marts, records, how new they are.

Frames are polars.

>>> from warehouse import read
>>> read.mart("scar", family="llama")
"""

import threading
from collections.abc import Mapping
from datetime import datetime

import duckdb
import polars as pl

from warehouse.attach import connect
from warehouse.location import LakeError, Location, explain
from warehouse.relations import relations
from warehouse.tables import TABLES

_METHODS_SEEN: dict[str, tuple[str, ...]] = {
    "structural_dim": ("structural",),
    "structural_distance": ("structural",),
    "scar": ("structural",),
    "functional_fit": ("template_distance",),
    "functional_distance": ("template_distance",),
    "winner_gap": ("template_distance",),
    "stiffness": ("stiffness",),
    "fisher": ("fisher",),
    "lineage": ("lineage", "attribution"),
    "lineage_layer": ("lineage",),
    "lineage_known": ("lineage",),
    "summary": ("structural", "template_distance"),
    "displacement": ("structural", "template_distance"),
    "triangle": ("template_distance",),
    "family_calibration": ("structural", "template_distance"),
    "cross_layer": ("structural", "template_distance"),
    "claim": (),
    **dict.fromkeys(
        (
            "provenance",
            "provenance_breakdown",
            "provenance_position",
            "provenance_correctness",
            "provenance_rollout",
            "sentence",
        ),  # fmt: skip
        ("provenance",),
    ),
    "teacher_attribution": ("attribution",),
    **dict.fromkeys(
        (
            "aligned_pair",
            "brittleness_model",
            "brittleness_pair",
            "brittleness_verdict",
            "circuit",
            "circuit_component",
            "component_effect",
            "component_prompt",
            "estimate_agreement",
            "matched_component",
        ),  # fmt: skip
        ("ablation", "attribution_patching", "component", "circuit", "alignment"),
    ),
    "patching": ("patching",),
    "residual_by_role": ("residual-attribution",),
    "head_score": ("ov-scores",),
    "probe": ("probes",),
    "noise_curve": ("noise", "noise_response"),
    "student_rank": ("ranking",),
    **dict.fromkeys(
        (
            "stability_student",
            "stability_component",
            "stability_hypothesis",
            "stability_rollout",
            "stability_step",
        ),  # fmt: skip
        ("stability",),
    ),
    **dict.fromkeys(
        (
            "crosscoder",
            "latent_control",
            "latent_end",
            "latent_feature",
            "latent_histogram",
            "latent_place",
        ),  # fmt: skip
        ("crosscoder",),
    ),
    "ablated_feature": ("feature_ablation",),
    **dict.fromkeys(("steered_direction", "steered_text"), ("steering",)),
    **dict.fromkeys(("word_geometry", "word_geometry_gain"), ("parallelogram",)),
    "published": (),  # changes with the code alone
}
_SHOW_VERDICTS = ("triangle", "cross_layer", "claim")
_RUN_MARTS = ("run", "run_unit", "crosscoder_training")


class _Readers:
    """One open reader a lake, since attaching takes far longer than a query.

    It always sees the newest commit.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[Location, object], duckdb.DuckDBPyConnection] = {}

    def frame(self, location: Location, sql: str, values: list[object]) -> pl.DataFrame:
        with self._lock:
            connection = self._connection(location)
            try:
                return connection.execute(sql, values).pl()
            except duckdb.Error as error:
                self._open.clear()  # whatever broke it, the next question opens it anew
                raise explain(location, error, "read the lake") from error

    def _connection(self, location: Location) -> duckdb.DuckDBPyConnection:
        key = (location, location.identity())
        if key not in self._open:
            for connection in self._open.values():
                connection.close()
            connection = connect(location, read_only=True)
            # What stands in for a lake that is absent, or being made just now, is not kept for it.
            self._open = {key if _has_lake(connection) else (location, _NO_LAKE): connection}
        return next(iter(self._open.values()))


def _has_lake(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether it reads a real lake; the stand-in is a database in memory under the same name."""
    sql = "select 1 from duckdb_databases() where database_name = 'lake' and path is not null"
    return connection.execute(sql).fetchone() is not None


_NO_LAKE = object()
_readers = _Readers()


def mart(name: str, location: Location | None = None, **equals: object) -> pl.DataFrame:
    """The rows of a mart whose columns equal what is given; None asks for null.

    Without a lake there are no rows.
    """
    if name not in relations("marts"):
        raise LakeError(f"there is no mart '{name}'; there are {', '.join(relations('marts'))}")
    return _select(name, location, equals)


def table(name: str, location: Location | None = None, **equals: object) -> pl.DataFrame:
    """The rows of a table as stored, incomplete measurements among them."""
    if name not in TABLES:
        raise LakeError(f"there is no table '{name}'; there are {', '.join(TABLES)}")
    return _select(name, location, equals)


def templates(measurement_id: str, location: Location | None = None) -> pl.DataFrame:
    """One row per prompt of a complete `template` measurement, in the order of prompt ids."""
    return _select("stg_prompt_template", location, {"measurement_id": measurement_id}).sort(
        "prompt_id"
    )


_OF_ANY = {"provenance": "stg_provenance", "teacher_attribution": "stg_attribution"}


def of_measurement(
    name: str, measurement_id: str, location: Location | None = None
) -> pl.DataFrame:
    """The rows of `provenance` or `teacher_attribution` by one measurement, newest or not."""
    return _select(_OF_ANY[name], location, {"measurement_id": measurement_id})


def newest(name: str, location: Location | None = None) -> datetime | None:
    """When a mart last had reason to change; None while it has nothing.

    That is the completion of a measurement it can see, a declared pair or lineage, or a verdict it
    shows; for runs and training any unit, plan or attempt. Cheap: it reads no records.
    """
    if name in _RUN_MARTS:
        sql = (
            "select greatest((select max(committed_at) from unit), "
            "(select max(planned_at) from measurement), "
            "(select max(started_at) from attempt), "
            "(select max(ended_at) from attempt_end)) as changed_at"
        )
        values: list[object] = []
    elif name in _METHODS_SEEN:
        sql = (
            "with completed as (select max(committed_at) as done_at from stg_measurement "
            "where list_contains(?::varchar[], method)), "
            "judged as (select max(judged_at) as judged_at from verdict where ?) "
            "select greatest(done_at, judged_at, (select max(declared_at) from comparison), "
            "(select max(registered_at) from organism)) "
            "as changed_at from completed, judged where coalesce(done_at, judged_at) is not null"
        )
        values = [list(_METHODS_SEEN[name]), name in _SHOW_VERDICTS]
    else:
        raise LakeError(f"there is no mart '{name}'; there are {', '.join(relations('marts'))}")
    found = _frame(sql, location, values)
    return found["changed_at"].item() if found.height else None


def _select(name: str, location: Location | None, equals: Mapping[str, object]) -> pl.DataFrame:
    where = " and ".join(f'"{column}" is not distinct from ?' for column in equals)
    known = _frame(f"from {name} limit 0", location, []).columns if equals else []
    unknown = [column for column in equals if column not in known]
    if unknown:
        raise LakeError(
            f"'{name}' has no column '{unknown[0]}'; its columns are {', '.join(known)}"
        )
    return _frame(
        f"from {name}" + (f" where {where}" if where else ""), location, list(equals.values())
    )


def _frame(sql: str, location: Location | None, values: list[object]) -> pl.DataFrame:
    return _readers.frame(location or Location.from_env(), sql, values)
