"""The flow that traces sentences: rollouts, scores of every model, labels against each teacher."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.measuring import ON_DEVICE, SomeFailed, ensure_slot, failure_of, held
from flows.tracer import Trace, Tracer
from measure import models
from measure.records import RolloutsOf
from warehouse.lake import Lake


@task(**ON_DEVICE, task_run_name="rollouts of the {whose} model")
def sample_rollouts(tracer: Tracer, whose: RolloutsOf) -> None:
    """Completions of one model that are not in the lake yet."""
    with held(tracer.device):
        tracer.sample(whose)


@task(**ON_DEVICE, task_run_name="sentences under {ref}")
def score_sentences(tracer: Tracer, ref: str) -> None:
    """One model's scores of both models' rollouts."""
    with held(tracer.device):
        tracer.score(ref)


@task(cache_policy=NO_CACHE, persist_result=False, task_run_name="labels against {teacher}")
def label_sentences(tracer: Tracer, teacher: str) -> bool:
    """Labels, shares and decisions for one teacher."""
    return tracer.label(teacher)


@flow(name="trace", persist_result=False)
def trace_sentences(trace: Trace) -> int:
    """Trace what is missing; how many units were new.

    Raises:
        SomeFailed: with the reason by model; a teacher or control that failed leaves the others.
    """
    device = trace.device or models.pick_device()
    ensure_slot(device)
    with Lake.open() as lake:
        tracer = Tracer(lake, trace, device)
        for whose, ref in (("student", trace.student), ("distilled", trace.distilled)):
            tracer.note(ref, failure_of(sample_rollouts(tracer, whose, return_state=True)))
        if tracer.failures:
            raise SomeFailed(tracer.failures)
        for ref in trace.models():
            tracer.note(ref, failure_of(score_sentences(tracer, ref, return_state=True)))
        if not tracer.failures.keys() & {trace.student, trace.distilled}:
            for teacher in trace.teachers:
                if teacher not in tracer.failures:
                    found = label_sentences(tracer, teacher, return_state=True)
                    tracer.note(teacher, failure_of(found))
        if tracer.failures:
            raise SomeFailed(tracer.failures)
        return tracer.n_new_units
