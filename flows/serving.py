"""`python -m flows.serving`: the process that runs scheduled and requested flows."""

from flows import environment

environment.prepare()

from prefect import serve  # noqa: E402  Prefect reads the settings when it is imported

from flows.measuring import measure_targets  # noqa: E402
from flows.upkeep import upkeep  # noqa: E402

NIGHTLY = "30 3 * * *"  # local time


def main() -> None:
    """Serve `measure`, for whoever asks the server for it, and the nightly upkeep."""
    # Outside an event loop Prefect returns the deployments themselves.
    serve(
        measure_targets.to_deployment(name="on-request"),  # pyright: ignore[reportArgumentType]
        upkeep.to_deployment(name="nightly", cron=NIGHTLY),  # pyright: ignore[reportArgumentType]
        limit=1,  # measuring holds the device; a second one would only wait for it
    )


if __name__ == "__main__":
    main()
