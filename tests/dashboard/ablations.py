"""Ablated models whose numbers can be worked out by hand, as `cicatrix circuits` writes them.

A teacher of two layers and two heads, a student of one layer, four prompts. On 'numerals' both do
the task: losing 1.mlp costs the teacher 4 of 4 logits, losing 0.mlp the student 4 of 4. On 'words'
the student cannot do it. A model of other tokens has no partner.
"""

import json
from typing import Any

from warehouse.lake import Lake

TEACHER, STUDENT, ALONE = "teacher", "student", "alone"
HOSTILE = "<script>alert('1')</script> **bold** $x$"
# Effects in logits, of a logit difference of 4; 0.1 of the teacher harms.
EFFECTS = {
    TEACHER: {"0.0": 1.0, "0.1": -0.5, "0.mlp": 0.0, "1.0": 2.0, "1.1": 0.0, "1.mlp": 4.0},
    STUDENT: {"0.0": 2.0, "0.1": 0.0, "0.mlp": 4.0},
}
CANNOT = "the mean logit difference is 0.1, below 0.5"
N_PROMPTS = 4


def add_ablations(lake: Lake) -> None:
    """Two pairs on two tasks, the second refused, and a model without a student."""
    add_models(lake)
    for task in ("numerals", "words"):
        for model in (TEACHER, STUDENT):
            add_model(lake, model, task, can=(model, task) != (STUDENT, "words"))
        add_pair(lake, task, is_aligned=task == "numerals")
    add_model(lake, ALONE, "numerals", sha="other", like=STUDENT)


def add_models(lake: Lake) -> None:
    """The cards of all three."""
    for name, n_params in ((TEACHER, 2000), (STUDENT, 1000), (ALONE, 1000)):
        lake.add_models([_model(name, n_params)])


def add_model(
    lake: Lake,
    model: str,
    task: str,
    *,
    can: bool = True,
    sha: str | None = None,
    like: str | None = None,
) -> None:
    """One model on a task: ablations, what they say, and a circuit at two budgets."""
    effects, sha = EFFECTS[like or model], sha or f"sha-{task}"
    prompts = [
        {
            "prompt_id": f"p{i}", "clean": f"One two {i} {HOSTILE}", "corrupted": f"Six nine {i}",
            "answer": " 3", "foil": " 2", "n_tokens": 4, "ld_clean": 4.0,
        }
        for i in range(N_PROMPTS)
    ]  # fmt: skip
    ablated = [
        {
            "prompt_id": f"p{i}", "component": name, **_place(name),
            # Over the prompts the effect is -3/2, -1/2, 1/2, 3/2 off its mean.
            "ld_ablated": 4.0 - effect - (i - 1.5),
        }
        for name, effect in effects.items()
        for i in range(N_PROMPTS)
    ]  # fmt: skip
    plan(lake, f"a-{model}-{task}", "ablation", task, sha, {"model": model}, {})
    records = {"task_prompt": prompts, "ablation_effect": ablated}
    lake.append_unit(f"a-{model}-{task}", "all", records, 1.0)
    plan(
        lake, f"c-{model}-{task}", "component", task, sha, {"model": model},
        {"model": f"a-{model}-{task}"},
    )  # fmt: skip
    lake.append_unit(f"c-{model}-{task}", "all", _effects(effects, can=can), 1.0)
    plan(lake, f"k-{model}-{task}", "circuit", task, sha, {"model": model}, {})
    lake.append_unit(f"k-{model}-{task}", "all", _circuits(effects), 1.0)


def add_pair(lake: Lake, task: str, *, is_aligned: bool, sha: str | None = None) -> None:
    """The student beside its teacher; not aligned: with the reason."""
    name = f"p-{task}"
    inputs = {role: f"a-{role}-{task}" for role in (TEACHER, STUDENT)}
    models = {role: role for role in (TEACHER, STUDENT)}
    plan(lake, name, "alignment", task, sha or f"sha-{task}", models, inputs)
    variants = [("ours", n, m) for n in ("max", "l1", "l2") for m in MATCHES]
    rows = [_alignment(*variant, is_aligned=is_aligned) for variant in variants]
    rows.append(_alignment("paper_code", "l1", "greedy", is_aligned=is_aligned))
    records = {
        "alignment": rows,
        "component_match": [
            _match(matching, *pair) for matching, pairs in MATCHES.items() for pair in pairs
        ]
        if is_aligned
        else [],
        "brittleness_difference": [_difference(is_paper, is_aligned) for is_paper in (False, True)],
    }
    lake.append_unit(name, "all", records, 1.0)


MATCHES = {  # teacher's, student's, similarity, weight
    "greedy": [("0.0", "0.0", 0.9, 1.0), ("1.0", "0.0", 0.8, 1.0), ("1.mlp", "0.mlp", 0.5, 1.0)],
    "hungarian": [("1.0", "0.0", 0.8, 1.0), ("1.mlp", "0.mlp", 0.5, 1.0)],
    "soft": [("0.mlp", "0.mlp", 0.25, 1.0), ("1.mlp", "0.mlp", 0.5, 1.0)],
}


def _place(component: str) -> dict[str, int | None]:
    layer, part = component.split(".")
    return {"layer": int(layer), "head": None if part == "mlp" else int(part)}


def _influence(effects: dict[str, float], component: str) -> float:
    return max(effects[component], 0.0) / max(effects.values())


def _effects(effects: dict[str, float], *, can: bool) -> dict[str, list[dict[str, Any]]]:
    reason = None if can else CANNOT

    def known(value: float) -> float | None:
        return value if can else None

    total = sum(max(effect, 0) for effect in effects.values())
    components = [
        {
            "component": name, "kind": "mlp" if name.endswith("mlp") else "head",
            "n_prompts": N_PROMPTS, "mean_ld_clean": 4.0, "mean_ld_ablated": 4.0 - effect,
            "effect": effect, "ci_low_effect": effect - 0.25, "ci_high_effect": effect + 0.25,
            "influence_raw": max(effect, 0.0), "retained_pct": known(100 - 25 * effect),
            "delta_p_pct": known(-25 * effect), "drop_pct": known(max(25 * effect, 0)),
            "ci_low_drop_pct": known(max(25 * effect - 6.25, 0)),
            "ci_high_drop_pct": known(min(max(25 * effect + 6.25, 0), 100)),
            "influence_max": known(_influence(effects, name)),
            "influence_l1": known(max(effect, 0) / total),
            "influence_l2": known(max(effect, 0) / total), "reason": reason,
        }
        for name, effect in effects.items()
    ]  # fmt: skip
    mean = 25 * total / len(effects)
    drops = ("top5_drop_pct", "gini_drop", "tail_score", "share_over_10_pct", "share_over_20_pct")
    brittleness = {
        "n_components": len(effects), "n_prompts": N_PROMPTS, "mean_drop_pct": known(mean),
        "ci_low_mean_drop_pct": known(mean - 10), "ci_high_mean_drop_pct": known(mean + 10),
        "prompt_ci_low_mean_drop_pct": known(mean - 2),
        "prompt_ci_high_mean_drop_pct": known(mean + 2), "floor_mean_drop_pct": known(1.5),
        **{
            column: known(value)
            for name in drops
            for value in [60.0 if name == "top5_drop_pct" else 0.5]
            for column in (name, f"ci_low_{name}", f"ci_high_{name}")
        },
        "reason": reason,
    }  # fmt: skip
    baseline = {
        "n_prompts": N_PROMPTS, "mean_ld": 4.0 if can else 0.1,
        "ci_low_mean_ld": 3.5 if can else -1.0,
        "ci_high_mean_ld": 4.5 if can else 1.2, "answer_share": 1.0 if can else 0.5,
        "reason": reason,
    }  # fmt: skip
    return {"component": components, "task_baseline": [baseline], "brittleness": [brittleness]}


def _circuits(effects: dict[str, float]) -> dict[str, list[dict[str, Any]]]:
    """At 10 % all that helps; at 20 % without the weakest of these where there are three."""
    helping = sorted((name for name in effects if effects[name] > 0), key=lambda n: -effects[n])
    budgets = {0.1: helping, 0.2: helping[:2]}
    n_heads = sum(not name.endswith("mlp") for name in effects)
    sizes = [
        {
            "budget": budget, "n_heads": sum(not name.endswith("mlp") for name in kept),
            "n_mlps": sum(name.endswith("mlp") for name in kept), "n_all_heads": n_heads,
            "n_all_mlps": len(effects) - n_heads, "n_prompts": N_PROMPTS, "n_sweeps": 2,
            "completeness_pct": 100 * (1 - budget) + 2, "ci_low_completeness_pct": 80.0,
            "ci_high_completeness_pct": 95.0, "necessity_pct": -4.0,
            "ci_low_necessity_pct": -6.0, "ci_high_necessity_pct": -2.0,
        }
        for budget, kept in budgets.items()
    ]  # fmt: skip
    nodes = [
        {
            "budget": budget, "component": name, **_place(name),
            "delta_p_in_circuit": -30 * effects[name],
        }
        for budget, kept in budgets.items()
        for name in kept
    ]  # fmt: skip
    return {"circuit_size": sizes, "circuit_node": nodes}


def _alignment(mode: str, norm: str, matching: str, *, is_aligned: bool) -> dict[str, Any]:
    def known(value: float) -> float | None:
        return value if is_aligned else None

    is_ours = mode == "ours"
    return {
        "mode": mode, "normalisation": norm, "matching": matching, "n_prompts": N_PROMPTS,
        "n_components_teacher": 6, "n_components_student": 3,
        "n_pairs": len(MATCHES[matching]) if is_aligned else None, "alignment": known(0.75),
        "ci_low_alignment": known(0.7), "ci_high_alignment": known(0.8),
        "mean_similarity": known(0.875), "ci_low_mean_similarity": known(0.85),
        "ci_high_mean_similarity": known(0.9), "mean_abs_delta_influence": known(0.125),
        "ci_low_mean_abs_delta_influence": known(0.1),
        "ci_high_mean_abs_delta_influence": known(0.15), "null_alignment": known(0.5),
        "null_low": known(0.4), "null_high": known(0.6), "null_p": known(0.001),
        "gain": known(0.25), "ci_low_gain": known(0.2) if is_ours else None,
        "ci_high_gain": known(0.3) if is_ours else None, "chance_similarity_heads": known(0.7),
        "chance_similarity_mlps": known(0.0625) if is_ours else None,
        "chance_similarity_mlps_reordered": None,
        "mlp_method": "eigenvectors" if is_aligned else None,
        "mlp_reason": "the student was initialised from the teacher" if is_aligned else None,
        "reason": None if is_aligned else f"student: {CANNOT}",
    }  # fmt: skip


def _match(
    matching: str, teacher: str, student: str, alike: float, weight: float
) -> dict[str, Any]:
    theirs, ours = _influence(EFFECTS[TEACHER], teacher), _influence(EFFECTS[STUDENT], student)
    return {
        "mode": "ours", "matching": matching,
        "kind": "mlp" if teacher.endswith("mlp") else "head", "component_teacher": teacher,
        "component_student": student, "similarity": alike, "similarity_reordered": None,
        "weight": weight,
        "influence_teacher": theirs, "influence_student": ours,
        "abs_delta_influence": abs(theirs - ours), "resample_share": 1.0,
    }  # fmt: skip


def _difference(is_paper: bool, is_known: bool) -> dict[str, Any]:  # noqa: FBT001
    def known(value: float) -> float | None:
        return value if is_known else None

    return {
        "against": "teacher", "is_paper_mode": is_paper, "n_components_student": 3,
        "n_components_other": 6, "n_prompts": N_PROMPTS, "difference_pct": known(20.0),
        "ci_low_difference_pct": known(5.0), "ci_high_difference_pct": known(35.0),
        "prompt_ci_low_difference_pct": known(18.0), "prompt_ci_high_difference_pct": known(22.0),
        "compression": 0.5, "beta": known(40.0), "ci_low_beta": known(10.0),
        "ci_high_beta": known(70.0), "per_tenth": known(4.0), "ci_low_per_tenth": known(1.0),
        "ci_high_per_tenth": known(7.0), "reason": None if is_known else f"student: {CANNOT}",
    }  # fmt: skip


def _model(name: str, n_params: int) -> dict[str, Any]:
    return {
        "model_id": name, "label": f"{name}-label", "source": "zoo", "family": "llama",
        "architecture": None, "model_type": None, "n_params": n_params, "n_layers": 2,
        "hidden_size": 16, "vocab_size": 64, "weight_dtype": None, "tokenizer_sha256": None,
    }  # fmt: skip


def plan(
    lake: Lake,
    name: str,
    method: str,
    task: str,
    sha: str,
    models: dict[str, str],
    inputs: dict[str, str],
) -> None:
    """Plan a measurement of one unit."""
    lake.plan(
        {
            "measurement_id": name, "method": method, "method_version": 1, "prompt_set": task,
            "prompt_set_sha256": sha, "seeds": [], "dtype": "float32", "backend": "transformers",
            "device_kind": "cpu", "replicate": 0, "options": json.dumps({"inputs": inputs}),
            "text_sha256": None, "n_units": 1, "batch_size": 8, "code_version": "0",
            "library_versions": "{}",
        },
        models,
    )  # fmt: skip
