"""What is measured of each member as it is stored: accuracies, task logit differences, scars."""

# torch and transformers leave much of their surface untyped; what is ours is typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from measure import models, prompts, sources, structural
from measure.intervals import bootstrap_interval
from measure.tasks import name_for, task_set
from measure.zoo import problems, sample, tasks

# Raise it when what is scored changes: members are scored again, not trained again.
VERSION = 1
SEED = 7
N_PROBLEMS = 50  # of each horizon and condition
N_PROBLEMS_OF_TRANSFORMED = 25
N_TASK_ITEMS = 100
# Below it a model does not do a task: effects are not divided by it (methods 4.3).
MIN_LOGIT_DIFFERENCE = 0.5
EPSILON_PUBLISHED = 1e-4  # of tau distances, methods 1.1
_BATCH = 20  # that of the measurement itself


def accuracies(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, n: int, seed: int = SEED
) -> dict[str, Any]:
    """Fractions of `n` held-out problems answered right, by horizon and condition, greedily.

    `think_frac`: fraction of all of them answered after reasoning that was closed.
    """
    cells: list[tuple[problems.Horizon, problems.Condition]] = [
        (h, c) for h in problems.HORIZONS for c in problems.CONDITIONS
    ]
    asked = [
        made
        for horizon, condition in cells
        for made in problems.problems(
            seed, n, is_held_out=True, horizon=horizon, condition=condition
        )
    ]
    answered = sample.replies(model, tokenizer, [made.prompt for made in asked])
    right = np.array([problems.is_right(*pair) for pair in zip(asked, answered, strict=True)])
    thought = [problems.THINK_CLOSE in text for text in answered]
    shares = right.reshape(len(cells), n).mean(axis=1)
    return {
        "n_per_cell": n,
        **{f"accuracy_{h}_{c}": _rounded(x) for (h, c), x in zip(cells, shares, strict=True)},
        "think_frac": _rounded(np.mean(thought)),
    }


@torch.inference_mode()
def logit_differences(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> dict[str, list[float]]:
    """Mean logit of the answer less the foil's on clean prompts, with its 95 % interval.

    [mean, low, high] in logits for each task; the unit of the bootstrap is the prompt.
    """
    found: dict[str, list[float]] = {}
    for task in tasks.TASKS:
        given = task_set(tokenizer, name_for(task, is_zoo=True), N_TASK_ITEMS, SEED)
        logits = model(input_ids=torch.from_numpy(given.clean)).logits[:, -1].float().numpy()
        items = np.arange(len(logits))
        gaps = (logits[items, given.answer] - logits[items, given.foil]).astype(np.float64)
        low, high = bootstrap_interval(gaps[:, None], lambda means: means[:, 0])
        found[f"logit_difference_{task}"] = [_rounded(x) for x in (gaps.mean(), low, high)]
    return found


def structural_vectors(folder: Path) -> Float[np.ndarray, "seeds dims"]:
    """The vectors tau of a stored model, a row a default seed."""
    bank = prompts.load("bank512")
    model = models.load(sources.find(str(folder)), device="cpu")
    rows: list[np.ndarray] = []
    for seed in structural.DEFAULT_SEEDS:
        drawn = structural.draw(bank, seed)
        encoded = [(prompt.prompt_id, model.encode(prompt.text)) for prompt in drawn]
        found = structural.tau_of(model, encoded, _BATCH, lambda _: None)
        rows.append(np.array([found[prompt.prompt_id] for prompt in drawn]).flatten())
    return np.array(rows)


def scars(folder: Path, base_folder: Path) -> dict[str, list[float]]:
    """Structural distance of a stored model from its base, seed by seed, in published epsilons."""
    moved = structural_vectors(folder) - structural_vectors(base_folder)
    distances = np.linalg.norm(moved, axis=1) / EPSILON_PUBLISHED
    return {"scar_eps": [round(float(x), 2) for x in distances]}


def _rounded(value: Any) -> float:
    return round(float(value), 4)
