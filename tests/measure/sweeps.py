"""Ablation sweeps whose effects are known, and the public figures of real ones."""

import csv
from pathlib import Path

import numpy as np

from measure.influence import Sweep, drop_pct

DATA = Path(__file__).parent / "data"


def sweep(clean, ablated, is_head=None):
    """Of rows of logit differences; without `is_head` the last component alone is an MLP."""
    ablated = np.array(ablated, dtype=np.float64)
    n = len(ablated)
    is_head = np.arange(n) < n - 1 if is_head is None else np.array(is_head)
    names = [f"L00.H{i:02}" if head else f"L{i:02}.mlp" for i, head in enumerate(is_head)]
    return Sweep(names, is_head, np.array(clean, dtype=np.float64), ablated)


def additive(n_layers, n_heads, n_prompts, seed, clean=6.0, noise=1.0):
    """Every component takes its own share of the logit difference; prompts differ by noise."""
    rng = np.random.default_rng(seed)
    is_head = np.tile(np.arange(n_heads + 1) < n_heads, n_layers)
    names = [
        f"L{layer:02}.H{head:02}" if head < n_heads else f"L{layer:02}.mlp"
        for layer in range(n_layers)
        for head in range(n_heads + 1)
    ]
    effect = rng.exponential(0.3, len(names))
    ld_clean = clean + noise * rng.normal(size=n_prompts)
    ld_ablated = ld_clean - effect[:, None] + 0.2 * noise * rng.normal(size=(len(names), n_prompts))
    return Sweep(names, is_head, ld_clean, ld_ablated)


def published_drops():
    """Drops in % of GPT2 and DistilGPT2 on numerals: heads row by row, then MLPs.

    Haskins & Adams, public notebooks gpt2small_seq and distilledgpt2_seq at dca9f8a.
    """
    rows = _rows("gpt2_numerals_retained.csv")
    return {
        model: drop_pct(np.array([float(r["retained_pct"]) for r in rows if r["model"] == model]))
        for model in ("gpt2", "distilgpt2")
    }


def published_bert_drops():
    """Drops in % of BERT and DistilBERT on numerals, as listed in compute_robustness.py.

    Haskins & Adams, public code; the file leaves out the components that drop 0.
    """
    rows = _rows("bert_numerals_drop.csv")
    found = {}
    for model, n_layers in (("bert", 12), ("distilbert", 6)):
        own = {
            (r["type"], int(r["layer"]), int(r["head"] or 0)): float(r["drop_pct"])
            for r in rows
            if r["model"] == model
        }
        places = [("head", layer, head) for layer in range(n_layers) for head in range(12)]
        places += [("mlp", layer, 0) for layer in range(n_layers)]
        found[model] = np.array([own.get(place, 0.0) for place in places])
    return found


def published_pairs():
    """Type, change in % of either model, and similarity of the 78 pairs of GPT2 and DistilGPT2.

    Haskins & Adams, seq_alignment_metric.ipynb, as it prints them.
    """
    rows = _rows("gpt2_numerals_pairs.csv")
    names = ("change_student_pct", "change_teacher_pct", "similarity")
    return np.array([r["type"] == "head" for r in rows]), *(
        np.array([float(r[name]) for r in rows]) for name in names
    )


def _rows(name):
    with (DATA / name).open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
