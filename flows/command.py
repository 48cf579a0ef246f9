"""What `cicatrix measure`, `demo` and `verdict` do around the flow: estimate, run, tell."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from flows import environment, estimating, report, verdict, verdict_screen
from flows.choice import Choice
from flows.facts import Pair
from flows.report import note, say
from flows.session import Session
from flows.targets import Target, in_order
from measure import functional, models, sources, structural
from measure.errors import BadInput
from warehouse.lake import Lake


def estimate(targets: Sequence[Target], options: Mapping[str, object]) -> int:
    """Print what is left to measure and what it would cost."""
    choice = Choice.model_validate(options)
    models.check_device(choice.device or models.pick_device())
    say(estimating.of(targets, choice).text())
    return 0


def measure(targets: Sequence[Target], options: Mapping[str, object]) -> int:
    """Measure what is missing, then print what is known of the targets; 1 if any of them failed."""
    choice = Choice.model_validate(options)
    session, failures = _measure_missing(targets, choice, say)
    ids: dict[str, str] = {}
    for ref in in_order(targets):
        if ref not in failures:
            with suppress(BadInput, ConnectionError):  # a hub that went away since
                ids[ref] = session.model_id(ref)
    derivatives = [target.model for target in targets if target.base is not None]
    report.print_summary([ids[ref] for ref in derivatives if ref in ids])
    report.print_weights(list(ids.values()))
    _tell_what_is_elsewhere(choice)
    for ref, reason in failures.items():
        note(f"failed: {ref}: {reason}")
    return 1 if failures else 0


def judge(target: Target, options: Mapping[str, object], *, as_json: bool) -> int:
    """Measure what a verdict needs and lacks, judge, keep what is new; the pair's exit code."""
    if sources.model_id_of(target.model) == sources.model_id_of(target.base or target.model):
        raise BadInput(f"{target.model!r} is its own base: give the model it was derived from")
    choice = Choice.model_validate(options)
    session, failures = _measure_missing([target], choice, note)
    for ref, reason in failures.items():
        note(f"failed: {ref}: {reason}")
    if target.model in failures or target.base in failures:
        return 1
    members = {"derivative": target.model, **target.others()}
    ids = {role: session.model_id(ref) for role, ref in members.items() if ref not in failures}
    with Lake.open() as lake:
        found = verdict.judge(lake, Pair(target=target, ids=ids))
        lake.add_verdicts(found.rows())
    if as_json:
        sys.stdout.write(found.text())
    else:
        verdict_screen.show(found)
    _tell_what_is_elsewhere(choice)
    return found.exit_code


def _tell_what_is_elsewhere(choice: Choice) -> None:
    """Where the numbers of another tau or fit are: what is printed is of the defaults alone."""
    if choice.tau != structural.DEFAULT_TAU:
        note(
            f"scars here are of tau {structural.DEFAULT_TAU}; those of {choice.tau} are in the "
            "mart structural_dim"
        )
    if choice.ppp_fit != functional.DEFAULT_FIT:
        note(
            f"distances here are of PPP fit {functional.DEFAULT_FIT}; those of {choice.ppp_fit} "
            "are in the mart functional_fit"
        )


def _measure_missing(
    targets: Sequence[Target], choice: Choice, tell: Callable[[str], None]
) -> tuple[Session, dict[str, str]]:
    """Measure what is not in the lake; the session that knows the ids, and why models failed."""
    device = choice.device or models.pick_device()
    models.check_device(device)
    with Lake.open() as lake:
        session = Session(lake, targets, choice.settings(device), device)
        if session.is_complete():
            for target in targets:
                session.measure_distances(target)
            tell(f"all {session.n_measurements()} measurements are in the lake: nothing to measure")
            return session, {}
    tell(estimating.of(targets, choice).text())

    def run() -> None:
        from flows.measuring import measure_targets

        measure_targets(list(targets), choice)

    return session, run_flow(run, device, tell)


def run_flow(run: Callable[[], object], device: str, tell: Callable[[str], None]) -> dict[str, str]:
    """Run a flow; reasons of the models that failed. `run` imports it: Prefect only when needed."""
    environment.prepare(quiet=True)
    import httpx

    from flows.measuring import SomeFailed, own_server_if_none

    try:
        with own_server_if_none(device, tell):
            run()
    except SomeFailed as error:
        return error.failures
    except httpx.TransportError as error:
        raise ConnectionError(
            f"the Prefect server stopped answering ({error}): what was committed stays; "
            "run the command again"
        ) from error
    return {}
