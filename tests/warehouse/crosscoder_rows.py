"""Rows of crosscoders for the warehouse's tests."""


def step(number: int = 0, **over: object):
    return {
        "step": number, "n_tokens": 1024 * (number + 1), "loss": 2.0, "sparsity_loss": 0.25,
        "fvu_base": 0.5, "fvu_distilled": 0.25, "l0": 8.0, "dead_share": 0.0, "threshold": 1.0,
        "rate": 1e-3, "gradient_norm": 0.5, **over,
    }  # fmt: skip


def summary(n_latents: int = 4, dead_share: float = 0.25, **over: object):
    return {
        "d_model": 64, "n_latents": n_latents, "layer": 1, "scale_base": 5.0,
        "scale_distilled": 5.5, "n_harvested": 1000, "n_trained": 5000, "mixing": 1.0,
        "n_held_out": 50, "n_described": 1000, "fvu_base": 0.125, "fvu_distilled": 0.25,
        "l0": 8.0, "dead_share": dead_share, "is_interpretable": True, "reasons": "why", **over,
    }  # fmt: skip


def latent(number: int, base: float = 1.0, distilled: float = 1.0, **over: object):
    """One that fires on 10 of 1,000 tokens; its NRN and class follow from its norms."""
    nrn = distilled / (base + distilled)
    named = [(nrn < 0.1, "base-only"), (nrn > 0.9, "distilled-only"), (0.4 <= nrn <= 0.6, "shared")]
    return {
        "latent": number, "norm_base_l2": base, "norm_distilled_l2": distilled,
        "norm_base_l1": base, "norm_distilled_l1": distilled, "nrn": nrn, "nrn_l1": nrn,
        "cosine": 0.5, "n_tokens": 1000, "n_fired": 10, "fire_freq": 0.01, "mean_activation": 2.0,
        "max_activation": 4.0, "beta_eps_base": 0.5, "beta_eps_distilled": 1.0,
        "beta_r_base": 0.75, "beta_r_distilled": 1.0, "nu_eps": 0.5, "nu_r": 0.75,
        "latent_class": next((name for is_it, name in named if is_it), "between"),
        "is_genuine": None, "category": "other", "is_dead": False, "reason": None, **over,
    }  # fmt: skip


def dead(number: int):
    numbers = dict.fromkeys((
        "nrn", "nrn_l1", "mean_activation", "max_activation", "beta_eps_base",
        "beta_eps_distilled", "beta_r_base", "beta_r_distilled", "nu_eps", "nu_r",
        "latent_class", "category",
    ))  # fmt: skip
    return latent(number) | numbers | {
        "n_fired": 0, "fire_freq": 0.0, "is_dead": True, "reason": "fires on none"
    }  # fmt: skip


def context(number: int, rank: int = 0, **over: object):
    return {
        "latent": number, "rank": rank, "activation": 4.0, "passage": 7, "token": 1,
        "tokens": ["So", " wait", ","], "activations": [0.0, 4.0, 1 / 3], **over,
    }  # fmt: skip


def category(name: str = "self-reflection", **over: object):
    return {
        "category": name, "n_per_end": 2, "n_top": 1, "n_bottom": 0, "share_top": 0.5,
        "ci_low_share_top": 0.1, "ci_high_share_top": 0.9, "share_bottom": 0.0,
        "ci_low_share_bottom": 0.0, "ci_high_share_bottom": 2 / 3, "difference": 0.5,
        "ci_low_difference": -0.25, "ci_high_difference": 0.9, **over,
    }  # fmt: skip


def ablated(**over: object):
    return {
        "filter_order": "firing-first", "top_percent": 5.0, "feature_set": "ablated", "draw": 0,
        "side": "distilled", "pair": 0, "category": "deductive", "text_id": "t0", "target_id": 3,
        "logit_clean": 2.0, "logit_ablated": 0.5, "d_logit": -1.5, "n_features": 2,
        "norm_removed": 0.5, **over,
    }  # fmt: skip


def ablation_verdict(**over: object):
    numbers = {
        f"{end}{name}": value
        for name, value in (
            ("d_distilled", -1.5), ("d_base", -0.1), ("d_control", 0.0),
            ("per_norm_distilled", -3.0), ("per_norm_base", -0.5),
        )
        for end in ("", "ci_low_", "ci_high_")
    }  # fmt: skip
    return {
        "filter_order": "firing-first", "top_percent": 5.0, "category": "deductive",
        "n_pairs": 100, "n_features": 2, "n_draws": 2, **numbers, "per_norm_control": 0.0,
        "fire_freq": 0.01, "fire_freq_control": 1 / 3, "label": "distilled-causal",
        "reasons": "why", **over,
    }  # fmt: skip


def steered(**over: object):
    return {
        "direction": "latent 3", "latent": 3, "category": "deductive", "amplitude": 0.4,
        "problem_id": "p0", "sample": 0, "problem": "1 + 1?", "text": "So 2", "finish": "stop",
        "n_tokens": 2, "n_think_tokens": 2, "is_closed": False, "n_triggers": 1, "answer": "2",
        "is_correct": True, "repetition": None, **over,
    }  # fmt: skip


def steering_verdict(**over: object):
    numbers = {
        f"{end}{name}": value
        for name, value in (
            ("length_ratio", 1.5), ("triggers_per_100", 10.0), ("accuracy", 0.5),
            ("d_accuracy", 0.0), ("repetition", 1 / 3),
        )
        for end in ("", "ci_low_", "ci_high_")
    }  # fmt: skip
    return {
        "direction": "latent 3", "latent": 3, "category": "deductive", "amplitude": 0.4,
        "n_problems": 40, "n_rollouts": 40, "n_closed": 10, "length": 30.0, **numbers,
        "label": "degenerate", "reasons": "why", **over,
    }  # fmt: skip


def geometry(**over: object):
    return {
        "side": "distilled", "relation": "plural", "n_axes": 20, "n_pairs": 30, "n_words": 60,
        "n_couples": 435, "mean_loss": 2.0, "median_loss": 1.9, "ci_low_median_loss": 1.5,
        "ci_high_median_loss": 2.25, "area": 0.5, "ci_low_area": 0.25, "ci_high_area": 0.75,
        "null_mean_loss": 4.0, "null_median_loss": 3.9, "null_low_median_loss": 3.5,
        "null_high_median_loss": 4.1, "null_area": 0.1, "null_low_area": 0.0,
        "null_high_area": 0.2, "is_structured": True, "cdf": [0.0, 1 / 3, 1.0],
        "null_cdf": [0.0, 0.0, 0.5], "reason": None, **over,
    }  # fmt: skip


def geometry_gain(**over: object):
    return {
        "relation": "plural", "n_axes": 20, "n_pairs": 30, "d_median_loss": -0.5,
        "ci_low_d_median_loss": -1.0, "ci_high_d_median_loss": -0.1, "d_area": 0.25,
        "ci_low_d_area": 0.1, "ci_high_d_area": 1 / 3, "change": "more structured", **over,
    }  # fmt: skip


def one_of_each() -> dict[str, list[dict[str, object]]]:
    """A good row, or as many as belong together, of every table of crosscoders."""
    return {
        "crosscoder_step": [step()],
        "crosscoder_summary": [summary(1, 0.0)],
        "latent": [latent(0, 1.0, 2.0)],
        "latent_context": [context(0)],
        "latent_category": [category()],
        "feature_ablation": [ablated()],
        "feature_ablation_verdict": [ablation_verdict()],
        "steering": [steered()],
        "steering_verdict": [steering_verdict()],
        "parallelogram": [geometry()],
        "parallelogram_difference": [geometry_gain()],
    }


def one_of_each_broken() -> dict[str, list[dict[str, object]]]:
    """The same, where there is a check against its."""
    return {
        "crosscoder_step": [step(l0=-1.0)],
        "crosscoder_summary": [summary(9)],
        "feature_ablation": [ablated(d_logit=1.5)],
    }
