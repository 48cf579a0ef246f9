"""A process that appends a measurement unit by unit, and says each time it was the one who did.

Arguments: measurement id, number of units, rows of an odd unit (an even one has 30: one kind is stored in the catalog,
the other as Parquet). It waits until the file named by `WRITER_GO` is there.
"""

import os
import sys
import time
from pathlib import Path

from making import measurement, model, tau_row

from warehouse.lake import Lake


def main() -> None:
    """Append what is missing; print 'open', then the names of the units this process committed."""
    measurement_id, n_units, n_odd = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with Lake.open() as lake:
        print("open", flush=True)  # noqa: T201
        while not Path(os.environ["WRITER_GO"]).exists():
            time.sleep(0.005)
        lake.add_models([model("m")])
        lake.plan(measurement(measurement_id, "structural", n_units), {"model": "m"})
        done = lake.units_done(measurement_id)
        for seed in range(n_units):
            if f"seed-{seed}" in done:
                continue
            n_rows = n_odd if seed % 2 else 30
            rows = [tau_row(seed, dim, 0.5, 0.5) for dim in range(n_rows)]
            start = time.perf_counter()
            if lake.append_unit(measurement_id, f"seed-{seed}", {"structural_tau": rows}, 0.1):
                print(f"seed-{seed}", time.perf_counter() - start, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
