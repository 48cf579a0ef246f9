"""`python -m flows.serving`: the process that runs scheduled and requested flows."""

from typing import Any

from flows import environment

environment.prepare()

from prefect import serve  # noqa: E402  Prefect reads the settings when it is imported

from flows.measuring import measure_targets  # noqa: E402
from flows.reconciling import reconcile  # noqa: E402
from flows.scan_flow import measure_queue, report_night, scan_hub  # noqa: E402
from flows.upkeep import upkeep  # noqa: E402

# Local time. The queue is looked at every hour of the night, so that one that was killed goes on;
# what is measured already costs it a query.
SCHEDULES = {
    "scan": "0 1 * * *",
    "measure-queue": "30 1-6 * * *",
    "upkeep": "0 7 * * *",
    "report": "30 7 * * *",
    "reconcile": "15 * * * *",
}


def deployments() -> list[Any]:
    """All that a home serves: `measure` on request, the rest by the clock."""
    nightly = {"scan": scan_hub, "measure-queue": measure_queue, "upkeep": upkeep,
               "report": report_night, "reconcile": reconcile}  # fmt: skip
    return [
        measure_targets.to_deployment(name="on-request"),
        *(
            flow.to_deployment(name="nightly", cron=SCHEDULES[name])
            for name, flow in nightly.items()
        ),
    ]


def main() -> None:
    """Mend what whoever served before left behind, then serve.

    Two at a time: measuring holds the device, and what needs none shall not wait for it.
    """
    reconcile()
    serve(*deployments(), limit=2)


if __name__ == "__main__":
    main()
