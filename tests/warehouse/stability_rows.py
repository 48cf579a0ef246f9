"""Rows of stability proxies for the warehouse's tests."""


def region(**over: object):
    return {
        "n_trajectories": 20, "n_states": 80, "layer": 2, "n_axes": 1, "radius": 2.5,
        "center": [0.5, 1 / 3], "axes": [1.0, 0.0], "variances": [0.25], "reason": None, **over,
    }  # fmt: skip


def limit(decile: int):
    return {
        "decile": decile, "n_steps": 20, "reach": 0, "b_limit": 0.5, "load_mean": 1.0,
        "load_sd": 0.25,
    }  # fmt: skip


def step(t: int, b: float, load: float, *, problem_id: str = "p000", **over: object):
    """Step `t` of three states, to the four characters of sentence t + 1; limit 0.5, radius 2."""
    return {
        "problem_id": problem_id, "sample": 0, "t": t, "n_states": 3, "decile": 10 * t // 3,
        "char_start": 4 * t + 4, "char_end": 4 * t + 8, "b": b, "b_rel": 1.0,
        "d_entropy_nats": 0.0, "attn_conc": 0.5, "b_limit": 0.5, "is_violation": b > 0.5,
        "path_load": load, "distance": 1.0, "radius": 2.0, "is_outside": False, "reason": None,
        **over,
    }  # fmt: skip


def trajectory(*, problem_id: str = "p000", **over: object):
    """What the steps of burdens 0.25 and 0.75 add up to: one violation, a load of 1."""
    return {
        "problem_id": problem_id, "sample": 0, "story": "s0", "horizon": "short",
        "condition": "clean", "is_correct": True, "answer": "1", "n_states": 3, "mean_b": 0.5,
        "path_load": 1.0, "n_violations": 1, "n_outside": 0, "n_both": 0, "v_rate": 0.5,
        "f_rate": 0.0, "reason": None, **over,
    }  # fmt: skip


STEPS = {"step_burden": [step(0, 0.25, 0.25), step(1, 0.75, 1.0)],
         "trajectory_stability": [trajectory()]}  # fmt: skip


def component(role: str, name: str, value: float | None, **over: object):
    return {
        "role": role, "kind": "stability", "component": name, "value": value,
        "ci_low_value": value, "ci_high_value": value, "null_value": None, "n_problems": 60,
        "n_values": 240, "reason": None if value is not None else "why", **over,
    }  # fmt: skip


def point(role: str, **over: object):
    numbers = {
        f"{end}{name}": value
        for name, value in (
            ("delta_k", 0.02), ("delta_k_plus", 0.01), ("delta_r", 0.3), ("load_ratio", 1.0)
        )
        for end in ("", "ci_low_", "ci_high_")
    }  # fmt: skip
    return {
        "role": role, "teacher_role": "teacher", "is_output_only": True, "n_problems": 60,
        "components": "satisfaction", **numbers, "noise_r": 0.1, "envelope_r": 0.3,
        "asymmetry": "ASYMMETRIC", "asymmetry_reasons": "why", "has_capability_gap": False,
        "has_stability_gap": True, "has_hidden_burden": False, "proposition": "HOLDS",
        "reason": None, **over,
    }  # fmt: skip


def hypothesis(name: str, outcome: str = "not run", **over: object):
    return {
        "hypothesis": name, "outcome": outcome, "estimate": None, "ci_low_estimate": None,
        "ci_high_estimate": None, "n_problems": 60, "n_students": 1, "n_plain_students": 0,
        "reasons": "why", **over,
    }  # fmt: skip


def one_of_each() -> dict[str, list[dict[str, object]]]:
    """A good row, or as many as belong together, of every table of stability proxies."""
    return {
        "stability_region": [region()],
        "stability_limit": [limit(0), limit(9)],
        **STEPS,
        "stability_profile": [component("teacher", "satisfaction", 2 / 3)],
        "coupling_point": [point("student")],
        "hypothesis": [hypothesis("H1")],
    }


def one_of_each_broken() -> dict[str, list[dict[str, object]]]:
    """The same, where there is a check against its."""
    return {
        "step_burden": [step(0, 2.5, 2.5)],
        "trajectory_stability": [trajectory()],
        "stability_profile": [component("teacher", "satisfaction", 1.5)],
    }
