"""The flow of distilled circuits: every model ablated, then what that says of models and pairs."""

from prefect import flow, task

from flows import processes, slots
from flows.circuit_plans import CircuitChoice
from flows.circuit_run import CircuitRun
from flows.measuring import ON_DEVICE, SomeFailed, failure_of
from measure import models
from warehouse.lake import Lake


@task(**ON_DEVICE, task_run_name="components of {ref}")
def ablate_components(run: CircuitRun, ref: str) -> None:
    """What one model is to be run for on the task and is not in the lake yet."""
    with slots.held(run.device):
        run.ablate(ref)


@task(**ON_DEVICE)
def conclude(run: CircuitRun) -> None:
    """Effects, brittleness, alignment; attention patterns are taken once more for it."""
    with slots.held(run.device):
        run.conclude()


@flow(name="circuits", persist_result=False, on_running=[processes.sign])
def measure_circuits(choice: CircuitChoice) -> int:
    """Measure what is missing on every task; how many units were new.

    Raises:
        SomeFailed: with the reason by model; a student or control that failed leaves the others.
    """
    device = choice.device or models.pick_device()
    slots.ensure(device)
    failures: dict[str, str] = {}
    n_new = 0
    with Lake.open() as lake:
        for name in choice.tasks:
            run = CircuitRun(lake, choice, device, name)
            for ref in choice.models():
                run.note(ref, failure_of(ablate_components(run, ref, return_state=True)))
            run.note(choice.teacher, failure_of(conclude(run, return_state=True)))
            n_new += run.n_new_units
            for ref, reason in run.failures.items():
                failures.setdefault(ref, f"{name}: {reason}")
    if failures:
        raise SomeFailed(failures)
    return n_new
