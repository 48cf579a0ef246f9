"""Appending what was measured on another machine: `python -m measure`'s lines, or a pack.

What runs no model is computed here: distances, labels and attribution, and answers that were made
where nothing could read them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows import ledger
from flows.sampler import LakeKept
from measure import functional, problems, rollouts
from measure.errors import BadInput
from measure.readings import AtOnce, Scored
from measure.records import Mode, PppFit
from measure.request import Measurement, text_set_sha256
from measure.transfer import Options
from warehouse.lake import Lake
from warehouse.pack import TakenPack, is_pack, take_pack


@dataclass(frozen=True, slots=True)
class Taken:
    """What a file brought."""

    n_units: int = 0
    n_known: int = 0  # units that the lake had already
    n_rows: int = 0
    n_failures: int = 0
    n_distances: int = 0
    n_conclusions: int = 0  # labels against a teacher, and rankings of teachers

    def text(self) -> str:
        """One line for a person."""
        concluded = f"{self.n_conclusions} labellings and rankings computed; "
        return (
            f"took {self.n_units} units ({self.n_rows:,} records), {self.n_known} were there; "
            f"{self.n_distances} distances computed; "
            f"{concluded if self.n_conclusions else ''}{self.n_failures} failures noted"
        )


WHERE = {"host", "device"}  # of a measurement's line: they belong to its attempt


def take(path: Path) -> Taken | TakenPack:
    """Append a pack's measurements, or the units of a file of lines.

    Raises:
        BadInput: what `python -m measure` does not write; of a pack nothing stays.
    """
    with Lake.open() as lake:
        return take_pack(lake, path, _refuse_changed) if is_pack(path) else _take_lines(lake, path)


def _take_lines(lake: Lake, path: Path) -> Taken:
    """Append a file's units, then what can be computed from them.

    Lines before one that is refused stay appended.
    """
    taken = Taken()
    lines = list(_lines(path))
    batch_sizes: dict[str, int] = {
        str(line.get("measurement_id")): line.get("batch_size", 0)
        for _, line in lines
        if line["line"] in {"measurement", "discard"}
    }
    new: set[str] = set()
    for number, line in _surviving(lines):
        try:
            before = taken.n_units
            taken = _take_line(lake, line, taken, batch_sizes)
            if taken.n_units > before:
                new.add(line["measurement_id"])
        except (AttributeError, KeyError, TypeError) as error:
            raise BadInput(
                f"{str(path)!r}, line {number}: {error} is not what `python -m measure` "
                "writes: give the file of its --out"
            ) from error
    content = [line for _, line in lines]
    _note_attempts(lake, content, new)
    return replace(
        taken,
        n_distances=_measure_distances(lake, content),
        n_conclusions=_conclude_all(lake, path, lines),
    )


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered lines; a torn last one, of a run that was killed, is left out."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{str(path)!r} cannot be read ({error}): give a JSON-lines file") from error
    # JSON may hold other line separators inside its strings; only a newline ends a line.
    for number, line in enumerate(text.split("\n")[:-1], start=1):
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
            _refuse_changed(content, models)
            content["batch_size"] = batch_sizes[content["measurement_id"]]
            row = {name: value for name, value in content.items() if name not in WHERE}
            lake.plan(row, models)
        case "unit":
            is_new = lake.append_unit(
                content["measurement_id"],
                content["unit"],
                _with_answers(content["records"]),
                content["duration_s"],
                batch_size=batch_sizes[content["measurement_id"]],
            )
            if not is_new:
                return replace(taken, n_known=taken.n_known + 1)
            n_rows = sum(len(records) for records in content["records"].values())
            return replace(taken, n_units=taken.n_units + 1, n_rows=taken.n_rows + n_rows)
        case "failure":
            return replace(taken, n_failures=taken.n_failures + _note_failure(lake, **content))
        case "discard" | "trace":
            pass
        case other:
            raise KeyError(f"line kind {other!r}")
    return taken


def _refuse_changed(row: Mapping[str, Any], models: Mapping[str, str]) -> None:
    """A measurement's id is the hash of its inputs; one that is not would hide the real one."""
    inputs = (
        "method", "method_version", "prompt_set", "prompt_set_sha256", "dtype", "backend",
        "device_kind", "replicate", "text_sha256",
    )  # fmt: skip
    try:
        measurement_id = Measurement(
            models=models,
            options=json.loads(row["options"]),
            seeds=tuple(row["seeds"]),
            units=(),
            **{name: row[name] for name in inputs},
        ).measurement_id
    except (ValueError, TypeError):  # options that are no JSON, or no object of it
        measurement_id = None
    if measurement_id != row["measurement_id"]:
        raise BadInput(
            f"measurement {row['measurement_id']!r} is not the hash of its inputs: the file was "
            "changed after it was measured; measure again"
        )


def _note_attempts(lake: Lake, lines: list[dict[str, Any]], new: set[str]) -> None:
    """Where the measurements that brought something new were made."""
    labels = {line["model_id"]: line["label"] for line in lines if line["line"] == "model"}
    for line in lines:
        if line["line"] == "measurement" and line["measurement_id"] in new:
            of = line["models"]
            named = of.get("model") or of.get("derivative") or of["distilled"]
            attempt = lake.start_attempt(
                model_ref=labels.get(named, named),
                device=line["device"],
                host=line["host"],
                measurement_id=line["measurement_id"],
                method=line["method"],
                batch_size=line["batch_size"],
            )
            lake.end_attempt(attempt, "done")


def _with_answers(tables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The records of a unit; answers that nothing could read where they were made are read here."""
    if "rollout" not in tables:
        return tables
    read = [
        {**row, **_answer(row["text"], row["gold"])} if row["reason"] == problems.UNREAD else row
        for row in tables["rollout"]
    ]
    return {**tables, "rollout": read}


def _answer(text: str, gold: str | None) -> dict[str, Any]:
    found = problems.check(text, gold)
    return {"answer": found.text, "is_correct": found.is_correct, "reason": found.reason}


def _conclude_all(lake: Lake, path: Path, lines: list[tuple[int, dict[str, Any]]]) -> int:
    """Labels and rankings of the file's traces that are complete; how many were new."""
    n_new = 0
    labels = {line["model_id"]: line["label"] for _, line in lines if line["line"] == "model"}
    for number, line in lines:
        if line["line"] != "trace":
            continue
        try:
            for plan, make in _conclusions(lake, line):
                ref = labels.get(line["distilled"], line["distilled"])
                n_new += ledger.measure_at_once(lake, plan, make, ref=ref)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadInput(
                f"{str(path)!r}, line {number}: {error} is not what `python -m measure` writes: "
                "give the file of its --out"
            ) from error
    return n_new


def _conclusions(lake: Lake, line: Mapping[str, Any]) -> list[AtOnce]:
    """What can be read from a trace, if all that it names is there.

    Raises:
        ValueError: rollouts or scores are of another model or text than it says.
    """
    name, sha256 = line["prompts"]
    scores = {(reader, writer): found for reader, writer, found in line["scores"]}
    scored = Scored(LakeKept(lake), (name, sha256), dict(line["rollouts"]), scores)
    named = [*scored.rollouts.values(), *scored.scores.values()]
    if not all(lake.is_complete(measurement_id) for measurement_id in named):
        return []
    texts: dict[str, str] = {}
    for writer, measurement_id in scored.rollouts.items():
        texts[writer] = rollouts.texts_sha256(scored.kept.rollouts(measurement_id))
        if _model_and_text(lake, measurement_id)[0] != writer:
            raise ValueError(f"rollouts {measurement_id!r} of {writer!r}")
    for (reader, writer), measurement_id in scored.scores.items():
        if _model_and_text(lake, measurement_id) != (reader, texts[writer]):
            raise ValueError(f"scores {measurement_id!r} by {reader!r} on {writer!r}")
    return scored.conclusions(
        line["teachers"],
        line["student"],
        line["distilled"],
        line["control"],
        Options(**line["options"]),
    )


def _model_and_text(lake: Lake, measurement_id: str) -> tuple[str, str | None]:
    found = lake.query(
        "select model_id, text_sha256 from measurement inner join measurement_model "
        "using (measurement_id) where measurement_id = ? and role = 'model'",
        [measurement_id],
    )
    return found.row(0)


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
    templates = [
        line
        for line in lines
        if line["line"] == "measurement"
        and line["method"] == "template"
        and lake.is_complete(line["measurement_id"])
    ]
    n_new = 0
    for group in _groups(lines):
        ref = group.get("derivative") or group["teacher"]
        own = [t for t in templates if t["text_sha256"] is None]
        for base in (t for t in own if t["models"]["model"] == group["base"]):
            texts = text_set_sha256(ledger.texts(lake, base["measurement_id"]))
            modes: dict[Mode, str | None] = {"free": None, "forced": texts}
            for mode, text_sha256 in modes.items():
                inputs = _inputs(templates, group, base, text_sha256)
                if len(inputs) == len(group):
                    prompts = (base["prompt_set"], base["prompt_set_sha256"])
                    n_new += ledger.measure_distances(
                        lake, group, inputs, prompts, mode, ref=ref, fit=_fit(base)
                    )
    return n_new


PROTOCOL = ("prompt_set_sha256", "dtype", "device_kind", "backend", "method_version", "replicate")


def _inputs(
    templates: list[dict[str, Any]],
    group: dict[str, str],
    base: dict[str, Any],
    text_sha256: str | None,
) -> dict[str, str]:
    """Measurement ids by role: the base's protocol, and the same given text (None: its own)."""
    alike = {
        t["models"]["model"]: t["measurement_id"]
        for t in templates
        if t["text_sha256"] == text_sha256
        and all(t[name] == base[name] for name in PROTOCOL)
        and _fit(t) == _fit(base)
    }
    return {role: alike[model_id] for role, model_id in group.items() if model_id in alike}


def _fit(template: dict[str, Any]) -> PppFit:
    return json.loads(template["options"]).get("ppp_fit", functional.DEFAULT_FIT)


def _groups(lines: list[dict[str, Any]]) -> Iterator[dict[str, str]]:
    """Role -> model_id of each triangle and each base-teacher pair of a file's comparisons."""
    compared: dict[str, dict[str, str]] = {}
    for line in lines:
        if line["line"] == "comparison":
            compared.setdefault(line["derivative_id"], {})[line["role"]] = line["model_id"]
    for derivative_id, others in compared.items():
        yield from ledger.groups({"derivative": derivative_id, **others})
