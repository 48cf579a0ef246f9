"""The flow that traces sentences: rollouts, scores of every model, labels against each teacher."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.measuring import ON_DEVICE, SomeFailed, ensure_slot, failure_of, held
from flows.tracer import Trace, Tracer
from measure import models
from warehouse.lake import Lake


@task(**ON_DEVICE, task_run_name="rollouts of {ref}")
def sample_rollouts(tracer: Tracer, ref: str) -> None:
    """Completions of one model that are not in the lake yet."""
    with held(tracer.device):
        tracer.sample(ref)


@task(**ON_DEVICE, task_run_name="sentences under {ref}")
def score_sentences(tracer: Tracer, ref: str) -> None:
    """One model's scores of every model's rollouts."""
    with held(tracer.device):
        tracer.score(ref)


@task(cache_policy=NO_CACHE, persist_result=False)
def conclude(tracer: Tracer) -> None:
    """Labels, shares and decisions for each teacher; the ranking of the candidates."""
    tracer.conclude()


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
        for step in (sample_rollouts, score_sentences):
            for ref in trace.models():
                if ref not in tracer.failures:
                    tracer.note(ref, failure_of(step(tracer, ref, return_state=True)))
            if tracer.failures.keys() & {trace.student, trace.distilled}:
                raise SomeFailed(tracer.failures)
        tracer.note(trace.distilled, failure_of(conclude(tracer, return_state=True)))
        if tracer.failures:
            raise SomeFailed(tracer.failures)
        return tracer.n_new_units
