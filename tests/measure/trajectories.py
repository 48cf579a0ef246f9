"""Trajectories by hand, and drawn ones whose relation of violations and errors is planted."""

import numpy as np

from measure.stability import CELLS
from measure.stability_records import TrajectoryStability


def trajectory(
    story="s0", horizon="short", condition="clean", sample=0, *,
    is_correct=True, v=(0, 0), f=(0, 0), answer="2", load=1.0,
):  # fmt: skip
    """One whose steps violate (`v`) and arrive outside (`f`) as given, 0 or 1 a step."""
    has_rates = v is not None
    n = len(v) if has_rates else 0
    both = sum(a and b for a, b in zip(v, f, strict=True)) if has_rates and f is not None else None
    return TrajectoryStability(
        problem_id=f"{story} {horizon} {condition}",
        sample=sample,
        story=story,
        horizon=horizon,
        condition=condition,
        is_correct=is_correct,
        answer=answer,
        n_states=n + 1 if has_rates else 1,
        mean_b=load / n if has_rates else None,
        path_load=load if has_rates else None,
        n_violations=sum(v) if has_rates else None,
        n_outside=sum(f) if has_rates and f is not None else None,
        n_both=both,
        v_rate=sum(v) / n if has_rates else None,
        f_rate=sum(f) / n if has_rates and f is not None else None,
        reason=None if has_rates else "1 sentence, 3 are needed",
    )


def drawn(
    seed, *, n_stories=60, n_samples=4, n_steps=6, accuracy=0.8, long_accuracy=None,
    perturbed_loss=0.0, v_right=0.05, v_wrong=0.05, f=0.02, load=1.0,
):  # fmt: skip
    """Independent trajectories: each step violates with a chance that the answer may decide."""
    rng = np.random.default_rng(seed)
    made = []
    for story in range(n_stories):
        for horizon, condition in CELLS:
            n = n_steps * (1 if horizon == "short" else 2)
            chance = accuracy if horizon == "short" or long_accuracy is None else long_accuracy
            chance -= perturbed_loss * (condition == "perturbed")
            for sample in range(n_samples):
                is_correct = bool(rng.random() < chance)
                violates = rng.random(n) < (v_right if is_correct else v_wrong)
                outside = rng.random(n) < f
                made.append(
                    trajectory(
                        f"s{story:03d}", horizon, condition, sample, is_correct=is_correct,
                        v=violates.astype(int).tolist(), f=outside.astype(int).tolist(),
                        answer="right" if is_correct else str(rng.integers(9)),
                        load=load * (n + 1) * rng.uniform(0.9, 1.1),
                    )
                )  # fmt: skip
    return made
