"""Tau of 4 seeds, against one full model call a prompt.

Ours is `measure.structural.tau_of` a seed: batches, and the decoder alone, so that the head is
never computed (here it raises). The naive way calls the whole model on one prompt at a time with
`output_hidden_states=True` and takes both sites by hooks. Taus must be equal to 1e-5.
"""

import numpy as np
import torch

from measure import prompts, structural
from measure.models import CausalLM
from measure.prompts import Prompt
from tests.benchmarks.both_ways import Timed, load, model_argument, say

TOLERANCE = 1e-5
WANTED_SMALL, WANTED = 3, 2  # of an organism, of a model of 100 M parameters and more
BATCH_SIZE = 20


def naive_tau(model: CausalLM, prompt: Prompt) -> list[float]:
    """Tau at A and B of one prompt, by the whole model."""
    caught: list[torch.Tensor] = []
    hook = model.final_norm.register_forward_hook(
        lambda _, args, out: caught.extend([args[0], out])
    )
    ids = torch.tensor([model.encode(prompt.text)])
    with torch.inference_mode():
        model.model(ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
    hook.remove()
    sites = [states[0, 1:].double().numpy() for states in caught]
    return [
        float(np.linalg.norm(states.sum(0)) / np.linalg.norm(states, axis=1).sum())
        for states in sites
    ]


def our_tau(model: CausalLM, drawn: list[Prompt]) -> list[list[float]]:
    """Tau at A and B of each prompt, in the prompts' order."""

    def refuse(*_: object) -> None:
        raise AssertionError("tau computed the head")

    hook = model.model.get_output_embeddings().register_forward_hook(refuse)
    rows = [(prompt.prompt_id, model.encode(prompt.text)) for prompt in drawn]
    found = structural.tau_of(model, structural.by_length(rows), BATCH_SIZE, lambda _: None)
    hook.remove()
    return [list(found[prompt.prompt_id]) for prompt in drawn]


def main() -> None:
    """Time both ways, one seed at a time."""
    model = load(model_argument(__doc__))
    bank = prompts.load("bank512")
    naive_tau(model, bank.prompts[0])
    our_tau(model, list(bank.prompts[:1]))
    timed, off, n_prompts = Timed(), 0.0, 0
    for seed in structural.DEFAULT_SEEDS:
        drawn = structural.draw(bank, seed)
        ours, naive = timed.take(
            lambda drawn=drawn: our_tau(model, drawn),
            lambda drawn=drawn: [naive_tau(model, prompt) for prompt in drawn],
        )
        off = max(off, float(np.abs(np.array(ours) - np.array(naive)).max()))
        n_prompts += len(drawn)
    wanted = WANTED if model.card.n_params > 100_000_000 else WANTED_SMALL
    say(timed.text(f"tau, {n_prompts} prompts", wanted))
    say(f"the taus differ by {off:.1e}; the head was never computed by ours")
    assert off < TOLERANCE, "the two ways do not agree"


if __name__ == "__main__":
    main()
