"""What a run is said to cost."""

import pytest

from flows import estimating
from flows.choice import Choice
from flows.targets import Target
from measure import sources


def test_prompts_and_weights_are_counted(model_folder, monkeypatch):
    """A model by itself, then with a base: that model's prompts, forced prompts, and the pair."""
    monkeypatch.setattr(estimating, "matmul_flops_per_s", lambda device: 1e12)
    model, base = str(model_folder("llama", 1)), str(model_folder("llama"))
    choice = Choice(device="cpu")
    alone = estimating.of([Target(model=model)], choice)
    # tau: 4 seeds of 32 prompts, each twice; 40 templates; 32 curvatures.
    assert alone.n_prompts == 4 * 32 * 2 + 40 + 32
    pair = estimating.of([Target(model=model, base=base)], choice)
    assert (pair.n_models, pair.n_prompts) == (2, 2 * alone.n_prompts + 2 * 40)
    bases = estimating.of([Target(model=model), Target(model=base)], choice)
    n_params = sources.size_of(model).n_params
    tokens = 2 * 40 * estimating.TOKENS_PER_PASS["template"]
    expected = n_params * estimating.LINEAGE_S_PER_PARAM + tokens * 2 * n_params / (0.25 * 1e12)
    assert pair.seconds - bases.seconds == pytest.approx(expected, rel=1e-6)
