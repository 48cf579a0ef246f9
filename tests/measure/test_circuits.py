import numpy as np
import pytest
import torch

from measure import circuits, models, sources
from measure.components import Blocks, Component
from tests.measure.tasksets import ablated_together, answered, gaps
from tests.measure.test_ablation import swept


def loaded(folder):
    return models.load(sources.find(str(folder)), device="cpu")


def nothing(_):
    pass


def greedy(model, task, budget):
    """Methods 4.4 word by word, every step a whole pass."""
    blocks = Blocks(model, torch.from_numpy(task.clean))
    clean, n_heads = gaps(model, task.clean, task).mean(), blocks.n_heads(0)
    last_to_first = [
        Component(layer, head)
        for layer in reversed(range(blocks.n_layers))
        for head in (None, *range(n_heads))
    ]
    removed, first_sweep = set(), True
    orders = [last_to_first, list(blocks.components)]
    while True:
        before = len(removed)
        for candidate in orders[0]:
            if candidate not in removed:
                left = ablated_together(model, task, removed | {candidate}).mean() / clean
                if 1 - left < budget:
                    removed.add(candidate)
        if len(removed) == before and not first_sweep:
            return set(blocks.components) - removed
        first_sweep = False
        orders.reverse()


@pytest.mark.parametrize(
    ("architecture", "budget"), [("llama", 0.1), ("llama", 0.4), ("gpt2", 0.2), ("qwen2", 0.2)]
)
def test_extraction_is_the_greedy_of_the_methods(model_folder, architecture, budget):
    model = loaded(model_folder(architecture))
    task = answered(model)
    found = circuits.Extraction(model, task).circuit(budget, nothing)
    assert found.components == greedy(model, task, budget)
    assert 0 < len(found.nodes) < 10


def test_what_is_retained_is_what_whole_passes_give(model_folder):
    model = loaded(model_folder())
    task = answered(model)
    found = circuits.Extraction(model, task, rows=4).circuit(0.3, nothing)
    everything = set(Blocks(model, torch.from_numpy(task.clean)).components)
    clean = gaps(model, task.clean, task).mean()

    def pct(removed):
        return 100 * ablated_together(model, task, removed).mean() / clean

    rest = everything - found.components
    assert found.completeness.pct == pytest.approx(pct(rest), abs=0.05)
    assert found.necessity.pct == pytest.approx(pct(found.components), abs=0.05)
    assert found.completeness.pct > 70  # the budget bounds the whole loss
    assert found.completeness.low <= found.completeness.pct <= found.completeness.high
    for node in found.nodes:
        expected = pct(rest | {node.component}) - pct(rest)
        assert node.delta_p_in_circuit == pytest.approx(expected, abs=0.1)


def test_one_component_ablated_is_the_sweeps(model_folder):
    model = loaded(model_folder())
    task = answered(model)
    extraction = circuits.Extraction(model, task)
    _, ablated = swept(model, task)
    for component, row in zip(extraction.all_components, ablated, strict=True):
        np.testing.assert_allclose(extraction.differences({component}), row, rtol=1e-3, atol=1e-3)


def test_a_budget_beyond_everything_leaves_nothing(model_folder):
    model = loaded(model_folder())
    found = circuits.Extraction(model, answered(model)).circuit(1000, nothing)
    assert found.nodes == ()
    assert found.necessity.pct == pytest.approx(100)  # nothing of it was taken out
