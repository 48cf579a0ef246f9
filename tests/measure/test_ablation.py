from dataclasses import replace

import numpy as np
import pytest
import torch

from measure import ablation, models, sources
from measure.components import Blocks
from tests.conftest import ARCHITECTURES
from tests.measure.tasksets import ablated_together, answered, gaps


def loaded(folder):
    return models.load(sources.find(str(folder)), device="cpu")


def swept(model, task, rows=64):
    sweep = ablation.Sweep(model, task, rows)
    n_layers = model.card.n_layers
    return sweep.clean(), np.concatenate([sweep.layer(i, lambda _: None) for i in range(n_layers)])


def by_full_passes(model, task):
    components = Blocks(model, torch.from_numpy(task.clean)).components
    return np.array([ablated_together(model, task, {component}) for component in components])


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_a_sweep_equals_one_full_pass_a_component(model_folder, architecture):
    model = loaded(
        model_folder(architecture, num_hidden_layers=3)
        if architecture != "gpt2"
        else model_folder(architecture)
    )
    task = answered(model)
    clean, ablated = swept(model, task)
    np.testing.assert_allclose(clean, gaps(model, task.clean, task), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ablated, by_full_passes(model, task), rtol=1e-3, atol=1e-3)
    assert np.abs(ablated - clean).max() > 0.1  # something was ablated


@pytest.mark.parametrize("rows", [1, 2, 5, 30])
def test_how_many_prompts_at_once_changes_nothing(model_folder, rows):
    model = loaded(model_folder())
    task = answered(model, n=7)
    for found, expected in zip(swept(model, task, rows), swept(model, task), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_sweep_can_begin_at_any_layer_and_go_back(model_folder):
    model = loaded(model_folder(num_hidden_layers=3))
    task = answered(model)
    _, whole = swept(model, task)
    sweep = ablation.Sweep(model, task)
    for layer in (2, 0, 1):
        found = sweep.layer(layer, lambda _: None)
        np.testing.assert_allclose(found, whole[5 * layer : 5 * layer + 5], rtol=1e-4, atol=1e-4)


def test_a_position_before_the_end_is_read_there(model_folder):
    model = loaded(model_folder())
    task = answered(model, position=5)
    clean, ablated = swept(model, task)
    np.testing.assert_allclose(clean, gaps(model, task.clean, task), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ablated, by_full_passes(model, task), rtol=1e-3, atol=1e-3)


def test_a_dead_head_has_no_effect(model_folder):
    model = loaded(model_folder())
    blocks = Blocks(model, torch.zeros((1, 9), dtype=torch.long))
    with torch.no_grad():
        blocks._blocks[1].projection.weight[:, blocks.head_slice(1, 2)] = 0
    clean, ablated = swept(model, answered(model))
    names = [component.name for component in blocks.components]
    np.testing.assert_allclose(ablated[names.index("1.2")], clean, rtol=1e-5, atol=1e-5)


def test_the_mean_of_a_prompt_alone_is_what_it_has_already(model_folder):
    """The null: one prompt, corrupted into itself."""
    model = loaded(model_folder())
    task = answered(model, n=1)
    clean, ablated = swept(model, replace(task, corrupted=task.clean))
    np.testing.assert_allclose(ablated, np.broadcast_to(clean, ablated.shape), rtol=1e-5, atol=1e-5)


def test_records_are_the_prompts_then_a_layer_a_unit(model_folder):
    model = loaded(model_folder())
    task = answered(model)
    assert ablation.units(2) == ("prompts", "layer-000", "layer-001")
    sweep, told = ablation.Sweep(model, task), []
    prompts = list(ablation.measure_unit(sweep, task, "prompts", told.append))
    effects = list(ablation.measure_unit(sweep, task, "layer-001", told.append))
    clean, ablated = swept(model, task)
    assert [row.ld_clean for row in prompts] == pytest.approx(clean)
    assert len(effects) == 5 * len(task.keys)
    assert {row.component for row in effects} == {"1.0", "1.1", "1.2", "1.3", "1.mlp"}
    assert [row.ld_ablated for row in effects] == pytest.approx(
        ablated[5:].flatten().tolist(), rel=1e-4
    )
    assert sum(told) == 6 * len(task.keys)
