"""What `cicatrix measure` and `cicatrix demo` do around the flow: estimate, run, tell."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from flows import environment, estimating, report
from flows.choice import Choice
from flows.session import Session
from flows.targets import Target, in_order
from measure import models
from measure.errors import BadInput
from warehouse.lake import Lake


def estimate(targets: Sequence[Target], options: Mapping[str, object]) -> int:
    """Print what is left to measure and what it would cost."""
    choice = Choice.model_validate(options)
    models.check_device(choice.device or models.pick_device())
    _say(estimating.of(targets, choice).text())
    return 0


def measure(targets: Sequence[Target], options: Mapping[str, object]) -> int:
    """Measure what is missing, then print what is known of the targets; 1 if any of them failed."""
    choice = Choice.model_validate(options)
    device = choice.device or models.pick_device()
    models.check_device(device)
    failures: dict[str, str] = {}
    with Lake.open() as lake:
        session = Session(lake, targets, choice.settings(device), device)
        is_complete = session.is_complete()
        if is_complete:
            for target in targets:
                session.measure_distances(target)
            _say(f"all {session.n_measurements()} measurements are in the lake: nothing to measure")
    if not is_complete:
        _say(estimating.of(targets, choice).text())
        failures = _run_flow(targets, choice, device)
    ids: dict[str, str] = {}
    for ref in in_order(targets):
        if ref not in failures:
            with suppress(BadInput, ConnectionError):  # a hub that went away since
                ids[ref] = session.model_id(ref)
    derivatives = [target.model for target in targets if target.base is not None]
    report.print_summary([ids[ref] for ref in derivatives if ref in ids])
    report.print_weights(list(ids.values()))
    for ref, reason in failures.items():
        sys.stderr.write(f"failed: {ref}: {reason}\n")
    return 1 if failures else 0


def _run_flow(targets: Sequence[Target], choice: Choice, device: str) -> dict[str, str]:
    """Reasons of the models that failed; Prefect is imported only when there is work for it."""
    environment.prepare(quiet=True)
    import httpx

    from flows.measuring import SomeFailed, measure_targets, own_server_if_none

    try:
        with own_server_if_none(device, _say):
            measure_targets(list(targets), choice)
    except SomeFailed as error:
        return error.failures
    except httpx.TransportError as error:
        raise ConnectionError(
            f"the Prefect server stopped answering ({error}): what was committed stays; "
            "run the command again"
        ) from error
    return {}


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
