"""A large lake that nobody measured: the zoo's records and handmade ones, many times over.

    python -m tests.benchmarks.big_lake --home FOLDER [--models 500] [--records 10_000_000]

Models, pairs and measurements are copies under new names; their records are widened by more
prompts, samples, layers and latents, and moved a little, until there are as many as asked. Each
copy of the zoo is families of its own. All labels end in `SYNTHETIC`, all measurements have it as
their version of the code: whoever meets one knows that it is no measurement.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa

from flows.zoo import RECORDS
from tests.dashboard.ablations import add_ablations
from tests.dashboard.features import add_features
from tests.dashboard.insides import add_insides
from tests.dashboard.steps import add_steps
from tests.warehouse import night_rows
from warehouse import read
from warehouse.attach import connect
from warehouse.lake import Lake, Location
from warehouse.locking import writer_lock
from warehouse.pack import take_pack
from warehouse.tables import RECORD_TABLES, TABLES

MARK = "SYNTHETIC"
HANDMADE = {"circuits": 40, "features": 20, "stability": 12}  # copies of 500 models
# Values of a key by which a table's rows are widened, with i from 0, and how often at 10 million.
_PROMPT = {"prompt_id": "prompt_id || if(i = 0, '', '#' || i)"}
_SAMPLE = {"sample": "sample + 1000 * i"}
_LAYER = {"layer": "layer + 32 * i"}
_COMPONENT = {
    "component": "(split_part(component, '.', 1)::integer + 2 * i) || '.' "
    "|| split_part(component, '.', 2)"
}
_PLACE = {"layer": "layer + 2 * i"}
_WIDER: dict[str, tuple[dict[str, str], int]] = {
    "prompt_template": (_PROMPT, 12),
    "winner_gap_prompt": (_PROMPT, 12),
    "fisher_curvature": (_PROMPT, 12),
    "weight_lineage": (_LAYER, 4),
    "rollout": (_SAMPLE, 20),
    "sentence_score": (_SAMPLE, 20),
    "provenance_sentence": (_SAMPLE, 20),
    "task_prompt": (_PROMPT, 25),
    "ablation_effect": (
        {
            "prompt_id": "prompt_id || if(i // 32 = 0, '', '#' || i // 32)",
            "component": _COMPONENT["component"].replace("i)", "(i % 32))"),
            "layer": "layer + 2 * (i % 32)",
        },
        25 * 32,
    ),
    "component": (_COMPONENT, 32),
    "attribution_effect": (_COMPONENT | _PLACE, 32),
    "circuit_node": (_COMPONENT | _PLACE, 32),
    "component_match": (
        {
            name: _COMPONENT["component"].replace("(component", f"({name}")
            for name in ("component_teacher", "component_student")
        },
        32,
    ),
    "patched_cell": (_PLACE, 32),
    "residual_attribution": (
        {"prompt_id": "prompt_id || if(i // 32 = 0, '', '#' || i // 32)",
         "layer": "layer + 2 * (i % 32)",
         "position": "position + if(layer is null, 100 * (i % 32), 0)"},
        25 * 32,
    ),
    "probe_accuracy": (_PLACE, 32),
    "ov_score": (_PLACE, 32),
    "crosscoder_step": ({"step": "step + 2 * i"}, 500),
    "latent": ({"latent": "latent + 2 * i"}, 8192),
    "steering": ({"sample": "sample + i"}, 100),
    "step_burden": (_SAMPLE, 400),
    "trajectory_stability": (_SAMPLE, 400),
}  # fmt: skip
# Numbers that are moved, so that no two copies are alike; `u` lies in -1 to 1.
_MOVED = {
    "structural_tau": {"tau": "tau + 5e-4 * u * v", "tau_rerun": "tau_rerun + 5e-4 * u * v"},
    "latent": {"nrn": "least(1, greatest(0, nrn * (1 + 0.9 * u)))"},
    "component": {"effect": "effect * (1 + 0.5 * u)", "influence_max": "influence_max * abs(u)"},
    "ablation_effect": {"ld_ablated": "ld_ablated * (1 + 0.5 * u)"},
    "template_distance": {
        "centroid_distance": "centroid_distance * (1 + 0.3 * v)",
        "crp_distance": "crp_distance * (1 + 0.3 * v)",
    },
}

_N_NIGHTS = 60


@dataclass(frozen=True)
class Part:
    """A small lake that is copied."""

    name: str
    tables: Mapping[str, pl.DataFrame]

    @property
    def models(self) -> list[str]:
        """Ids, what others are made of before what is made of it."""
        made = self.tables["comparison"].filter(pl.col("role") == "base")["derivative_id"]
        every = self.tables["model"]["model_id"].to_list()
        return sorted(every, key=lambda one: (one in set(made), every.index(one)))


def main(arguments: Sequence[str]) -> int:
    """Make the lake and say what is in it."""
    parser = argparse.ArgumentParser(prog="big_lake", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--records", type=int, default=10_000_000)
    args = parser.parse_args(arguments)
    started = time.perf_counter()
    made = fill(Location.from_env({"CICATRIX_HOME": str(args.home)}), args.models, args.records)
    sys.stdout.write(
        f"{made['model']:,} models, {made['measurement']:,} measurements, "
        f"{sum(made[table.name] for table in RECORD_TABLES):,} records in "
        f"{time.perf_counter() - started:.0f} s; none of them measured\n"
    )
    return 0


def fill(location: Location, n_models: int, n_records: int) -> dict[str, int]:
    """Copy the parts into a lake, which is made; rows by table."""
    with tempfile.TemporaryDirectory() as folder:
        parts = _parts(Path(folder))
    share = n_records / 10_000_000
    Lake.open(location).close()
    connection = connect(location, read_only=False)
    lock = writer_lock(location)
    try:
        with lock:
            families = _copy_zoo(connection, parts["zoo"], n_models, share)
            for name, n_copies in HANDMADE.items():
                for copy in range(max(1, round(n_copies * n_models / 500))):
                    # Its models stand for models of the zoo: the lake has no more of them.
                    family = families[copy % len(families)]
                    first = copy // len(families) * len(parts[name].models)
                    names = parts[name].models
                    known = {
                        one: family[(first + place) % len(family)]
                        for place, one in enumerate(names)
                    }
                    _copy(connection, parts[name], f"{name}-{copy}", known, share)
    finally:
        lock.close()
        connection.close()
    with Lake.open(location) as lake:
        _add_nights(lake, 10 * n_models)
        lake.compact()
        return {name: int(lake.query(f"select count(*) from {name}").item()) for name in TABLES}


def _add_nights(lake: Lake, n_found: int) -> None:
    """A scan a night for 60 nights; of what they found one in ten is gated or failed."""
    ends: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    states: list[dict[str, Any]] = []
    scans = [
        {
            "night": night, "watchlist_sha256": "w", "byte_budget": 10**12, "host": "h",
            "code_version": "0", "started_at": night_rows.AT + timedelta(days=night),
        }
        for night in range(1, _N_NIGHTS + 1)
    ]  # fmt: skip
    for scan in scans:
        ended_at = scan["started_at"] + timedelta(hours=1)
        ends.append(
            {"night": scan["night"], "outcome": "done", "reason": None, "ended_at": ended_at}
        )
    for number in range(n_found):
        night, repo = 1 + number % _N_NIGHTS, f"{MARK}/{number}"
        became = {0: "gated", 1: "failed"}.get(number // _N_NIGHTS % 20, "measured")
        found.append(night_rows.model(repo, "a", night, is_gated=became == "gated"))
        names = ("gated",) if became == "gated" else ("queued", became)
        states += [
            night_rows.state(repo, "a", change, name, night, reason="made up")
            for change, name in enumerate(names, 1)
        ]
    lake.add_rows("hub_scan", scans)
    lake.add_rows("hub_scan_end", ends)
    per_night = n_found // _N_NIGHTS
    lake.add_rows(
        "hub_listing",
        [night_rows.listing(scan["night"], per_night, per_night) for scan in scans],
    )
    lake.add_rows("hub_model", found)
    lake.add_rows("hub_state", states)


def _parts(folder: Path) -> dict[str, Part]:
    makers = {
        "zoo": [lambda lake: take_pack(lake, RECORDS)],
        "circuits": [add_ablations, add_insides],
        "features": [add_features],
        "stability": [add_steps],
    }
    parts: dict[str, Part] = {}
    for name, adding in makers.items():
        location = Location.from_env({"CICATRIX_HOME": str(folder / name)})
        with Lake.open(location) as lake:
            for add in adding:
                add(lake)
        parts[name] = Part(name, {table: read.table(table, location) for table in TABLES})
    by_hand = {
        method
        for name in HANDMADE
        for method in parts[name].tables["measurement"]["method"]
        if method != "rollout"  # the zoo's are also what its sentences are of
    }
    tables = dict(parts["zoo"].tables)
    is_by_hand = pl.col("method").is_in(by_hand | {"stability_limits"})
    tables["measurement"] = tables["measurement"].remove(is_by_hand)
    return {**parts, "zoo": Part("zoo", tables)}


def _copy_zoo(
    connection: duckdb.DuckDBPyConnection, part: Part, n_models: int, share: float
) -> list[list[str]]:
    """As many copies as give so many models, the last without its last derivatives.

    The models of each family, its base first.
    """
    families: dict[str, list[str]] = {}
    n_copies = -(-n_models // len(part.models))
    for copy in range(n_copies):
        names = part.models[: n_models - copy * len(part.models)]
        known = {name: f"{name}~{copy}" for name in names}
        rows = part.tables["model"].filter(pl.col("model_id").is_in(names))
        for row in rows.iter_rows(named=True):
            family = row["family"] and f"{row['family']}{f'-{copy}' if copy else ''}"
            row |= {
                "model_id": known[row["model_id"]],
                "family": family,
                "label": f"{row['label']} {copy} {MARK}",
            }
            families.setdefault(family or "", []).append(row["model_id"])
            _insert(connection, "model", [row])
        _copy(connection, part, str(copy), known, share)
    families.pop("", None)
    return [sorted(models, key=lambda one: "-base" not in one) for models in families.values()]


def _copy(
    connection: duckdb.DuckDBPyConnection,
    part: Part,
    copy: str,
    known: Mapping[str, str],
    share: float,
) -> None:
    """The measurements of models that are `known`, under their new names, with their records."""
    now = datetime.now(UTC)
    members = part.tables["measurement_model"]
    left_out = set(members.filter(~pl.col("model_id").is_in(list(known)))["measurement_id"])
    ids = {
        name: f"{name}~{copy}"
        for name in part.tables["measurement"]["measurement_id"]
        if name not in left_out
    }
    # Measured one after another over 60 days.
    at = {name: now - timedelta(days=60) * (1 - place / len(ids)) for place, name in enumerate(ids)}
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("measurement", "unit")}
    for row in part.tables["measurement"].iter_rows(named=True):
        if row["measurement_id"] not in ids:
            continue
        options = json.loads(row["options"])
        if "inputs" in options:
            options["inputs"] = {role: f"{one}~{copy}" for role, one in options["inputs"].items()}
        rows["measurement"].append(
            row
            | {
                "measurement_id": ids[row["measurement_id"]],
                "options": json.dumps(options),
                "code_version": MARK,
                "planned_at": at[row["measurement_id"]] - timedelta(minutes=1),
            }
        )
    n_rows = _n_rows(part, share)
    for row in part.tables["unit"].iter_rows(named=True):
        if (name := row["measurement_id"]) in ids:
            # The first unit of a measurement counts for all of them.
            n = {"n_rows": n_rows.pop(name, 0)}
            rows["unit"].append(row | n | {"committed_at": at[name], "measurement_id": ids[name]})
    rows["attempt"], rows["attempt_end"] = _attempts(rows["measurement"])
    rows["measurement_model"] = [
        row | {"measurement_id": ids[row["measurement_id"]], "model_id": known[row["model_id"]]}
        for row in members.iter_rows(named=True)
        if row["measurement_id"] in ids
    ]
    if part.name == "zoo":
        rows |= _declared(part, known)
    connection.execute("begin")
    for name, its in rows.items():
        _insert(connection, name, its)
    connection.register(
        "ids", pl.DataFrame({"old": list(ids), "new": list(ids.values())}).to_arrow()
    )
    for table in RECORD_TABLES:
        if part.tables[table.name].height:
            _insert_wider(connection, part, table.name, copy, share)
    connection.execute("commit")
    sys.stderr.write(f"{part.name} {copy}: {len(ids):,} measurements\n")


def _n_rows(part: Part, share: float) -> dict[str, int]:
    """Records of each measurement, as widened."""
    found: dict[str, int] = {}
    for table in RECORD_TABLES:
        often = max(1, round(_WIDER.get(table.name, ({}, 1))[1] * share))
        for name, n in part.tables[table.name]["measurement_id"].value_counts().iter_rows():
            found[name] = found.get(name, 0) + n * often
    return found


def _declared(part: Part, known: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Pairs and lineage of the known models."""
    found: dict[str, list[dict[str, Any]]] = {}
    for table in ("comparison", "organism"):
        found[table] = []
        for row in part.tables[table].iter_rows(named=True):
            of = {name: row[name] for name in row if name.endswith("_id") and row[name]}
            if all(one in known for one in of.values()):
                found[table].append(row | {name: known[one] for name, one in of.items()})
    return found


def _attempts(
    measurements: Sequence[Mapping[str, Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One of each measurement; one in fifty failed before."""
    started: list[dict[str, Any]] = []
    ended: list[dict[str, Any]] = []
    for place, row in enumerate(measurements):
        for number, outcome in enumerate(("done",) if place % 50 else ("failed", "done")):
            name = f"{row['measurement_id']}-{number}"
            at = row["planned_at"] + timedelta(seconds=number)
            started.append(
                {
                    "attempt_id": name, "attempt_number": number + 1,
                    "measurement_id": row["measurement_id"], "method": row["method"],
                    "model_ref": f"zoo:{row['measurement_id']}", "host": MARK, "pid": 1,
                    "device": "cpu", "batch_size": 8, "started_at": at,
                }
            )  # fmt: skip
            reason = None if outcome == "done" else f"{MARK}: it failed"
            ended.append({"attempt_id": name, "outcome": outcome, "reason": reason, "ended_at": at})
    return started, ended


def _insert(
    connection: duckdb.DuckDBPyConnection, name: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    if rows:
        table = TABLES[name]
        connection.register("given", pa.Table.from_pylist(list(rows), schema=table.arrow_schema))
        connection.execute(f"insert into {name} select * from given")
        connection.unregister("given")


def _insert_wider(
    connection: duckdb.DuckDBPyConnection, part: Part, name: str, copy: str, share: float
) -> None:
    """A table's records under new measurements, each as often as `_WIDER` says."""
    widened, often = _WIDER.get(name, ({}, 1))
    moved = _MOVED.get(name, {})
    columns = ", ".join(
        "ids.new"
        if column.name == "measurement_id"
        else f"{moved.get(column.name, widened.get(column.name, column.name))} as {column.name}"
        for column in TABLES[name].columns
    )
    connection.register("given", part.tables[name].to_arrow())
    connection.execute(
        f"""
        insert into {name}
        select {columns}
        from (
            select
                given.* exclude (measurement_id),
                measurement_id as old_id,
                i,
                hash(old_id, '{copy}', i, {TABLES[name].key[-1]}) % 2001 / 1000.0 - 1 as u,
                hash(old_id, '{copy}') % 2001 / 1000.0 - 1 as v
            from given cross join range({max(1, round(often * share))}) as wider (i)
        ) as rows
        inner join ids on rows.old_id = ids.old
        order by ids.new
        """
    )
    connection.unregister("given")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
