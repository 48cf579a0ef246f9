"""A process that appends a measurement unit by unit, and says each time it was the one who did.

Arguments: measurement id, number of units, rows of an odd unit (an even one has 30: one kind is
stored in the catalog, the other as Parquet). It waits until the file named by `WRITER_GO` is there,
and `WRITER_PAUSE` seconds after each unit, as a measurement computes between its units.
"""

import os
import sys
import time
from pathlib import Path

from making import measurement, model, template_row

from warehouse.lake import Lake


def main() -> None:
    """Append what is missing; print 'open', then the names of the units this process committed."""
    measurement_id, n_units, n_odd = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    pause = float(os.environ.get("WRITER_PAUSE", "0"))
    with Lake.open() as lake:
        print("open", flush=True)  # noqa: T201
        while not Path(os.environ["WRITER_GO"]).exists():
            time.sleep(0.005)
        lake.add_models([model("m")])
        lake.plan(measurement(measurement_id, "template", n_units), {"model": "m"})
        done = lake.units_done(measurement_id)
        for number in range(n_units):
            unit = f"prompts-{number}"
            if unit in done:
                continue
            n_rows = n_odd if number % 2 else 30
            rows = [template_row(f"p-{number}-{row}") for row in range(n_rows)]
            start = time.perf_counter()
            if lake.append_unit(measurement_id, unit, {"prompt_template": rows}, 0.1):
                print(unit, time.perf_counter() - start, flush=True)  # noqa: T201
            time.sleep(pause)


if __name__ == "__main__":
    main()
