"""What the columns of the tables on capability and the proxies R mean."""

from dashboard.tables import Heading
from dashboard.words import instant, number

_STUDENT = {
    "student": Heading("Student", width=170),
    "teacher": Heading("Teacher", width=140),
}
STUDENTS = {
    "number": Heading("", "{:,.0f}".format),
    **_STUDENT,
    "delta_k": Heading("ΔK", number, "Mean absolute difference of four accuracies, 0 to 1"),
    "ci_low_delta_k": Heading("95 % from", number, "2.5 % of 10,000 resamples of the stories"),
    "ci_high_delta_k": Heading("to", number, "97.5 %"),
    "delta_r": Heading("ΔR", number, "The same of the proxies that both have"),
    "ci_low_delta_r": Heading("95 % from ", number),
    "ci_high_delta_r": Heading("to ", number),
    "noise_r": Heading("Noise of ΔR", number, "95 % between halves of the teacher's stories"),
    "components": Heading("Proxies compared"),
    "load_ratio": Heading("Load", number, "Mean load per sentence over the teacher's"),
    "ci_low_load_ratio": Heading("95 % from  ", number),
    "ci_high_load_ratio": Heading("to  ", number),
    "asymmetry": Heading("Asymmetry (Eq. 2)"),
    "proposition": Heading("Proposition 1"),
    "n_problems": Heading("Stories, n", "{:,.0f}".format, "The unit of the bootstrap"),
    "reason": Heading("What is missing"),
    "measured_at": Heading("Measured", instant),
}
_KINDS = {"capability": "K", "stability": "R, proxy", "beside": "beside R"}
PROFILE = {
    "model": Heading("Model", width=170),
    "kind": Heading("Of", _KINDS.__getitem__, "Capability K, the proxies R, or beside them"),
    "component": Heading("Component"),
    "value": Heading("Value", number),
    "ci_low_value": Heading("95 % from", number, "2.5 % of 10,000 resamples of the stories"),
    "ci_high_value": Heading("to", number),
    "null_value": Heading("Null", number, "Of dependence: 95 % when steps are dealt anew"),
    "teacher_value": Heading("Teacher's", number),
    "n_problems": Heading("Stories, n", "{:,.0f}".format),
    "n_values": Heading("Values", "{:,.0f}".format, "Rollouts, pairs, steps or trajectories"),
    "reason": Heading("Why there is none"),
}
HYPOTHESES = {
    "hypothesis": Heading("Hypothesis"),
    "meaning": Heading("Says that", width=330),
    "outcome": Heading("Outcome"),
    "estimate": Heading("Estimate", number),
    "ci_low_estimate": Heading("95 % from", number),
    "ci_high_estimate": Heading("to", number),
    "n_problems": Heading("Stories, n", "{:,.0f}".format),
    "n_students": Heading("Students", "{:,.0f}".format),
    "n_plain_students": Heading("of the plain teacher", "{:,.0f}".format),
    "reasons": Heading("Because", width=330),
}
STEPS = {
    "number": Heading("Step", "{:,.0f}".format),
    "text": Heading("Arrives at", width=300),
    "b": Heading("Burden", number, "1 − cos of both states, 0 to 2"),
    "b_limit": Heading("Limit", number, "The teacher's, at that decile"),
    "path_load": Heading("Load", number, "Sum of the burdens so far"),
    "distance": Heading("Distance", number, "Mahalanobis, from the model's own region"),
    "radius": Heading("Radius", number, "Of the region after this load"),
    "b_rel": Heading("Relative jump", number),
    "d_entropy_nats": Heading("Entropy rise, nats", number),
    "attn_conc": Heading("Attention", number, "Largest weight, mean over heads, 0 to 1"),
    "reason": Heading("What is missing"),
}
