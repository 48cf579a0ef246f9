"""The JSON lines of `python -m measure`: what was measured so far, and what comes to it.

`model`, `comparison`, `measurement`, a `unit` with its records by table, `discard` for units that
ran out of memory or lost their checkpoint, `trace` for what several models' rollouts and scores
belong to, and `failure` for a model that could not be measured. A line is whole or not there.
"""

import json
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from measure import run
from measure.errors import BadInput, OutOfMemory
from measure.records import Record, Rollout, SentenceScore
from measure.request import Measurement
from measure.text_model import TextModel


class Journal:
    """The lines written so far, and those to come; without a path they go to standard output."""

    def __init__(self, path: Path | None) -> None:
        self._file: IO[str]
        self._units: dict[str, dict[str, dict[str, list[dict[str, Any]]]]] = {}
        self._batch_sizes: dict[str, int] = {}  # of measurements begun, as they had come down to
        self._written: set[tuple[str, ...]] = set()
        if path is None:
            self._file = sys.stdout
            return
        if path.exists():
            self._read(path)
        self._file = path.open("a", encoding="utf-8")

    def _read(self, path: Path) -> None:
        """Take up whole lines and cut off a torn one: what it held is measured again."""
        whole = 0
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._take(json.loads(line))
                whole += len(line)
        with path.open("r+b") as file:
            file.truncate(whole)

    def _take(self, line: dict[str, Any]) -> None:
        if line["line"] == "unit":
            units = self._units.setdefault(line["measurement_id"], {})
            units[line["unit"]] = line["records"]
        elif line["line"] == "discard":
            discarded = self._units.pop(line["measurement_id"], {})
            self._written -= {("unit", line["measurement_id"], unit) for unit in discarded}
        if line["line"] in {"measurement", "discard"}:
            self._batch_sizes[line["measurement_id"]] = line["batch_size"]
        self._written.add(_key(line))

    def write(self, line: dict[str, Any]) -> None:
        """Append a line and hand it to the system, unless it is there already."""
        if line["line"] != "discard" and _key(line) in self._written:
            return
        self._take(line)
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()

    # --- what is there --------------------------------------------------------------------------

    def is_complete(self, measurement: Measurement) -> bool:
        """Whether all its units are written."""
        return len(self._units.get(measurement.measurement_id, {})) == len(measurement.units)

    def units_done(self, measurement_id: str) -> AbstractSet[str]:
        """Its units that are written."""
        return self._units.get(measurement_id, {}).keys()

    def rollouts(self, measurement_id: str) -> list[Rollout]:
        """The rollouts of a complete measurement, by problem and sample."""
        found = [Rollout(**row) for row in self.records("rollout", measurement_id)]
        return sorted(found, key=lambda rollout: (rollout.problem_id, rollout.sample))

    def scores(self, measurement_id: str) -> list[SentenceScore]:
        """The scores of a complete measurement."""
        return [SentenceScore(**row) for row in self.records("sentence_score", measurement_id)]

    def texts(self, job: run.Job) -> dict[str, str]:
        """The continuations that a complete `template` job scored, by prompt id."""
        found = self.records("prompt_template", job.measurement.measurement_id)
        return {record["prompt_id"]: record["text"] for record in found}

    def records(self, table: str, measurement_id: str) -> list[dict[str, Any]]:
        """The rows of a complete measurement in a table."""
        units = self._units[measurement_id].values()
        return [row for records in units for row in records.get(table, [])]

    # --- what is measured -----------------------------------------------------------------------

    def measure(self, model: TextModel, job: run.Job) -> None:
        """All units of a job; out of memory starts it again at half the batch."""
        measurement_id = job.measurement.measurement_id
        if measurement_id in self._batch_sizes:
            job = job.with_batch_size(self._batch_sizes[measurement_id])
        while True:
            self._begin(job.measurement, str(model.device))
            try:
                self._measure_units(model, job)
                return
            except OutOfMemory as error:
                if job.measurement.batch_size == 1:
                    raise
                job = job.halved(error)
                self.discard(job.measurement)

    def measure_by_unit(
        self, measurement: Measurement, make: Callable[[str], Sequence[Record]], device: str
    ) -> None:
        """Write each unit that is not there as `make` gives it."""
        self._begin(measurement, device)
        for unit in measurement.units:
            if unit not in self.units_done(measurement.measurement_id):
                began = time.perf_counter()
                records = make(unit)
                result = run.UnitResult(unit, records, time.perf_counter() - began)
                self._write_unit(measurement, result)

    def discard(self, measurement: Measurement) -> None:
        """Say that the units of a measurement so far are none: it starts again, in its batches."""
        named = {"measurement_id": measurement.measurement_id}
        self.write({"line": "discard", **named, "batch_size": measurement.batch_size})

    def measure_at_once(
        self, measurement: Measurement, make: Callable[[], Sequence[Record]]
    ) -> None:
        """The one unit of a measurement that runs no model, unless it is there already."""
        self._begin(measurement, "cpu")
        if measurement.measurement_id not in self._units:
            self._write_unit(measurement, run.at_once(make))

    def fail(self, ref: str, error: Exception) -> str:
        """Note that a model could not be measured; why, in one line."""
        is_told = isinstance(error, BadInput | OutOfMemory | ConnectionError)
        reason = " ".join(str(error).split())
        reason = reason if is_told else f"{type(error).__name__}: {reason}"
        self.write({"line": "failure", "model_ref": ref, "reason": reason})
        return reason

    def _begin(self, measurement: Measurement, device: str) -> None:
        line = {"line": "measurement", "models": dict(measurement.models), **measurement.row()}
        self.write(line | {"host": socket.gethostname(), "device": device})

    def _write_unit(self, measurement: Measurement, unit: run.UnitResult) -> None:
        line = {"line": "unit", "measurement_id": measurement.measurement_id, "unit": unit.unit}
        self.write(line | {"duration_s": unit.duration_s, "records": unit.tables()})

    def _measure_units(self, model: TextModel, job: run.Job) -> None:
        done = self._units.get(job.measurement.measurement_id, {})
        n_done = job.n_passes * len(done) // max(1, len(job.measurement.units))
        with tqdm(
            total=job.n_passes, initial=n_done, unit="text", file=sys.stderr, disable=None
        ) as bar:
            bar.set_description(f"{model.card.label} {job.measurement.method}")

            def progress(n: int) -> None:
                bar.update(n)

            for result in run.measure_units(model, job, done.keys(), progress):
                self._write_unit(job.measurement, result)


def _key(line: Mapping[str, Any]) -> tuple[str, ...]:
    named = ("line", "measurement_id", "unit", "model_id", "derivative_id", "role", "model_ref")
    found = [str(line[name]) for name in named if name in line]
    if line["line"] == "trace":
        found.append(json.dumps(line, sort_keys=True))
    return tuple(found)
