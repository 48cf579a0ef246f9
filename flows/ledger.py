"""What a measuring process does to the lake: plan, resume, commit unit by unit, and end."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from measure import distances, functional, run, winner_gap
from measure.errors import BadInput, OutOfMemory
from measure.prompts import Progress
from measure.records import (
    Mode,
    OtherRole,
    PppFit,
    PromptTemplate,
    Record,
    rows_by_table,
)
from measure.request import Measurement
from measure.text_model import TextModel
from warehouse.lake import Lake, LakeError

J = TypeVar("J", bound=run.Job)


def planned(lake: Lake, job: J) -> J:
    """Plan a job, or take up the plan that is there, at the batch size it had come down to."""
    measurement = job.measurement
    if lake.plan(measurement.row(), measurement.models):
        return job
    found = lake.query(
        "select batch_size from measurement where measurement_id = ?", [measurement.measurement_id]
    )
    return job.with_batch_size(found["batch_size"].item())


def measure_job(
    lake: Lake, model: TextModel, job: run.Job, *, ref: str, device: str, progress: Progress
) -> None:
    """Measure the units of a job that are not in the lake yet; commit each as it is done.

    Out of memory discards the measurement's units and starts it again at half the batch.
    """
    measurement_id = job.measurement.measurement_id
    while True:
        job = planned(lake, job)
        done = lake.units_done(measurement_id)
        if len(done) == len(job.measurement.units):
            return
        batch_size = job.measurement.batch_size
        attempt = lake.start_attempt(
            model_ref=ref,
            device=device,
            measurement_id=measurement_id,
            method=job.measurement.method,
            batch_size=batch_size,
        )
        try:
            for unit in run.measure_units(model, job, done, progress):
                lake.append_unit(
                    measurement_id,
                    unit.unit,
                    unit.tables(),
                    unit.duration_s,
                    batch_size=batch_size,
                )
        except OutOfMemory as error:
            lake.end_attempt(attempt, "failed", str(error))
            if batch_size == 1:
                raise BadInput(
                    f"model {ref!r} does not fit into the memory of {device} even one prompt at a "
                    "time: use a larger device or a smaller dtype"
                ) from error
            lake.discard_units(measurement_id, job.halved(error).measurement.batch_size)
        except BaseException as error:
            lake.end_attempt(attempt, *outcome_of(error))
            raise
        else:
            lake.end_attempt(attempt, "done")
            return


def outcome_of(error: BaseException) -> tuple[str, str]:
    """('interrupted' or 'failed', the reason in one line)."""
    if not isinstance(error, Exception):  # Ctrl-C, SIGTERM, exit
        return "interrupted", "stopped by its user; what was committed stays"
    text = " ".join(str(error).split())
    is_told = isinstance(error, BadInput | ConnectionError | LakeError)
    return "failed", text if is_told else f"{type(error).__name__}: {text}"


def record_failure(lake: Lake, ref: str, device: str, error: BaseException) -> None:
    """An attempt on a model that failed before anything of it could be planned."""
    lake.end_attempt(lake.start_attempt(model_ref=ref, device=device), *outcome_of(error))


def texts(lake: Lake, measurement_id: str) -> dict[str, str]:
    """Continuations by prompt id of a completed `template` measurement."""
    found = lake.query(
        "select prompt_id, text from prompt_template where measurement_id = ? order by prompt_id",
        [measurement_id],
    )
    return dict(found.iter_rows())


def templates(lake: Lake, measurement_id: str) -> list[PromptTemplate]:
    """The records of a completed `template` measurement, in the order of their ids."""
    found = lake.query(
        "select * exclude (measurement_id) from prompt_template "
        "where measurement_id = ? order by prompt_id",
        [measurement_id],
    )
    return [PromptTemplate(**row) for row in found.iter_rows(named=True)]


TEACHER: OtherRole = "teacher"
TRIANGLE: tuple[OtherRole, ...] = ("derivative", "reference", "shared_comparator")


def groups(members: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The triangle of a derivative and its pair with the teacher, by role, as far as given.

    The teacher stands apart: prompts it falls silent on must not leave the triangle.
    """
    if "base" not in members:
        return
    base = {"base": members["base"]}
    yield base | {role: members[role] for role in TRIANGLE if role in members}
    if "teacher" in members:
        yield base | {"teacher": members["teacher"]}


def measure_distances(
    lake: Lake,
    models: Mapping[str, str],
    inputs: Mapping[str, str],
    prompts: tuple[str, str],
    mode: Mode,
    *,
    ref: str,
    fit: PppFit = functional.DEFAULT_FIT,
) -> bool:
    """Distances from the base to each other role, from records in the lake; False if there already.

    With them, in the same unit, the derivative's winner gap.
    `models` and `inputs` (measurements, all of that fit) are ids by role, `prompts` the set's name
    and hash.
    """
    measurement = distances.plan(
        models, inputs, mode, prompt_set=prompts[0], prompt_set_sha256=prompts[1], fit=fit
    )

    def make() -> list[Record]:
        others: dict[OtherRole, list[PromptTemplate]] = {
            role: templates(lake, inputs[role]) for role in (*TRIANGLE, TEACHER) if role in inputs
        }
        base = templates(lake, inputs["base"])
        return [*distances.measure(base, others, mode), *winner_gap.measure(base, others, mode)]

    return measure_at_once(lake, measurement, make, ref=ref)


def measure_at_once(
    lake: Lake, measurement: Measurement, make: Callable[[], Sequence[Record]], *, ref: str
) -> bool:
    """Commit what `make` gives for a measurement of one unit; False if it is there already."""
    measurement_id = measurement.measurement_id
    lake.plan(measurement.row(), measurement.models)
    if lake.is_complete(measurement_id):
        return False
    attempt = lake.start_attempt(
        model_ref=ref, device="cpu", measurement_id=measurement_id, method=measurement.method
    )
    try:
        unit = run.at_once(make)
        lake.append_unit(measurement_id, unit.unit, unit.tables(), unit.duration_s)
    except BaseException as error:
        lake.end_attempt(attempt, *outcome_of(error))
        raise
    lake.end_attempt(attempt, "done")
    return True


def measure_by_unit(
    lake: Lake,
    measurement: Measurement,
    make: Callable[[str], Sequence[Record]],
    *,
    ref: str,
    device: str,
) -> int:
    """Commit each unit that is not in the lake as `make` gives it; how many were new."""
    measurement_id = measurement.measurement_id
    lake.plan(measurement.row(), measurement.models)
    done = lake.units_done(measurement_id)
    pending = [unit for unit in measurement.units if unit not in done]
    if not pending:
        return 0
    attempt = lake.start_attempt(
        model_ref=ref,
        device=device,
        measurement_id=measurement_id,
        method=measurement.method,
        batch_size=measurement.batch_size,
    )
    try:
        for unit in pending:
            began = time.perf_counter()
            records = make(unit)
            lake.append_unit(
                measurement_id, unit, rows_by_table(records), time.perf_counter() - began
            )
    except BaseException as error:
        lake.end_attempt(attempt, *outcome_of(error))
        raise
    lake.end_attempt(attempt, "done")
    return len(pending)
