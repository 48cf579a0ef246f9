"""`python -m measure REQUEST [--out FILE]`: measure on a machine with torch and transformers alone.

REQUEST is a JSON file, or `-` for standard input:

    {"models": ["path/or/org/name@revision", ...],   what to measure
     "base": "...", "reference": "...", "shared_comparator": "...", "teacher": "...",   optional
     "seeds": [0, 1, 2, 123], "tau": "resultant", "ppp_fit": "ml",           optional, the defaults
     "bank": "bank512", "prompts": "canonical40",                            optional, the defaults
     "dtype": "float32", "device": "cpu", "batch_size": 20}                  optional

Out come JSON lines: `model`, `comparison`, `measurement`, a `unit` with its records by table, and
`failure` for a model that could not be measured. A line is whole or not there, so a file given by
`--out` is taken up again where it broke off. `cicatrix take FILE` appends it to a lake, once.
"""

import argparse
import json
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, get_args

from tqdm import tqdm

from measure import functional, lineage, models, prompts, run, sources, stiffness, structural
from measure.errors import BadInput, OutOfMemory
from measure.records import PppFit, Record, TauKind
from measure.request import DEFAULT_SEEDS, Measurement, parse_seeds
from measure.tensors import Part

ROLES = ("base", "reference", "shared_comparator", "teacher")
OPTIONS = ("seeds", "tau", "ppp_fit", "bank", "prompts", "dtype", "device", "batch_size")
KEYS = {"models", *OPTIONS, *ROLES}


class Journal:
    """The JSON lines written so far, and those to come."""

    def __init__(self, path: Path | None) -> None:
        self._file: IO[str]
        self.units: dict[str, dict[str, dict[str, list[dict[str, Any]]]]] = {}
        self.batch_sizes: dict[str, int] = {}  # of measurements begun, as they had come down to
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
            units = self.units.setdefault(line["measurement_id"], {})
            units[line["unit"]] = line["records"]
        elif line["line"] == "discard":
            discarded = self.units.pop(line["measurement_id"], {})
            self._written -= {("unit", line["measurement_id"], unit) for unit in discarded}
        if line["line"] in {"measurement", "discard"}:
            self.batch_sizes[line["measurement_id"]] = line["batch_size"]
        self._written.add(_key(line))

    def write(self, line: dict[str, Any]) -> None:
        """Append a line and hand it to the system, unless it is there already."""
        if line["line"] != "discard" and _key(line) in self._written:
            return
        self._take(line)
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()

    def texts(self, job: run.Job) -> dict[str, str]:
        """The continuations that a completed `template` job scored, by prompt id."""
        units = self.units[job.measurement.measurement_id].values()
        return {
            record["prompt_id"]: record["text"]
            for records in units
            for record in records["prompt_template"]
        }


def _key(line: Mapping[str, Any]) -> tuple[str, ...]:
    named = ("line", "measurement_id", "unit", "model_id", "derivative_id", "role", "model_ref")
    return tuple(str(line[name]) for name in named if name in line)


def main(arguments: list[str] | None = None) -> int:
    """Measure a request; 0 if all of it was, 1 if a model failed, 2 for a request that is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m measure", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("request", help="a JSON file, or - for standard input")
    parser.add_argument("--out", type=Path, help="a JSON-lines file, continued if it exists")
    given = parser.parse_args(arguments)
    try:
        request = _read_request(given.request)
        settings = _settings(request)
        journal = Journal(given.out)
    except BadInput as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except (ValueError, OSError, KeyError, TypeError) as error:
        sys.stderr.write(f"error: {given.out} cannot be continued ({error}): give another --out\n")
        return 2
    failures = _measure_all(request, settings, journal)
    for ref, reason in failures.items():
        sys.stderr.write(f"failed: {ref}: {reason}\n")
    return 1 if failures else 0


def _read_request(name: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        request = json.loads(text)
    except (OSError, json.JSONDecodeError) as error:
        raise BadInput(f"request {name!r} is no readable JSON ({error})") from error
    if not isinstance(request, dict) or not isinstance(request.get("models"), list):
        raise BadInput(f'request {name!r} lists no models: give {{"models": ["folder"]}}')
    if unknown := sorted(set(request) - KEYS):
        raise BadInput(
            f"request {name!r} has an unknown key {unknown[0]!r}: give {', '.join(sorted(KEYS))}"
        )
    return request


def _settings(request: dict[str, Any]) -> run.Settings:
    batch_size = request.get("batch_size", 20)
    if not isinstance(batch_size, int) or batch_size < 1:
        raise BadInput(f"batch_size {batch_size!r} is no whole number of 1 or more")
    models.check_device(_device(request))
    return run.Settings(
        bank=prompts.load(request.get("bank", "bank512")),
        canonical=prompts.load(request.get("prompts", "canonical40")),
        seeds=parse_seeds(request.get("seeds", list(DEFAULT_SEEDS))),
        tau=_one_of(TauKind, request, "tau", structural.DEFAULT_TAU),
        ppp_fit=_one_of(PppFit, request, "ppp_fit", functional.DEFAULT_FIT),
        dtype=request.get("dtype", "float32"),
        device_kind=_device(request).split(":")[0],
        batch_size=batch_size,
    )


def _one_of(kinds: Any, request: dict[str, Any], name: str, default: str) -> Any:
    """What a request says of an option that is one of a Literal's values."""
    given = request.get(name, default)
    if given not in get_args(kinds):
        raise BadInput(f"{name} {given!r} is none of {', '.join(get_args(kinds))}")
    return given


def _device(request: dict[str, Any]) -> str:
    return str(request.get("device") or models.pick_device())


def _measure_all(
    request: dict[str, Any], settings: run.Settings, journal: Journal
) -> dict[str, str]:
    """Reasons of the models that failed, by reference."""
    failures: dict[str, str] = {}
    base_ref = request.get("base")
    compared = [str(request[role]) for role in ROLES if request.get(role)]
    models_asked = [str(model) for model in request["models"]]
    # The base first: the others are scored on its text.
    refs = [*compared[:1], *models_asked, *compared[1:]] if base_ref else [*models_asked, *compared]
    ordered: dict[str, None] = dict.fromkeys(refs)
    texts: dict[str, str] | None = None
    ids: dict[str, str] = {}
    for ref in ordered:
        try:
            source = sources.find(ref)
            if base_ref in ids and ref in models_asked and ref != base_ref:
                texts_of_bank = [prompt.text for prompt in settings.bank.prompts]
                models.refuse_unlike_base(source, sources.find(str(base_ref)), texts_of_bank)
            model = models.load(source, device=_device(request), dtype=settings.dtype)
            journal.write({"line": "model", **asdict(model.card)})
            ids[ref] = source.model_id
            for job in run.own_jobs(source.model_id, settings):
                _measure(model, job, journal)
            _measure_stiffness(source, journal)
            if ref == base_ref:
                texts = journal.texts(run.template_job(source.model_id, settings))
            if texts is not None:
                _measure(model, run.template_job(source.model_id, settings, texts), journal)
        except Exception as error:  # noqa: BLE001  whatever it is, the others go on
            ids.pop(ref, None)
            failures[ref] = _note_failure(ref, error, journal)
    _write_comparisons(request, ids, journal)
    for ref in models_asked:
        if ref in ids and base_ref in ids and ids[ref] != ids[base_ref]:
            try:
                _measure_lineage(ref, str(base_ref), journal)
            except Exception as error:  # noqa: BLE001  likewise
                failures[ref] = _note_failure(ref, error, journal)
    return failures


def _note_failure(ref: str, error: Exception, journal: Journal) -> str:
    """Its reason in one line."""
    plain = isinstance(error, BadInput | OutOfMemory | ConnectionError)
    reason = " ".join(str(error).split())
    reason = reason if plain else f"{type(error).__name__}: {reason}"
    journal.write({"line": "failure", "model_ref": ref, "reason": reason})
    return reason


def _measure_stiffness(source: sources.Source, journal: Journal) -> None:
    plan = stiffness.plan(source.model_id)
    _measure_at_once(plan, lambda: [stiffness.measure(source)], journal)


def _measure_lineage(ref: str, base_ref: str, journal: Journal) -> None:
    derivative, base = sources.find(ref), sources.find(base_ref)

    def watched(parts: Sequence[Part]) -> Iterator[Part]:
        name = f"{derivative.label} {lineage.METHOD}"
        yield from tqdm(parts, desc=name, unit="weight", file=sys.stderr, disable=None)

    _measure_at_once(
        lineage.plan(derivative.model_id, base.model_id),
        lambda: lineage.measure_pair(derivative, base, watched),
        journal,
    )


def _measure_at_once(
    measurement: Measurement, make: Callable[[], Sequence[Record]], journal: Journal
) -> None:
    """The one unit of a measurement that runs no model, unless it is there already."""
    _begin(measurement, "cpu", journal)
    if measurement.measurement_id not in journal.units:
        _write_unit(measurement, run.at_once(make), journal)


def _begin(measurement: Measurement, device: str, journal: Journal) -> None:
    line = {"line": "measurement", "models": dict(measurement.models), **measurement.row()}
    journal.write(line | {"host": socket.gethostname(), "device": device})


def _write_unit(measurement: Measurement, unit: run.UnitResult, journal: Journal) -> None:
    line = {"line": "unit", "measurement_id": measurement.measurement_id, "unit": unit.unit}
    journal.write(line | {"duration_s": unit.duration_s, "records": unit.tables()})


def _measure(model: models.CausalLM, job: run.Job, journal: Journal) -> None:
    """All units of a job; out of memory starts it again at half the batch."""
    measurement_id = job.measurement.measurement_id
    if measurement_id in journal.batch_sizes:
        job = job.with_batch_size(journal.batch_sizes[measurement_id])
    while True:
        _begin(job.measurement, str(model.device), journal)
        try:
            _measure_units(model, job, journal)
            return
        except OutOfMemory as error:
            if job.measurement.batch_size == 1:
                raise
            job = job.halved(error)
            half = job.measurement.batch_size
            journal.write({"line": "discard", "measurement_id": measurement_id, "batch_size": half})


def _measure_units(model: models.CausalLM, job: run.Job, journal: Journal) -> None:
    measurement_id = job.measurement.measurement_id
    done = journal.units.get(measurement_id, {})
    n_done = job.n_passes * len(done) // len(job.measurement.units)
    with tqdm(
        total=job.n_passes, initial=n_done, unit="prompt", file=sys.stderr, disable=None
    ) as bar:
        bar.set_description(f"{model.card.label} {job.measurement.method}")

        def progress(n: int) -> None:
            bar.update(n)

        for result in run.measure_units(model, job, done.keys(), progress):
            _write_unit(job.measurement, result, journal)


def _write_comparisons(request: dict[str, Any], ids: dict[str, str], journal: Journal) -> None:
    for ref in request["models"]:
        for role in ROLES:
            other = request.get(role)
            if ref in ids and other in ids and ref != other:
                journal.write(
                    {
                        "line": "comparison",
                        "derivative_id": ids[ref],
                        "role": role,
                        "model_id": ids[other],
                    }
                )


if __name__ == "__main__":
    sys.exit(main())
