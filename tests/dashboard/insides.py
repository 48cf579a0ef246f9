"""What goes on inside the models of `ablations`, with numbers that can be worked out by hand."""

from typing import Any

from tests.dashboard.ablations import CANNOT, N_PROMPTS, STUDENT, TEACHER, plan
from warehouse.lake import Lake

SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0)


def add_insides(lake: Lake) -> None:
    """On 'numerals', of teacher and student: patching, outputs, probes; and noise of the pair."""
    for model in (TEACHER, STUDENT):
        parts: dict[str, dict[str, list[dict[str, Any]]]] = {
            "patching": {"patched_cell": _cells(2 if model == TEACHER else 1)},
            "residual-attribution": {"residual_attribution": _written()},
            "ov-scores": {"ov_score": _scores()},
            "probes": {"probe_accuracy": _probes()},
            "circuit-edges": {"circuit_edge": _edges()},
            "pictures": {"attention_pattern": _patterns(), "ov_token": _tokens()},
        }
        for method, records in parts.items():
            name = f"{method}-{model}"
            plan(lake, name, method, "numerals", "sha-numerals", {"model": model}, {})
            lake.append_unit(name, "all", records, 1.0)
    pair = {role: role for role in (TEACHER, STUDENT)}
    plan(lake, "mlps", "mlp-pictures", "numerals", "sha-numerals", pair, {})
    lake.append_unit("mlps", "all", _mlps(), 1.0)
    plan(lake, "noise", "noise", "numerals", "sha-numerals", pair, {})
    lake.append_unit("noise", "all", {"noise_point": _noise()}, 1.0)
    plan(lake, "response", "noise_response", "numerals", "sha-numerals", pair, {})
    lake.append_unit("response", "all", {"noise_verdict": [_response()]}, 1.0)


def _cells(n_layers: int) -> list[dict[str, Any]]:
    """The stream at the final token recovers all, at the term half in layer 0; the rest nothing."""
    rows: list[dict[str, Any]] = []
    for layer in range(n_layers):
        for part, heads in (("resid", [None]), ("attn", [None, 0, 1]), ("ov", [0, 1])):
            for head in heads:
                for role, recovery in (("term_1", 0.5 if layer == 0 else -0.25), ("final", 1.0)):
                    is_known = (part, head, role) != ("ov", 1, "final")
                    value = recovery if is_known else None
                    rows.append(
                        {
                            "layer": layer, "head": head, "part": part, "role": role,
                            "n_prompts": N_PROMPTS, "mean_effect": 4 * recovery,
                            "ci_low_effect": 4 * recovery - 1, "ci_high_effect": 4 * recovery + 1,
                            "recovery": value,
                            "ci_low_recovery": None if value is None else value - 0.125,
                            "ci_high_recovery": None if value is None else value + 0.125,
                            "over_layer_mean": None, "z_in_layer": None,
                            "reason": None if is_known else "the runs end alike",
                        }
                    )  # fmt: skip
    return rows


def _written() -> list[dict[str, Any]]:
    return [
        {
            "prompt_id": f"p{i}", "part": part, "layer": layer, "position": position,
            "role": role, "attribution": value + (i - 1.5),
        }
        for part, layer, value in (("embed", None, 0.0), ("attn", 0, 1.0), ("mlp", 0, -2.0))
        for position, role in ((0, None), (1, "term_1"))
        for i in range(N_PROMPTS)
    ]  # fmt: skip


def _scores() -> list[dict[str, Any]]:
    """Head 0 says the answer on every prompt, head 1 the foil on one of four."""
    return [
        {"layer": 0, "head": 0, "n_prompts": N_PROMPTS, "n_successor": 4, "n_copy": 0},
        {"layer": 0, "head": 1, "n_prompts": N_PROMPTS, "n_successor": 0, "n_copy": 1},
    ]


def _edges() -> list[dict[str, Any]]:
    """Within the circuit at 20 %: the MLP of layer 0 reads head 0, and writes to the logits."""
    return [
        {
            "budget": 0.2, "source": source, "destination": to, "reader": reader,
            "n_prompts": N_PROMPTS, "delta_p_edge": points, "ci_low_delta_p_edge": points - 5,
            "ci_high_delta_p_edge": points + 5, "is_kept": points < -20,
        }
        for source, to, reader, points in (
            ("0.0", "0.mlp", "mlp", -50.0), ("0.0", "output", "output", 2.0),
            ("0.mlp", "output", "output", -10.0),
        )
    ]  # fmt: skip


def _patterns() -> list[dict[str, Any]]:
    """Head 0 looks at the first token alone, head 1 at all so far alike."""
    return [
        {
            "prompt_id": "p0", "layer": 0, "head": head, "position": at, "token": token,
            "role": None, "weights": weights,
        }
        for head, rows in enumerate(([[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.5, 0.5]]))
        for at, (token, weights) in enumerate(zip(("One", " two"), rows, strict=True))
    ]  # fmt: skip


def _tokens() -> list[dict[str, Any]]:
    return [
        {
            "layer": 0, "head": 0, "rank": rank, "token": token, "n_prompts": N_PROMPTS,
            "n_first": n,
        }
        for rank, token, n in ((1, " 7", 4), (2, "<b>", 1))
    ]  # fmt: skip


def _mlps() -> dict[str, list[dict[str, Any]]]:
    """Layer 0 of the student is the most similar to both of the teacher's."""
    clouds = [
        {
            "layer_teacher": layer, "layer_student": 0, "whose": whose, "prompt_id": "p0",
            "tokens": ["One", " two"], "first": [3.0, -1.0], "second": [0.5, 0.25],
            "share_first": 0.75, "share_second": 0.125,
        }
        for layer in (0, 1)
        for whose in (TEACHER, STUDENT)
    ]  # fmt: skip
    alike = [
        {
            "layer_teacher": layer,
            "layer_student": 0,
            "n_prompts": N_PROMPTS,
            "similarity": value,
            "method": "eigenvectors",
            "chance": 0.125,
        }
        for layer, value in ((0, 0.5), (1, 0.75))
    ]
    return {"mlp_projection": clouds, "mlp_similarity": alike}


def _probes() -> list[dict[str, Any]]:
    """Held-out accuracy 0.25 in layer 0 and 0.75 in layer 1 of five seeds; control 0.25."""
    return [
        {
            "site": "resid_mid", "layer": layer, "head": None, "read_at": "final",
            "label": "term_1", "metric": "accuracy", "seed": seed,
            "value": value + 0.125 * (seed - 2), "control": 0.25, "baseline": 0.125,
            "n_classes": 8, "n_train": 80, "n_test": 20,
        }
        for layer, value in ((0, 0.25), (1, 0.75))
        for seed in range(5)
    ]  # fmt: skip


def _noise() -> list[dict[str, Any]]:
    """A falls by 0.125 at each level; at the last the student cannot do the task."""
    return [
        {
            "scale": "absolute", "sigma": sigma, "seed": seed, "n_prompts": N_PROMPTS,
            "mean_ld": 4 - sigma, "alignment": 0.75 - 0.25 * sigma + 0.0625 * seed,
            "mean_similarity": 0.75, "mean_abs_delta_influence": 0.125, "null_alignment": 0.5,
            "reason": CANNOT if sigma == SIGMAS[-1] else None,
        }
        for sigma in SIGMAS
        for seed in (0, 1)
    ]  # fmt: skip


def _response() -> dict[str, Any]:
    return {
        "scale": "absolute", "n_sigmas": len(SIGMAS), "n_seeds": 2, "spearman": -1.0,
        "alignment_at_0": 0.78125, "alignment_at_largest": 0.28125, "responds": True,
        "n_sigmas_doing_task": 4, "spearman_doing_task": -1.0, "reason": None,
    }  # fmt: skip
