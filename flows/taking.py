"""Appending what `python -m measure` wrote on another machine, each unit once."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows import ledger
from measure.errors import BadInput
from measure.records import Mode
from warehouse.lake import Lake


@dataclass(frozen=True, slots=True)
class Taken:
    """What a file brought."""

    n_units: int = 0
    n_known: int = 0  # units that the lake had already
    n_rows: int = 0
    n_failures: int = 0
    n_distances: int = 0

    def text(self) -> str:
        """One line for a person."""
        return (
            f"took {self.n_units} units ({self.n_rows:,} records), {self.n_known} were there; "
            f"{self.n_distances} distances computed; {self.n_failures} failures noted"
        )


def take(path: Path) -> Taken:
    """Append a file's units, then the distances its comparisons now allow.

    Raises:
        BadInput: a line that `python -m measure` does not write; lines before it stay appended.
    """
    taken = Taken()
    with Lake.open() as lake:
        lines = list(_lines(path))
        batch_sizes: dict[str, int] = {
            str(line.get("measurement_id")): line.get("batch_size", 0)
            for _, line in lines
            if line["line"] in {"measurement", "discard"}
        }
        for number, line in _surviving(lines):
            try:
                taken = _take_line(lake, line, taken, batch_sizes)
            except (KeyError, TypeError) as error:
                raise BadInput(
                    f"{str(path)!r}, line {number}: {error} is not what `python -m measure` "
                    "writes: give the file of its --out"
                ) from error
        return replace(taken, n_distances=_measure_distances(lake, [line for _, line in lines]))


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered lines; a torn last one, of a run that was killed, is left out."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{str(path)!r} cannot be read ({error}): give a JSON-lines file") from error
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if not line.endswith("\n"):
            return
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadInput(f"{str(path)!r}, line {number} is no JSON ({error})") from error
        if not isinstance(value, dict) or not isinstance(value.get("line"), str):
            raise BadInput(
                f"{str(path)!r}, line {number} is not what `python -m measure` writes: "
                "give the file of its --out"
            )
        yield number, value


def _surviving(lines: list[tuple[int, dict[str, Any]]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Lines without the units that were discarded later for want of memory."""
    discarded = {
        line["measurement_id"]: number for number, line in lines if line["line"] == "discard"
    }
    for number, line in lines:
        is_unit = line["line"] == "unit"
        if not (is_unit and number < discarded.get(line.get("measurement_id"), 0)):
            yield number, line


def _take_line(
    lake: Lake, line: dict[str, Any], taken: Taken, batch_sizes: dict[str, int]
) -> Taken:
    content = {name: value for name, value in line.items() if name != "line"}
    match line["line"]:
        case "model":
            lake.add_models([content])
        case "comparison":
            lake.add_comparisons([{**content, "declared_by": "take"}])
        case "measurement":
            models = content.pop("models")
            content["batch_size"] = batch_sizes[content["measurement_id"]]
            lake.plan(content, models)
        case "unit":
            is_new = lake.append_unit(
                content["measurement_id"],
                content["unit"],
                {content["table"]: content["records"]},
                content["duration_s"],
            )
            if not is_new:
                return replace(taken, n_known=taken.n_known + 1)
            n_rows = taken.n_rows + len(content["records"])
            return replace(taken, n_units=taken.n_units + 1, n_rows=n_rows)
        case "failure":
            return replace(taken, n_failures=taken.n_failures + _note_failure(lake, **content))
        case "discard":
            pass
        case other:
            raise KeyError(f"line kind {other!r}")
    return taken


def _note_failure(lake: Lake, model_ref: str, reason: str) -> int:
    """1 for a failure that was not noted yet."""
    known = lake.query(
        "select 1 from attempt inner join attempt_end using (attempt_id) "
        "where device = 'elsewhere' and model_ref = ? and reason = ?",
        [model_ref, reason],
    )
    if known.height:
        return 0
    attempt = lake.start_attempt(model_ref=model_ref, device="elsewhere")
    lake.end_attempt(attempt, "failed", reason)
    return 1


def _measure_distances(lake: Lake, lines: list[dict[str, Any]]) -> int:
    """Distances of the file's comparisons, from its own templates that are complete."""
    by_model: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines:
        if line["line"] == "measurement" and line["method"] == "template":
            mode = json.loads(line["options"])["mode"]
            by_model[line["models"]["model"], mode] = line
    modes: tuple[Mode, Mode] = ("free", "forced")
    n_new = 0
    for group in _groups(lines):
        for mode in modes:
            found = {role: by_model.get((model_id, mode)) for role, model_id in group.items()}
            present = {role: line for role, line in found.items() if line is not None}
            inputs = {role: line["measurement_id"] for role, line in present.items()}
            if len(present) < len(group) or not all(map(lake.is_complete, inputs.values())):
                continue
            prompts = (present["base"]["prompt_set"], present["base"]["prompt_set_sha256"])
            ref = group.get("derivative") or group["teacher"]
            n_new += ledger.measure_distances(lake, group, inputs, prompts, mode, ref=ref)
    return n_new


def _groups(lines: list[dict[str, Any]]) -> Iterator[dict[str, str]]:
    """Role -> model_id of each triangle and each base-teacher pair of a file's comparisons."""
    compared: dict[str, dict[str, str]] = {}
    for line in lines:
        if line["line"] == "comparison":
            compared.setdefault(line["derivative_id"], {})[line["role"]] = line["model_id"]
    for derivative_id, others in compared.items():
        yield from ledger.groups({"derivative": derivative_id, **others})
