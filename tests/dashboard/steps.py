"""A lake with a teacher held against two students, in numbers that can be worked out."""

import json
from typing import Any

from warehouse.lake import Lake

HOSTILE = "<script>alert('1')</script> **bold** $x$ [a](javascript:alert(1)) 漢\n"
TEXT = f" <think> One. {HOSTILE}Three. Four! </think> 2"
STARTS = [0, TEXT.index(HOSTILE), TEXT.index("Three."), TEXT.index("Four!")]
ENDS = [*STARTS[1:], TEXT.index("</think>")]
NUMBERS = (
    # b, limit, load, distance, radius: a violation, a step outside, and both
    (0.75, 0.5, 0.75, 1.0, 2.0),
    (0.25, 0.5, 1.0, 3.0, 2.0),
    (1.5, 0.5, 2.5, 4.0, 1.5),
)


def add_steps(lake: Lake) -> None:
    """Teacher "t"; "good" is a counter-example, "loose" asymmetric, "mute" has no steps."""
    roles = {"teacher": "t", "student": "good", "student-2": "loose", "student-3": "mute"}
    lake.add_models([_model(name) for name in roles.values()])
    inputs: dict[str, str] = {}
    for role, name in roles.items():
        _plan(lake, f"r-{name}", "rollout", {"model": name})
        kept = [_rollout(p, s) for p in ("p1 short clean", "p1 long perturbed") for s in (0, 1)]
        lake.append_unit(f"r-{name}", "all", {"rollout": kept}, 1.0)
        inputs[role] = f"b-{name}"
        given = {"region": f"l-{name}", "limits": "l-t", "rollouts": f"r-{name}"}
        _plan(lake, f"b-{name}", "step_burden", {"model": name, "teacher": "t"}, given)
        lake.append_unit(f"b-{name}", "all", _read(kept, has_steps=name != "mute"), 1.0)
    _plan(lake, "s", "stability", roles, inputs)
    lake.append_unit("s", "all", _conclusion(list(roles)), 1.0)


def _model(name: str) -> dict[str, Any]:
    return {
        "model_id": name, "label": name.upper(), "source": "zoo", "family": "llama",
        "architecture": None, "model_type": None, "n_params": 1000, "n_layers": 2,
        "hidden_size": 16, "vocab_size": 64, "weight_dtype": None, "tokenizer_sha256": None,
    }  # fmt: skip


def _plan(
    lake: Lake,
    name: str,
    method: str,
    models: dict[str, str],
    inputs: dict[str, str] | None = None,
) -> None:
    lake.plan(
        {
            "measurement_id": name, "method": method, "method_version": 1,
            "prompt_set": "stories test", "prompt_set_sha256": "7e57", "seeds": [],
            "dtype": "float32", "backend": "transformers", "device_kind": "cpu", "replicate": 0,
            "options": json.dumps({"inputs": inputs or {}, "epsilon_k": 0.05}),
            "text_sha256": None, "n_units": 1, "batch_size": 8, "code_version": "0",
            "library_versions": "{}",
        },
        models,
    )  # fmt: skip


def _rollout(problem_id: str, sample: int) -> dict[str, Any]:
    return {
        "problem_id": problem_id, "sample": sample, "category": problem_id[3:],
        "problem": f"What is 1 + 1?\n{HOSTILE}", "gold": "2", "text": TEXT, "n_tokens": 9,
        "finish": "stop", "answer": "2", "is_correct": sample == 0, "reason": None,
    }  # fmt: skip


def _read(kept: list[dict[str, Any]], *, has_steps: bool) -> dict[str, list[dict[str, Any]]]:
    steps: list[dict[str, Any]] = []
    wholes: list[dict[str, Any]] = []
    for one in kept:
        story, horizon, condition = one["problem_id"].split()
        key = {"problem_id": one["problem_id"], "sample": one["sample"]}
        numbers = NUMBERS if has_steps else ()
        for t, (b, limit, load, distance, radius) in enumerate(numbers):
            steps.append(
                {
                    **key, "t": t, "n_states": 4, "decile": 10 * t // 4,
                    "char_start": STARTS[t + 1], "char_end": ENDS[t + 1], "b": b, "b_rel": 1.0,
                    "d_entropy_nats": 0.5, "attn_conc": 0.25, "b_limit": limit,
                    "is_violation": b > limit, "path_load": load, "distance": distance,
                    "radius": radius, "is_outside": distance > radius, "reason": None,
                }
            )  # fmt: skip
        rates = {"n_violations": 2, "n_outside": 2, "n_both": 1, "v_rate": 2 / 3, "f_rate": 2 / 3,
                 "mean_b": 2.5 / 3, "path_load": 2.5}  # fmt: skip
        wholes.append(
            {
                **key, "story": story, "horizon": horizon, "condition": condition,
                "is_correct": one["is_correct"], "answer": "2", "n_states": 4 if has_steps else 1,
                **(rates if has_steps else dict.fromkeys(rates)),
                "reason": None if has_steps else "of 1 sentences, 3 are needed",
            }
        )  # fmt: skip
    return {"step_burden": steps, "trajectory_stability": wholes}


def _conclusion(roles: list[str]) -> dict[str, list[dict[str, Any]]]:
    values = {"short clean": 0.875, "satisfaction": 0.75, "dependence": 0.5, "mean load": 0.25}
    kinds = {"short clean": "capability", "mean load": "beside"}
    profile = [
        {
            "role": role, "kind": kinds.get(name, "stability"), "component": name,
            **_interval(None if role == "student-3" and name != "short clean" else value),
            "null_value": 0.25 if name == "dependence" and role != "student-3" else None,
            "n_problems": 60, "n_values": 240,
        }
        for role in roles
        for name, value in values.items()
    ]  # fmt: skip
    points = [
        _point("student", 0.02, 0.0625, asymmetry="NOT ASYMMETRIC", proposition="COUNTER-EXAMPLE"),
        _point("student-2", 0.03, 0.25, asymmetry="ASYMMETRIC", has_stability_gap=True),
        _point(
            "student-3", 0.5, None, asymmetry="NOT ENOUGH", has_capability_gap=True,
            has_stability_gap=None, has_hidden_burden=None, noise_r=None, load_ratio=None,
            ci_low_load_ratio=None, ci_high_load_ratio=None, components="",
            reason="not defined: delta R, its noise, load ratio",
        ),
    ]  # fmt: skip
    outcomes = {"coupling": "not run", "H1": "not run", "H2": "supported", "H3": "not run",
                "H4": "not supported"}  # fmt: skip
    hypotheses = [
        {
            "hypothesis": name, "outcome": outcome,
            "estimate": 0.125 if outcome == "supported" else None,
            "ci_low_estimate": 0.0625 if outcome == "supported" else None,
            "ci_high_estimate": 0.25 if outcome == "supported" else None, "n_problems": 60,
            "n_students": 3, "n_plain_students": 0, "reasons": f"why {name} [is] so",
        }
        for name, outcome in outcomes.items()
    ]  # fmt: skip
    return {"stability_profile": profile, "coupling_point": points, "hypothesis": hypotheses}


def _interval(value: float | None) -> dict[str, Any]:
    if value is None:
        reason = "no trajectory of 3 sentences or more"
        return {"value": None, "ci_low_value": None, "ci_high_value": None, "reason": reason}
    ends = {"ci_low_value": value - 0.125, "ci_high_value": value + 0.125}
    return {"value": value, **ends, "reason": None}


def _point(role: str, delta_k: float, delta_r: float | None, **over: object) -> dict[str, Any]:
    distances = {
        f"{end}{name}": None if value is None else value + off
        for name, value in (("delta_k", delta_k), ("delta_k_plus", delta_k), ("delta_r", delta_r))
        for end, off in (("", 0.0), ("ci_low_", -0.015625), ("ci_high_", 0.015625))
    }
    return {
        "role": role, "teacher_role": "teacher", "is_output_only": True, "n_problems": 60,
        "components": "satisfaction, dependence", **distances, "noise_r": 0.125,
        "load_ratio": 1.0, "ci_low_load_ratio": 0.875, "ci_high_load_ratio": 1.125,
        "envelope_r": delta_r, "asymmetry_reasons": "delta K 0.030 <= 0.050",
        "has_capability_gap": False, "has_stability_gap": False, "has_hidden_burden": False,
        "proposition": "HOLDS", "reason": None, **over,
    }  # fmt: skip
