"""Rows for the warehouse's tests, small enough to work out by hand."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from warehouse.lake import Lake
from warehouse.tables import TABLES

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def model(model_id: str, **over: object) -> dict[str, object]:
    """A model's row; its label is its id in capitals."""
    return {
        "model_id": model_id,
        "label": model_id.upper(),
        "source": "zoo",
        "family": "llama",
        "architecture": "LlamaForCausalLM",
        "model_type": "llama",
        "n_params": 1000,
        "n_layers": 2,
        "hidden_size": 16,
        "vocab_size": 64,
        "weight_dtype": "bfloat16",
        "tokenizer_sha256": None,
        **over,
    }


def comparison(derivative_id: str, role: str, model_id: str, **over: object) -> dict[str, object]:
    """A declared pair."""
    return {
        "derivative_id": derivative_id,
        "role": role,
        "model_id": model_id,
        "declared_by": "zoo",
        **over,
    }


def organism(model_id: str, **over: object) -> dict[str, object]:
    """What is known of a model: distilled from 'base'."""
    return {
        "model_id": model_id,
        "name": f"llama-{model_id}",
        "method": "distilled",
        "role": "derivative",
        "is_distilled": True,
        "base_id": "base",
        "teacher_id": None,
        "seed": 7,
        "is_shipped": False,
        "declared_by": "zoo",
        **over,
    }


def measurement(
    measurement_id: str, method: str, n_units: int, **over: object
) -> dict[str, object]:
    """A measurement's row."""
    return {
        "measurement_id": measurement_id,
        "method": method,
        "method_version": 1,
        "prompt_set": "bank",
        "prompt_set_sha256": "5e7",
        "seeds": list(range(n_units)) if method == "structural" else [],
        "dtype": "float32",
        "backend": "transformers",
        "device_kind": "cpu",
        "replicate": 0,
        "options": '{"tau":"resultant"}' if method == "structural" else "{}",
        "text_sha256": None,
        "n_units": n_units,
        "batch_size": 8,
        "code_version": "0",
        "library_versions": "{}",
        **over,
    }


def tau_row(seed: int, dim: int, tau: float | None, rerun: float | None) -> dict[str, object]:
    """A dimension of a structural vector; without a value, with a reason."""
    return {
        "seed": seed,
        "dim": dim,
        "prompt_id": f"p{dim // 2}",
        "category": "arithmetic",
        "site": "AB"[dim % 2],
        "n_tokens": 20,
        "tau": tau,
        "tau_rerun": rerun,
        "reason": "no tokens" if tau is None else None,
    }


def add_structural(
    lake: Lake,
    model_id: str,
    taus: Mapping[int, Sequence[float | None]],
    rerun_shift: float | None = 0.0,
    **over: object,
) -> str:
    """Register and measure a model: tau by seed and dimension.

    Every rerun lies `rerun_shift` further.
    """
    lake.add_models([model(model_id)])
    measurement_id = str(over.pop("measurement_id", f"s-{model_id}"))
    seeds = list(taus)
    lake.plan(
        measurement(measurement_id, "structural", len(seeds), seeds=seeds, **over),
        {"model": model_id},
    )
    for seed, values in taus.items():
        rows = [
            tau_row(
                seed, dim, tau, None if tau is None or rerun_shift is None else tau + rerun_shift
            )
            for dim, tau in enumerate(values)
        ]
        lake.append_unit(measurement_id, f"seed-{seed}", {"structural_tau": rows}, 2.0)
    return measurement_id


def template_row(prompt_id: str, **over: object) -> dict[str, object]:
    """A prompt's template."""
    return {
        "mode": "free",
        "prompt_id": prompt_id,
        "category": "arithmetic",
        "n_prompt_tokens": 5,
        "n_tokens": 64,
        "beta_mean": 1.5,
        "template": [0.1] * 20,
        "delta_norm_mean": 0.318,
        "n_delta_norm": 64,
        "zero_gap_frac": 0.0,
        "split_half_distance": 0.2,
        "text": "a text",
        "text_sha256": "7e7",
        "reason": None,
        "winner_gap_se": 0.1,
        **over,
    }


def distance_row(role: str, **over: object) -> dict[str, object]:
    """A distance: centroid 0.5 over its floors 0.25 and 0.125, CRP 2 over its floor 1."""
    return {
        "mode": "free",
        "role": role,
        "n_prompts": 40,
        "n_prompts_dropped": 0,
        "centroid_distance": 0.5,
        "ci_low_centroid_distance": 0.4,
        "ci_high_centroid_distance": 0.6,
        "crp_distance": 2.0,
        "ci_low_crp_distance": 1.8,
        "ci_high_crp_distance": 2.2,
        "self_baseline": 0.25,
        "sign_flip_floor": 0.125,
        "sign_flip_p": 0.01,
        "crp_floor": 1.0,
        "zero_gap_frac": 0.0,
        "reason": None,
        **over,
    }


def winner_gap_rows(d1s: Sequence[float], **over: object) -> dict[str, list[dict[str, object]]]:
    """A winner gap by table: prompts that differ in the first gap alone, by more than their noise.

    What no count or mean of theirs decides is made up.
    """
    prompts = [
        {
            "mode": "free",
            "prompt_id": f"p{index}",
            "category": "arithmetic",
            "d": [d1] + [0.0] * 19,
            "d1": d1,
            "dominant_k": 1 if d1 else None,
            "g1_share": 1.0 if d1 else None,
            "noise_se": 0.01,
            "is_signif": d1 != 0,
            "reason": None if d1 else "the templates are equal",
        }
        for index, d1 in enumerate(d1s)
    ]
    n_up, n_down = sum(d1 > 0 for d1 in d1s), sum(d1 < 0 for d1 in d1s)
    mean = sum(d1s) / len(d1s)
    pair: dict[str, object] = {
        **dict.fromkeys(TABLES["winner_gap_pair"].column_names[1:]),
        "mode": "free",
        "n_prompts": len(d1s),
        "n_prompts_dropped": 0,
        "winner_gap_class": "mixed",
        "class_reasons": "sign test p 1 (limit 0.05)",
        "g1_share": 1.0,
        "top3_share": 1.0,
        "n_g1_dominant": n_up + n_down,
        "n_g1_over_half": n_up + n_down,
        "mean_signed_g1": mean,
        "mean_abs_g1": sum(map(abs, d1s)) / len(d1s),
        "cancellation_g1": sum(map(abs, d1s)) / abs(sum(d1s)) if sum(d1s) else None,
        "n_up_g1": n_up,
        "n_down_g1": n_down,
        "n_signif": n_up + n_down,
        "n_signif_up": n_up,
        "n_signif_down": n_down,
        "cv_label": "undefined",
        "cv_reason": "the base's mean template 1 is not above its floor 2",
        "n_delta_norm_base": 0,
        "delta_gate_base": "not interpretable",
        "n_delta_norm_derivative": 0,
        "delta_gate_derivative": "not interpretable",
        **over,
    }
    return {"winner_gap_pair": [pair], "winner_gap_prompt": prompts}


def add_distances(
    lake: Lake,
    measurement_id: str,
    models: Mapping[str, str],
    rows: Sequence[Mapping],
    winner_gap: Mapping[str, Sequence[Mapping]] | None = None,
    **over: object,
) -> None:
    """Register the models and store a complete `template_distance` measurement of them."""
    tables = {"template_distance": rows, **(winner_gap or {})}
    given = {"options": '{"mode":"free"}', **over}
    add_unit(lake, measurement_id, "template_distance", models, tables, **given)


def stiffness_row(**over: object) -> dict[str, object]:
    """Gain 2 (rms 4) on a spread of 0.25 (rows 0.125, last block's output 0.5)."""
    return {
        "gamma_mean": 2.0,
        "gamma_rms": 4.0,
        "sigma_w": 0.25,
        "sigma_w_row_mean": 0.125,
        "sigma_o": 0.5,
        "stiffness": 0.5,
        "stiffness_rms": 1.0,
        "stiffness_row_mean": 0.25,
        "stiffness_o": 1.0,
        "tied": False,
        "n_rows": 64,
        "reason": None,
        **over,
    }


def fisher_rows(kappas: Sequence[float | None], **over: object) -> dict[str, list[dict]]:
    """Curvatures by table, a prompt each; every state has norm 2.

    What no count or mean of theirs decides is made up.
    """
    prompts = [
        {
            "seed": 0,
            "prompt_id": f"p{index}",
            "category": "arithmetic",
            "n_tokens": 20,
            "state_norm": 2.0,
            "kappa": kappa,
            "reason": "tau has no direction" if kappa is None else None,
        }
        for index, kappa in enumerate(kappas)
    ]
    known = [kappa for kappa in kappas if kappa is not None]
    mean = sum(known) / len(known)
    summary: dict[str, object] = {
        "n_prompts": len(known),
        "kappa_f": mean,
        "ci_low_kappa_f": mean / 2,
        "ci_high_kappa_f": mean * 2,
        "kappa_norm2_mean": 4 * mean,
        "halves_ratio": 1.5,
        "is_repeatable": True,
        "rho_f": mean / 10,
        "fisher_status": "Fisher-dominated" if mean >= 10 else "Damping-dominated",
        "reason": None,
        **over,
    }
    return {"fisher_curvature": prompts, "fisher_summary": [summary]}


def weight_row(layer: int | None, slot: str, **over: object) -> dict[str, object]:
    """A weight of 100 entries whose cosine is 0.75 over a null of 0.25."""
    return {
        "layer": layer,
        "base_layer": layer,
        "slot": slot,
        "kind": slot,
        "is_matrix": True,
        "n_entries": 100,
        "n_units_used": 10,
        "cosine": 0.75,
        "null_cosine": 0.25,
        "aligned_cosine": None,
        "null_cosine_aligned": None,
        "rel_displacement": 0.5,
        "unchanged_frac": 0.0,
        "effective_rank": 4.0,
        "numerical_rank": 5,
        "sv_cosine": 0.875,
        "reason": None,
        **over,
    }


def lineage_pair_row(n: int, **over: object) -> dict[str, object]:
    """A pair of n layers, all of them related."""
    return {
        "lineage_label": "SAME LINEAGE",
        "label_reasons": f"{n} of {n} layers are above the null",
        "n_layers": n,
        "n_base_layers": n,
        "n_layers_related": n,
        "reason": None,
        **over,
    }


def add_unit(
    lake: Lake,
    measurement_id: str,
    method: str,
    models: Mapping[str, str],
    tables: Mapping[str, Sequence[Mapping]],
    **over: object,
) -> None:
    """Register the models and store a complete measurement of one unit."""
    lake.add_models([model(model_id) for model_id in models.values()])
    lake.plan(measurement(measurement_id, method, 1, **over), models)
    lake.append_unit(measurement_id, "all", tables, 0.5)
