"""A crosscoder on a machine with torch alone: all its records, in a file of lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from pathlib import Path
from typing import Any

from measure import coder, crosscoding, models, sources
from measure.journal import Journal
from measure.records import Record
from measure.request import Measurement

FOLDER = Path("crosscoder")  # of activations and checkpoints, where the command runs


def is_crosscode(request: object) -> bool:
    """Whether a request asks for a crosscoder."""
    if not isinstance(request, dict) or "teachers" in request:
        return False
    return "base" in request and "distilled" in request


def parse(request: Mapping[str, Any]) -> Coder:
    """What a request asks for; BadInput for the first that cannot be."""
    chosen = crosscoding.parse(request)
    device = chosen.device or models.pick_device()
    models.check_device(device)
    return Coder(chosen, device)


def measure(asked: Coder, journal: Journal) -> dict[str, str]:
    """Write what is missing; reasons of what failed: without the crosscoder nothing goes on."""
    asked.journal = journal
    name = asked.chosen.distilled
    failures: dict[str, str] = {}

    def attempt(what: str, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001  whatever it is, the others go on
            failures[what] = journal.fail(name, error)

    attempt(name, asked.learn)
    if not failures:
        for use in asked.uses():
            attempt(f"{name}, {use}", lambda use=use: asked.use(use))
    return failures


class Coder(coder.Coder):
    """One run, kept in the lines of a journal; none is needed before something is measured."""

    journal: Journal

    def __init__(self, chosen: crosscoding.Crosscoding, device: str) -> None:
        super().__init__(chosen, device, FOLDER)

    def model_id(self, ref: str) -> str:
        """The id of a model."""
        return sources.model_id_of(ref)

    def model(self, ref: str) -> models.CausalLM:
        """A model in memory, with its line."""
        model = models.load(sources.find(ref), device=self.device, dtype=self.chosen.dtype)
        self.journal.write({"line": "model", **asdict(model.card)})
        return model

    def is_done(self, measurement: Measurement) -> bool:
        """Whether all its units are written."""
        return self.journal.is_complete(measurement)

    def units_done(self, measurement: Measurement) -> AbstractSet[str]:
        """Its units that are written."""
        return self.journal.units_done(measurement.measurement_id)

    def discard(self, measurement: Measurement) -> None:
        """Say that the units so far are none."""
        self.journal.discard(measurement)

    def rows(self, table: str, measurement_id: str) -> list[dict[str, Any]]:
        """Records of a complete measurement."""
        return self.journal.records(table, measurement_id)

    def keep(self, measurement: Measurement, make: Callable[[str], Sequence[Record]]) -> None:
        """Make each unit that is not there, and write it."""
        self.journal.measure_by_unit(measurement, make, self.device)
