"""The flows that sample and score: `trace`, with its labels and ranking, and `select`."""

from collections.abc import Collection

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import processes, slots
from flows.measuring import ON_DEVICE, SomeFailed, failure_of
from flows.sampler import Sampled, Sampler
from flows.selector import Choice, Selector
from flows.tracer import Trace, Tracer
from measure import models
from warehouse.lake import Lake


@task(**ON_DEVICE, task_run_name="rollouts of {ref}")
def sample_rollouts(sampler: Sampler, ref: str) -> None:
    """Completions of one model that are not in the lake yet."""
    with slots.held(sampler.device):
        sampler.sample(ref)


@task(**ON_DEVICE, task_run_name="sentences under {ref}")
def score_sentences(sampler: Sampler, ref: str) -> None:
    """One model's scores of every model's rollouts."""
    with slots.held(sampler.device):
        sampler.score(ref)


@task(cache_policy=NO_CACHE, persist_result=False)
def conclude(tracer: Tracer) -> None:
    """Labels, shares and decisions for each teacher; the ranking of the candidates."""
    tracer.conclude()


@flow(name="trace", persist_result=False, on_running=[processes.sign])
def trace_sentences(trace: Trace) -> int:
    """Trace what is missing; how many units were new.

    Raises:
        SomeFailed: with the reason by model; a teacher or control that failed leaves the others.
    """
    device = _device_of(trace)
    with Lake.open() as lake:
        tracer = Tracer(lake, trace, device)
        _sample_and_score(tracer, trace, needed={trace.student, trace.distilled})
        tracer.note(trace.distilled, failure_of(conclude(tracer, return_state=True)))
        if tracer.failures:
            raise SomeFailed(tracer.failures)
        return tracer.n_new_units


@flow(name="select", persist_result=False, on_running=[processes.sign])
def sample_responses(choice: Choice) -> int:
    """Sample and score what a selection lacks; how many units were new.

    Raises:
        SomeFailed: with the reason by model.
    """
    device = _device_of(choice)
    with Lake.open() as lake:
        selector = Selector(lake, choice, device)
        _sample_and_score(selector, choice, needed=choice.readers())
        return selector.n_new_units


def _device_of(chosen: Sampled) -> str:
    device = chosen.device or models.pick_device()
    slots.ensure(device)
    return device


def _sample_and_score(sampler: Sampler, chosen: Sampled, needed: Collection[str]) -> None:
    """Raises SomeFailed once a model that is needed failed; without another the rest goes on."""
    for step, refs in (
        (sample_rollouts, chosen.writers()),
        (score_sentences, chosen.readers()),
    ):
        for ref in sampler.at_hand(refs):
            sampler.note(ref, failure_of(step(sampler, ref, return_state=True)))
        if sampler.failures.keys() & set(needed):
            raise SomeFailed(sampler.failures)
