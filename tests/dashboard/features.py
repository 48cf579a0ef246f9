"""A small lake of latents in use and of word geometry, by numbers that can be worked out."""

import json

from tests.warehouse import crosscoder_rows as rows
from tests.warehouse.making import measurement, model
from warehouse.lake import Lake


def interval(name: str, value: float | None) -> dict[str, object]:
    """A number that is its own interval."""
    return {f"{end}{name}": value for end in ("", "ci_low_", "ci_high_")}


def effect(pair: int, d_logit: float, **over: object):
    return {
        "filter_order": "nrn-first", "top_percent": 5.0, "feature_set": "ablated", "draw": 0,
        "side": "distilled", "pair": pair, "category": "deductive", "text_id": "000001",
        "target_id": 7, "logit_clean": 1.0, "logit_ablated": 1.0 + d_logit, "d_logit": d_logit,
        "n_features": 2, "norm_removed": 0.5, **over,
    }  # fmt: skip


def ablation(category: str = "deductive", **over: object):
    return {
        "filter_order": "nrn-first", "top_percent": 5.0, "category": category, "n_pairs": 40,
        "n_features": 2, "n_draws": 5, **interval("d_distilled", -1.0), **interval("d_base", -0.1),
        **interval("d_control", 0.0), **interval("per_norm_distilled", -2.0),
        **interval("per_norm_base", -0.25), "per_norm_control": 0.0, "fire_freq": 0.25,
        "fire_freq_control": 1 / 3, "label": "distilled-causal", "reasons": "why", **over,
    }  # fmt: skip


def steered(amplitude: float, text: str, **over: object):
    return {
        "direction": "latent 17", "latent": 17, "category": "deductive", "amplitude": amplitude,
        "problem_id": "p000", "sample": 0, "problem": "5 + 2?", "text": text, "finish": "stop",
        "n_tokens": 5, "n_think_tokens": 4, "is_closed": True, "n_triggers": 1, "answer": "7",
        "is_correct": True, "repetition": 0.0, **over,
    }  # fmt: skip


def outcome(amplitude: float, ratio: float, label: str = "neither", **over: object):
    return {
        "direction": "latent 17", "latent": 17, "category": "deductive", "amplitude": amplitude,
        "n_problems": 40, "n_rollouts": 40, "n_closed": 40, "length": 10.0 * ratio,
        **interval("length_ratio", ratio), **interval("triggers_per_100", 2.5),
        **interval("accuracy", 0.5), **interval("d_accuracy", 0.0), **interval("repetition", 0.0),
        "label": label, "reasons": "why", **over,
    }  # fmt: skip


def geometry(side: str, area: float | None = 0.75, relation: str = "plural", **over: object):
    known = area is not None
    curve = [min(1.0, step / 20) for step in range(41)] if known else None
    return {
        "side": side, "relation": relation, "n_axes": 20, "n_pairs": 30, "n_words": 60,
        "n_couples": 435, "mean_loss": 1.0 if known else None,
        **interval("median_loss", 1.0 if known else None), **interval("area", area),
        **dict.fromkeys(
            ("null_mean_loss", "null_median_loss", "null_low_median_loss", "null_high_median_loss"),
            4.0 if known else None,
        ),
        **dict.fromkeys(
            ("null_area", "null_low_area", "null_high_area"), 0.25 if known else None
        ),
        "is_structured": area > 0.25 if area is not None else None, "cdf": curve,
        "null_cdf": [0.0] * 41 if known else None, "reason": None if known else "why", **over,
    }  # fmt: skip


def change(d_area: float, relation: str = "plural", **over: object):
    label = "more structured" if d_area > 0 else "less structured" if d_area < 0 else None
    return {
        "relation": relation, "n_axes": 20, "n_pairs": 30, **interval("d_median_loss", -d_area),
        **interval("d_area", d_area), "change": label or "no difference", **over,
    }  # fmt: skip


PAIR = {"base": "b", "distilled": "d"}
SECOND_BEST = "<b>So</b> 7"  # a model's text is no markup


def add_features(lake: Lake) -> None:
    """One pair: ablated at 5 and 20 %, steered at 0 and 0.4, one relation and one unknown."""
    lake.add_models([model("b"), model("d")])
    coder = {
        "crosscoder_step": [rows.step(0), rows.step(1)],
        "crosscoder_summary": [rows.summary(2, 0.0)],
        "latent": [rows.latent(0), rows.latent(1, 1.0, 19.0)],
    }
    add(lake, "x", "crosscoder", coder)
    verdicts = [
        ablation(),
        ablation(top_percent=20.0, n_features=8, label="not distilled-causal"),
        ablation(filter_order="firing-first"),
    ]
    add(lake, "a", "feature_ablation", {"feature_ablation_verdict": verdicts})
    random = {"direction": "random 0", "latent": None}
    tables = {
        "steering": [
            one
            for over in ({}, random)
            for one in (steered(0.0, "before", **over), steered(0.4, SECOND_BEST, **over))
        ],
        "steering_verdict": [
            one
            for over in ({}, random)
            for one in (outcome(0.0, 1.0, **over), outcome(0.4, 1.5, "over-thinking", **over))
        ],
    }
    add(lake, "s", "steering", tables)
    tables = {
        "parallelogram": [
            geometry("base", 0.5), geometry("distilled", 0.75),
            geometry("base", None, "rare"), geometry("distilled", 0.75, "rare"),
        ],
        "parallelogram_difference": [change(0.25)],
    }  # fmt: skip
    add(lake, "g", "parallelogram", tables)


def add(lake: Lake, name: str, method: str, tables: dict[str, list[dict[str, object]]]) -> None:
    settings = {"sparsity": "batchtopk", "k": 8, "n_steps": 2}
    options = json.dumps({"inputs": {"crosscoder": "x"}, "settings": settings})
    lake.plan(measurement(name, method, 1, options=options), PAIR)
    lake.append_unit(name, "all", tables, 1.0)
