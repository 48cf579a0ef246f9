"""The flow of a crosscoder: activations, training and latents; then what the latents do."""

from prefect import flow, task

from flows import processes, slots
from flows.crosscode_run import Coder
from flows.measuring import ON_DEVICE, SomeFailed, failure_of
from measure import models
from measure.crosscoding import Crosscoding, Use
from warehouse.lake import Lake


@task(**ON_DEVICE, task_run_name="crosscoder")
def learn(coder: Coder) -> None:
    """Harvest, train and describe."""
    with slots.held(coder.device):
        coder.learn()


@task(**ON_DEVICE, task_run_name="{use}")
def put_to_use(coder: Coder, use: Use) -> None:
    """Ablation, steering or parallelograms."""
    with slots.held(coder.device):
        coder.use(use)


@flow(name="crosscode", persist_result=False, on_running=[processes.sign])
def crosscode_pair(chosen: Crosscoding) -> int:
    """Measure what is missing; how many units were new.

    Raises:
        SomeFailed: with the reason; of what the latents do, the rest is done first.
    """
    device = chosen.device or models.pick_device()
    slots.ensure(device)
    with Lake.open() as lake:
        coder = Coder(lake, chosen, device)
        coder.note(chosen.distilled, failure_of(learn(coder, return_state=True)))
        if not coder.failures:
            for use in coder.uses():
                state = put_to_use(coder, use, return_state=True)
                coder.note(f"{chosen.distilled}, {use}", failure_of(state))
        if coder.failures:
            raise SomeFailed(coder.failures)
        return coder.n_new_units
