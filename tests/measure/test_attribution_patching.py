import numpy as np
import pytest
import torch

from measure import ablation, models, sources
from measure.attribution_patching import estimated_effects
from measure.components import Blocks
from tests.measure.tasksets import answered, gaps, means_of


def loaded(folder):
    return models.load(sources.find(str(folder)), device="cpu")


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2"])
def test_an_estimate_is_the_slope_of_a_small_step_to_the_mean(model_folder, architecture):
    """The other route: a hundredth of the way to the mean and back, by hooks on the whole model."""
    model = loaded(model_folder(architecture))
    task = answered(model)
    blocks = Blocks(model, torch.from_numpy(task.clean))
    estimates = estimated_effects(model, task)
    for component, estimate in zip(blocks.components, estimates, strict=True):
        block = blocks._blocks[component.layer]
        z, mlp = means_of(model, task, block)
        ends = []
        for step in (0.01, -0.01):
            if component.is_head:
                where = blocks.head_slice(component.layer, component.head)
                handle = block.projection.register_forward_pre_hook(
                    lambda _, args, where=where, z=z, step=step: (moved(args[0], where, z, step),)
                )
            else:
                module = block.layer.get_submodule(block.mlp)
                handle = module.register_forward_hook(
                    lambda _, __, out, mlp=mlp, step=step: out + step * (mlp - out)
                )
            ends.append(gaps(model, task.clean, task))
            handle.remove()
        slope = (ends[0] - ends[1]) / 0.02
        np.testing.assert_allclose(estimate, slope, rtol=0.02, atol=0.02)
    assert np.abs(estimates).max() > 0.1


def moved(z, where, mean, step):
    z = z.clone()
    z[:, :, where] += step * (mean[:, where] - z[:, :, where])
    return z


def test_in_chunks_as_all_at_once(model_folder):
    model = loaded(model_folder())
    task = answered(model)
    whole, apart = estimated_effects(model, task), estimated_effects(model, task, rows=2)
    np.testing.assert_allclose(apart, whole, rtol=1e-4, atol=1e-4)


def test_a_sweep_still_runs_after_a_gradient(model_folder):
    model = loaded(model_folder())
    task = answered(model)
    before = ablation.Sweep(model, task).layer(1, lambda _: None)
    estimated_effects(model, task)
    np.testing.assert_allclose(ablation.Sweep(model, task).layer(1, lambda _: None), before)
