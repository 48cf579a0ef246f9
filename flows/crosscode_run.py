"""One crosscoder run in a lake: what `measure.coder` does, kept there."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from flows import ledger
from flows.runner import Runner
from measure import coder
from measure.crosscoding import Crosscoding
from measure.records import Record
from measure.request import Measurement
from warehouse.lake import Lake, home


class Coder(Runner, coder.Coder):
    """The state of one run; models and their ids are the runner's."""

    def __init__(self, lake: Lake, chosen: Crosscoding, device: str) -> None:
        Runner.__init__(self, lake, device, chosen.dtype)
        coder.Coder.__init__(self, chosen, device, home() / "crosscoder")

    def units_done(self, measurement: Measurement) -> AbstractSet[str]:
        """Its units that are committed."""
        return self.lake.units_done(measurement.measurement_id)

    def discard(self, measurement: Measurement) -> None:
        """Delete the units of an incomplete measurement."""
        self.lake.discard_units(measurement.measurement_id, measurement.batch_size)

    def rows(self, table: str, measurement_id: str) -> list[dict[str, Any]]:
        """Records of a complete measurement."""
        found = self.lake.query(
            f"select * exclude (measurement_id) from {table} where measurement_id = ?",
            [measurement_id],
        )
        return found.to_dicts()

    def keep(self, measurement: Measurement, make: Callable[[str], Sequence[Record]]) -> None:
        """Make each unit that is not there, and commit it."""
        self.n_new_units += ledger.measure_by_unit(
            self.lake, measurement, make, ref=self.chosen.distilled, device=self.device
        )
