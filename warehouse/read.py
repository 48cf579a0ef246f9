# pyarrow carries no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownParameterType=false
"""Reading the lake, from a notebook, a page or a flow: marts, records, how new they are.

Frames are polars.

>>> from warehouse import read
>>> read.mart("structural_scar", family="llama")
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime

import duckdb
import polars as pl
import pyarrow as pa

from warehouse.attach import connect
from warehouse.location import LakeError, Location, explain
from warehouse.relations import Views, relations
from warehouse.tables import TABLES

_METHODS_SEEN: dict[str, tuple[str, ...]] = {
    "structural_dim": ("structural",),
    "structural_distance": ("structural",),
    "structural_scar": ("structural",),
    "functional_fit": ("template_distance",),
    "functional_distance": ("template_distance",),
    "winner_gap": ("template_distance",),
    "centroid_crp": ("template_distance",),
    "gap_prompt": ("template_distance",),
    "gap": ("template_distance",),
    "stiffness": ("stiffness",),
    "fisher": ("fisher",),
    "lineage": ("lineage", "attribution"),
    "lineage_layer": ("lineage",),
    "lineage_known": ("lineage",),
    "lineage_edge": ("lineage", "attribution", "structural"),
    "lineage_node": ("lineage", "attribution", "structural"),
    "loudness_extreme": ("structural",),
    "calibration_need": ("structural", "template_distance"),
    "summary": ("structural", "template_distance"),
    "displacement": ("structural", "template_distance"),
    "triangle": ("template_distance",),
    "triangle_verdict": ("template_distance",),
    "family_calibration": ("structural", "template_distance"),
    "cross_layer": ("structural", "template_distance"),
    "claim": (),
    "paired_difference": ("structural", "template_distance"),
    "layer_difference": ("lineage",),
    "evidence": (
        "structural",
        "template_distance",
        "stiffness",
        "fisher",
        "lineage",
        "attribution",
        "provenance",
        "ablation",
        "component",
        "alignment",
        "crosscoder",
        "stability",
    ),
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
    "circuit_link": ("circuit-edges",),
    **dict.fromkeys(("attention", "attention_prompt", "head_token"), ("pictures",)),
    **dict.fromkeys(("mlp_likeness", "mlp_cloud"), ("mlp-pictures",)),
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
            "latent_listed",
            "latent_place",
        ),  # fmt: skip
        ("crosscoder",),
    ),
    "ablated_feature": ("feature_ablation",),
    **dict.fromkeys(("steered_direction", "steered_text"), ("steering",)),
    **dict.fromkeys(("word_geometry", "word_geometry_gain"), ("parallelogram",)),
    **dict.fromkeys(("geometry_gain", "geometry_verdict"), ("parallelogram", "rollout")),
    "published": (),  # changes with the code alone
}
_SHOW_VERDICTS = ("triangle", "triangle_verdict", "cross_layer", "claim")
_RUN_MARTS = ("run", "run_unit", "holding", "pair", "crosscoder_training")  # of any method
_NIGHT_MARTS = ("night", "night_model")


class _Readers:
    """Open readers of one lake, since attaching takes far longer than a query.

    One always sees the newest commit; others what was known at an instant.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[_Key, tuple[duckdb.DuckDBPyConnection, Views]] = {}

    def frame(
        self, location: Location, sql: str, values: list[object], as_of: datetime | None
    ) -> pl.DataFrame:
        with self._lock:
            connection, views = self._connection(location, as_of)
            try:
                views.define(sql)
                return connection.execute(sql, values).pl()
            except duckdb.Error as error:
                self._open.clear()  # whatever broke it, the next question opens it anew
                raise explain(location, error, "read the lake") from error

    def _connection(
        self, location: Location, as_of: datetime | None
    ) -> tuple[duckdb.DuckDBPyConnection, Views]:
        lake = (location, location.identity())
        if (*lake, as_of) not in self._open:
            past = [key for key in self._open if key[:2] == lake and key[2] is not None]
            for key in list(self._open):
                if key[:2] != lake or key in past[: len(past) + 1 - _MOST_PAST]:
                    self._open.pop(key)[0].close()
            connection = connect(location, read_only=True, as_of=as_of)
            # What stands in for a lake that is absent, or being made just now, is not kept for it.
            if not has_lake(connection):
                lake = (location, _NO_LAKE)
            self._open[(*lake, as_of)] = connection, Views(connection)
        return self._open[(*lake, as_of)]


_MOST_PAST = 2  # readers of the past kept open
_Key = tuple[Location, object, datetime | None]


def has_lake(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether it reads a real lake; the stand-in is a database in memory under the same name."""
    sql = "select 1 from duckdb_databases() where database_name = 'lake' and path is not null"
    return connection.execute(sql).fetchone() is not None


_NO_LAKE = object()
_readers = _Readers()


def mart(
    name: str,
    location: Location | None = None,
    *,
    as_of: datetime | None = None,
    **equals: object,
) -> pl.DataFrame:
    """The rows of a mart whose columns equal what is given; None asks for null.

    Without a lake there are no rows; with `as_of` there are those known at that instant.
    """
    if name not in relations("marts"):
        raise LakeError(f"there is no mart '{name}'; there are {', '.join(relations('marts'))}")
    return _select(name, location, equals, as_of)


def table(name: str, location: Location | None = None, **equals: object) -> pl.DataFrame:
    """The rows of a table as stored, incomplete measurements among them."""
    if name not in TABLES:
        raise LakeError(f"there is no table '{name}'; there are {', '.join(TABLES)}")
    return _select(name, location, equals)


def snapshot(queries: Mapping[str, str], location: Location | None = None) -> dict[str, pa.Table]:
    """Answers to several questions of ours about one instant of the lake, which is only read."""
    connection = connect(location or Location.from_env(), read_only=True)
    try:
        Views(connection).define(*queries.values())
        connection.execute("begin")
        return {name: connection.execute(sql).to_arrow_table() for name, sql in queries.items()}
    except duckdb.Error as error:
        raise explain(location or Location.from_env(), error, "read the lake") from error
    finally:
        connection.close()


def model_id(name: str, location: Location | None = None) -> str:
    """The id of the one model that is called so, by its id or its label."""
    models = _select("model", location, {})
    found = models.filter((pl.col("model_id") == name) | (pl.col("label") == name))["model_id"]
    if len(found) != 1:
        known = "no model" if found.is_empty() else f"{len(found)} models"
        raise LakeError(f"the lake knows {known} called '{name}': give the id of one")
    return str(found[0])


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


def newest(
    name: str, location: Location | None = None, *, as_of: datetime | None = None
) -> datetime | None:
    """When a mart last had reason to change; None while it has nothing.

    That is the completion of a measurement it can see, a declared pair or lineage, or a verdict it
    shows; for runs and training any unit, plan or attempt. Cheap: it reads no records.
    """
    if name in _RUN_MARTS:
        sql = (
            "select greatest((select max(committed_at) from unit), "
            "(select max(planned_at) from measurement), "
            "(select max(started_at) from attempt), "
            "(select max(ended_at) from attempt_end), "
            "(select max(declared_at) from comparison), "
            "(select max(registered_at) from organism)) as changed_at"
        )
        values: list[object] = []
    elif name in _NIGHT_MARTS:
        sql = (
            "select greatest((select max(noted_at) from hub_state), "
            "(select max(started_at) from hub_scan), (select max(ended_at) from hub_scan_end), "
            "(select max(judged_at) from verdict)) as changed_at where exists (from hub_scan)"
        )
        values = []
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
    found = _frame(sql, location, values, as_of)
    return found["changed_at"].item() if found.height else None


def methods_seen(name: str) -> tuple[str, ...]:
    """Methods whose complete measurements a mart shows; none where it shows more than these."""
    return _METHODS_SEEN.get(name, ())


def _select(
    name: str,
    location: Location | None,
    equals: Mapping[str, object],
    as_of: datetime | None = None,
) -> pl.DataFrame:
    location = location or Location.from_env()
    return equal_rows(
        lambda sql, values: _frame(sql, location, values, as_of),
        lambda name: _frame(f"from {name} limit 0", location, []).columns,
        name,
        equals,
    )


def equal_rows(
    frame: Callable[[str, list[object]], pl.DataFrame],
    columns: Callable[[str], list[str]],
    name: str,
    equals: Mapping[str, object],
) -> pl.DataFrame:
    """The rows of a relation whose columns equal what is given, as `frame` answers questions."""
    # Unlike `is not distinct from`, an equation reaches the tables under windows and joins.
    where = " and ".join(
        f'"{column}" is null' if value is None else f'"{column}" = ?'
        for column, value in equals.items()
    )
    known = columns(name) if equals else []
    unknown = [column for column in equals if column not in known]
    if unknown:
        raise LakeError(
            f"'{name}' has no column '{unknown[0]}'; its columns are {', '.join(known)}"
        )
    values = [value for value in equals.values() if value is not None]
    return frame(f"from {name}" + (f" where {where}" if where else ""), values)


def _frame(
    sql: str, location: Location | None, values: list[object], as_of: datetime | None = None
) -> pl.DataFrame:
    return _readers.frame(location or Location.from_env(), sql, values, as_of)
