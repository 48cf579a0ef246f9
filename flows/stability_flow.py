"""The flow that measures stability proxies: one task a model, holding its device; then the rest."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import processes, slots
from flows.measuring import ON_DEVICE, SomeFailed, failure_of
from flows.stability_run import Assessment, Assessor
from measure import models
from warehouse.lake import Lake


@task(**ON_DEVICE, task_run_name="steps of {role}")
def assess(assessor: Assessor, role: str) -> None:
    """Rollouts, limits and steps of one model that are not in the lake yet."""
    with slots.held(assessor.device):
        assessor.assess(role)


@task(cache_policy=NO_CACHE, persist_result=False)
def conclude(assessor: Assessor) -> None:
    """Profiles, students against their teacher, hypotheses."""
    assessor.conclude()


@flow(name="stability", persist_result=False, on_running=[processes.sign])
def assess_stability(chosen: Assessment) -> int:
    """Measure what is missing; how many units were new.

    Raises:
        SomeFailed: with the reason by model; a student that failed leaves the others.
    """
    device = chosen.device or models.pick_device()
    slots.ensure(device)
    with Lake.open() as lake:
        assessor = Assessor(lake, chosen, device)
        for role, ref in assessor.roles.items():
            if role not in assessor.failed_roles():
                assessor.note(ref, failure_of(assess(assessor, role, return_state=True)))
        if chosen.teacher in assessor.failures:
            raise SomeFailed(assessor.failures)
        assessor.note(chosen.teacher, failure_of(conclude(assessor, return_state=True)))
        if assessor.failures:
            raise SomeFailed(assessor.failures)
        return assessor.n_new_units
