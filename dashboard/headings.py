"""What the columns of the tables mean."""

from dashboard.tables import Heading
from dashboard.words import duration, instant, number, percent, signed

SUMMARY = {
    "family": Heading("Family"),
    "derivative": Heading("Derivative", width=190),
    "base": Heading("Base"),
    "structural_status": Heading(
        "Structure", None, "Median distance of the seeds but the largest, against 1 ε", 130
    ),
    "min_non_max_x_eps": Heading(
        "Scar from, × ε", number, "|τ of it − τ of its base| ∕ 0.0001, smallest seed"
    ),
    "max_non_max_x_eps": Heading("to, × ε", number, "Largest seed but one"),
    "max_seed": Heading("Largest seed", "{:.0f}".format, "The seed that is kept apart"),
    "max_seed_x_eps": Heading("its scar, × ε", number),
    "n_seeds": Heading("Seeds", "{:.0f}".format),
    "functional_status": Heading(
        "Output", None, "Centroid or CRP distance against its floor, mode free", 130
    ),
    "centroid_distance": Heading(
        "Centroid, logits", number, "‖mean over prompts of (t′ − t)‖, t the 20 gaps"
    ),
    "centroid_floor": Heading("its floor", number, "Larger of self-baseline and sign-flip null"),
    "crp_distance": Heading("CRP, logits", number, "mean over prompts of ‖t′ − t‖, t the 20 gaps"),
    "crp_floor": Heading("floor of CRP", number, "Noise of the base's own text, split in halves"),
    "n_prompts": Heading("Prompts", "{:.0f}".format),
    "structural_reason": Heading("Why, structure"),
    "functional_reason": Heading("Why, output"),
    "measured_at": Heading("Measured", instant),
}

RUNS = {
    "label": Heading("What"),
    "method": Heading("Method"),
    "mode": Heading("Mode"),
    "n_units_done": Heading("Units", "{:,.0f}".format),
    "n_rows": Heading("Records", "{:,.0f}".format),
    "duration_s": Heading("Took", duration, "Time its units took to measure"),
    "device": Heading("Device"),
    "host": Heading("Host"),
    "last_unit_at": Heading("Completed", instant),
}

_PAIR = {
    "family": Heading("Family"),
    "distilled": Heading("Distilled", width=190),
    "teacher": Heading("Teacher", width=150),
}
SHARES = {
    **_PAIR,
    "label": Heading("Label"),
    "share": Heading("Share", percent, "Of the distilled model's sentences that have a label"),
    "ci_low_share": Heading("95 % from", percent, "2.5 % of 10,000 resamples of the questions"),
    "ci_high_share": Heading("to", percent, "97.5 %"),
    "null_share": Heading("Null", percent, "The same label on the base's own sentences"),
    "control_share": Heading(
        "Wrong teacher", percent, "The same with an unrelated model in the teacher's place"
    ),
    "n_sentences": Heading("Sentences with it", "{:,.0f}".format),
    "n_all": Heading("of", "{:,.0f}".format),
    "n_questions": Heading("Questions, n", "{:,.0f}".format, "The unit of the bootstrap"),
    "prompt_set": Heading("Set of problems"),
    "measured_at": Heading("Measured", instant),
}
POSITIONS = {
    "label": Heading("Label"),
    "place": Heading("Place", "{:.0f}".format, "Number of the sentence, or of 20 parts"),
    "answer": Heading("Answer"),
    "share": Heading("Share", percent),
    "ci_low_share": Heading("95 % from", percent, "Wilson, which takes sentences for independent"),
    "ci_high_share": Heading("to", percent),
    "n_label": Heading("Sentences with it", "{:,.0f}".format),
    "n_all": Heading("of", "{:,.0f}".format),
}
AREAS = {
    "label": Heading("Label"),
    "kind": Heading("Kind", None, "Over all rollouts, or within questions"),
    "area": Heading("Area", signed, "Sum over positions of the share in right less in wrong ones"),
    "ci_low_area": Heading("95 % from", signed, "2.5 % of 10,000 resamples of the questions"),
    "ci_high_area": Heading("to", signed, "97.5 %"),
    "n_positions": Heading("Positions", "{:.0f}".format),
    "n_questions": Heading("Questions, n", "{:.0f}".format),
    "correctness": Heading("Verdict", width=150),
    "reason": Heading("Why there is none"),
}
SENTENCES = {
    "number": Heading("Sentence", "{:,.0f}".format),
    "label4": Heading("Label"),
    "text": Heading("Text", width=360),
    "p_teacher": Heading("Teacher", number, "Geometric mean probability of a token, 0 to 1"),
    "p_student": Heading("Base", number, "The same under the base"),
    "p_distilled": Heading("Distilled", number, "The same under the distilled model"),
    "boosted": Heading("Kind of Boosted"),
    "n_tokens_student": Heading("Tokens", "{:,.0f}".format, "Of the base"),
    "reason": Heading("Why it has no label"),
}

CANDIDATES = {
    "family": Heading("Family"),
    "distilled": Heading("Distilled", width=170),
    "rank": Heading("Rank", "{:.0f}".format),
    "teacher": Heading("Candidate", width=170),
    "share": Heading("In common", number, "Of what parts both from the base; 1 is all"),
    "ci_low_share": Heading("95 % from", number, "2.5 % of 10,000 resamples of the problems"),
    "ci_high_share": Heading("to", number, "97.5 %"),
    "null_share": Heading("Null", number, "Wrong candidates stay below it"),
    "share_status": Heading("Against it", width=140),
    "behind_first": Heading("Behind the first", number, "Share of the first less its own"),
    "share_with_first": Heading("With the first", number, "What both candidates have in common"),
    "gain_distilled": Heading(
        "Explains, bits a byte", number, "Of the distilled model's text, beyond the base"
    ),
    "learned": Heading("Learnt", number, "Of what it says beyond the base, what the distilled has"),
    "n_questions": Heading("Problems, n", "{:,.0f}".format, "The unit of the bootstrap"),
    "n_rollouts_distilled": Heading("Rollouts", "{:,.0f}".format, "Of the distilled model"),
    "n_rollouts_own": Heading("and its own", "{:,.0f}".format),
    "prompt_set": Heading("Set of problems"),
    "reason": Heading("Why there is none"),
    "measured_at": Heading("Measured", instant),
}
COMPONENTS = {
    "model": Heading("Model", width=150),
    "component": Heading("Component", None, "4.10: head 10 of layer 4, from 0; 4.mlp: its MLP"),
    "rank": Heading("Rank", "{:.0f}".format, "By effect among the model's components"),
    "effect": Heading("Effect, logits", signed, "Lost when its mean stands in its place"),
    "ci_low_effect": Heading("95 % from", signed, "2.5 % of 10,000 resamples of the prompts"),
    "ci_high_effect": Heading("to", signed),
    "drop_pct": Heading("Drop, %", number, "100 × effect ∕ mean logit difference, 0 to 100"),
    "influence_max": Heading("Influence", number, "Effect ∕ largest effect, 0 where it harms"),
    "estimated_effect": Heading("Estimate, logits", signed, "Of attribution patching"),
    "is_in_circuit": Heading("In the circuit", None, "That may lose 20 %"),
    "n_prompts": Heading("Prompts, n", "{:,.0f}".format),
    "reason": Heading("Why only raw effects"),
}
MATCHES = {
    "component_teacher": Heading("Teacher's"),
    "component_student": Heading("Student's"),
    "similarity": Heading("Similarity", number, "Of patterns of heads, of outputs of MLPs"),
    "influence_teacher": Heading("Influence, teacher", number),
    "influence_student": Heading("student", number),
    "abs_delta_influence": Heading("Gap", number, "Of the two influences, 0 to 1"),
    "weight": Heading("Weight in A", number),
    "resample_share": Heading(
        "Resamples", number, "Share of the resamples of the prompts that match the two"
    ),
}
PROMPTS = {
    "prompt_id": Heading("Prompt", width=170),
    "effect": Heading("Effect, logits", signed, "With it less without it"),
    "ld_clean": Heading("With it", signed, "Logit of the answer less the foil's"),
    "ld_ablated": Heading("Without it", signed),
    "answer": Heading("Answer", width=80),
    "foil": Heading("Foil", width=80),
    "clean": Heading("Clean text", width=380),
    "corrupted": Heading("Corrupted text", None, "Its mean activation is over these", 380),
}
BRITTLENESS = {
    "model": Heading("Model", width=150),
    "whose": Heading("It is"),
    "mean_ld": Heading("Logit difference", signed, "Mean, nothing ablated"),
    "ci_low_mean_ld": Heading("95 % from", signed),
    "ci_high_mean_ld": Heading("to", signed),
    "mean_drop_pct": Heading("Mean drop, %", number, "Over components"),
    "ci_low_mean_drop_pct": Heading("95 % components, from", number),
    "ci_high_mean_drop_pct": Heading("to ", number),
    "prompt_ci_low_mean_drop_pct": Heading("95 % prompts, from", number),
    "prompt_ci_high_mean_drop_pct": Heading("to  ", number),
    "floor_mean_drop_pct": Heading("Floor, %", number, "What the prompts' noise alone makes"),
    "top5_drop_pct": Heading("Five largest, %", number, "Their mean"),
    "gini_drop": Heading("Gini", number, "0: all drop alike; near 1: one alone"),
    "share_over_10_pct": Heading("Drop over 10 %", percent, "Share of components"),
    "share_over_20_pct": Heading("over 20 %", percent),
    "n_components": Heading("Components", "{:.0f}".format),
    "n_prompts": Heading("Prompts, n", "{:,.0f}".format),
    "reason": Heading("Why it is not known"),
}
VARIANTS = {
    "normalisation": Heading("Influences over", None, "Their largest, sum, or Euclidean norm"),
    "matching": Heading("Matching"),
    "mode": Heading("Mode", None, "Our definition, or as the paper's public code has it"),
    "alignment": Heading("A", number, "Similarity x (1 - influence gap), mean over pairs"),
    "ci_low_alignment": Heading("95 % from", number, "2.5 % of 1,000 resamples of the prompts"),
    "ci_high_alignment": Heading("to", number),
    "null_alignment": Heading("Null", number, "Mean A of 1,000 shuffles of the influences"),
    "null_p": Heading("p", number, "Shuffles that reach A"),
    "gain": Heading("Gain", signed, "A less its null: the evidence, not A"),
    "ci_low_gain": Heading("95 % from ", signed),
    "ci_high_gain": Heading("to ", signed),
    "mean_similarity": Heading("Similarity", number, "Mean of the pairs"),
    "mean_abs_delta_influence": Heading("Influence gap", number, "Mean of the pairs"),
    "n_pairs": Heading("Pairs", "{:.0f}".format),
    "n_prompts": Heading("Prompts, n", "{:,.0f}".format),
    "reason": Heading("Why there is none"),
}
CIRCUITS = {
    "model": Heading("Model", width=150),
    "budget": Heading("Budget", percent, "Share of the logit difference that may be lost"),
    "n_heads": Heading("Heads", "{:.0f}".format),
    "n_all_heads": Heading("of", "{:.0f}".format),
    "n_mlps": Heading("MLPs", "{:.0f}".format),
    "n_all_mlps": Heading("of ", "{:.0f}".format),
    "completeness_pct": Heading(
        "Completeness, %", number, "100 × logit difference of it alone ∕ the model's"
    ),
    "ci_low_completeness_pct": Heading("95 % from", number),
    "ci_high_completeness_pct": Heading("to", number),
    "necessity_pct": Heading(
        "Necessity, %", number, "100 × logit difference of the rest ∕ the model's"
    ),
    "ci_low_necessity_pct": Heading("95 % from ", number),
    "ci_high_necessity_pct": Heading("to ", number),
    "jaccard": Heading("Jaccard", number, "|in both| ∕ |in either|, with the circuit at 20 %"),
    "n_prompts": Heading("Prompts, n", "{:,.0f}".format),
    "components": Heading("Components", " ".join, width=300),
}
PATCHING = {
    "model": Heading("Model", width=150),
    "layer": Heading("Layer", "{:.0f}".format),
    "head": Heading("Head", "{:.0f}".format, "None: all of the layer's, or no heads at all"),
    "role": Heading("Patched at"),
    "recovery": Heading("Recovery", signed, "(patched − corrupted) ∕ (clean − corrupted)"),
    "ci_low_recovery": Heading("95 % from", signed, "2.5 % of 10,000 resamples of the prompts"),
    "ci_high_recovery": Heading("to", signed),
    "mean_effect": Heading("Effect, logits", signed, "Patched less corrupted"),
    "ci_low_effect": Heading("95 % from ", signed),
    "ci_high_effect": Heading("to ", signed),
    "over_layer_mean": Heading("Over the layer's mean", number, "Of its heads"),
    "z_in_layer": Heading("z in the layer", signed, "Among its heads"),
    "n_prompts": Heading("Prompts, n", "{:,.0f}".format),
    "reason": Heading("Why it is not known"),
}
HEAD_SCORES = {
    "model": Heading("Model", width=150),
    "layer": Heading("Layer", "{:.0f}".format),
    "head": Heading("Head", "{:.0f}".format),
    "successor_share": Heading("Says the answer", percent, "Among its first 5 tokens"),
    "copy_share": Heading("Says the foil", percent, "In a sequence the last term given"),
    "chance": Heading("By chance", percent, "5 over the vocabulary"),
    "n_prompts": Heading("Prompts, n", "{:,.0f}".format),
}
HEAD_TOKENS = {
    "model": Heading("Model", width=150),
    "layer": Heading("Layer", "{:.0f}".format),
    "head": Heading("Head", "{:.0f}".format),
    "rank": Heading("Rank", "{:.0f}".format),
    "token": Heading("Token", repr, "In quotes, since many start with a space"),
    "share": Heading("On", percent, "Prompts with it among the head's first 5 tokens"),
    "chance": Heading("By chance", percent, "5 over the vocabulary"),
    "n_prompts": Heading("Prompts, n", "{:,.0f}".format),
}
EDGES = {
    "model": Heading("Model", width=150),
    "source": Heading("From"),
    "destination": Heading("To"),
    "reader": Heading("Read by", None, "q, k, v of a head; the MLP; the logits"),
    "delta_p_edge": Heading("Points", signed, "Of the logit difference; below 0: lost without it"),
    "ci_low_delta_p_edge": Heading("95 % from", signed, "2.5 % of 10,000 resamples of the prompts"),
    "ci_high_delta_p_edge": Heading("to", signed),
    "is_kept": Heading("Kept", {True: "yes", False: "no"}.get, "It costs more than the budget"),
    "n_prompts": Heading("Prompts, n", "{:,.0f}".format),
}
PROBES = {
    "model": Heading("Model", width=150),
    "site": Heading("Read off", None, "resid_mid: the stream; value: a head's values"),
    "layer": Heading("Layer", "{:.0f}".format),
    "head": Heading("Head", "{:.0f}".format),
    "read_at": Heading("At the token"),
    "metric": Heading("Metric"),
    "mean_value": Heading("Value", number, "Mean of the seeds, held-out prompts"),
    "least_value": Heading("least", number),
    "most_value": Heading("most", number),
    "mean_control": Heading("Control", number, "Trained on permuted labels"),
    "gain": Heading("Gain", signed, "Value less its control"),
    "ci_low_gain": Heading("95 % from", signed, "Student's t over the seeds"),
    "ci_high_gain": Heading("to", signed),
    "baseline": Heading("Baseline", number, "Always one class, or a coin"),
    "n_seeds": Heading("Seeds", "{:.0f}".format),
    "n_classes": Heading("Classes", "{:.0f}".format),
    "n_train": Heading("Trained on", "{:,.0f}".format),
    "n_test": Heading("Held out, n", "{:,.0f}".format),
}
NOISE = {
    "sigma": Heading("Sigma", number),
    "mean_alignment": Heading("A", number, "Mean of the seeds"),
    "least_alignment": Heading("least", number),
    "most_alignment": Heading("most", number),
    "mean_null": Heading("Null", number, "Influences shuffled within a type"),
    "mean_similarity": Heading("Similarity", number),
    "mean_ld": Heading("Logit difference", signed, "Of the disturbed student"),
    "share_doing_task": Heading("Does the task", percent, "Share of the seeds"),
    "n_seeds": Heading("Seeds", "{:.0f}".format),
    "n_prompts": Heading("Prompts, n", "{:,.0f}".format),
}
NIGHT_MODELS = {
    "repo": Heading("Repository", width=200),
    "base": Heading("Base"),
    "relation": Heading("Is its", None, "By the hub's tags"),
    "state": Heading("State"),
    "reason": Heading("Why", None, None, 220),
    "label": Heading("Verdict", None, "The weightier of structure and output"),
    "median_non_max_x_eps": Heading("Scar, × ε", number, "Median of the seeds but the largest"),
    "n_seeds": Heading("Seeds", "{:.0f}".format),
    "centroid_distance": Heading("Centroid, logits", number),
    "centroid_floor": Heading("its floor", number),
    "n_prompts": Heading("Prompts, n", "{:,.0f}".format),
    "teacher_claims": Heading("Claimed teacher", None, "Claims, never results", 160),
    "quantisation": Heading("Quantised", None, "How its weights are stored"),
    "licence": Heading("Licence"),
    "n_params": Heading("Parameters", "{:,.0f}".format),
    "download_bytes": Heading("Bytes", "{:,.0f}".format),
    "modified_at": Heading("Modified", instant),
}
NIGHTS = {
    "night": Heading("Night", "{:.0f}".format),
    "started_at": Heading("Began", instant),
    "outcome": Heading("Listing"),
    "n_listed": Heading("Listed", "{:,.0f}".format, "Overlaps counted again"),
    "n_new": Heading("New", "{:,.0f}".format),
    "n_queued": Heading("Can be measured", "{:,.0f}".format),
    "n_measured": Heading("Measured", "{:,.0f}".format),
    "n_failed": Heading("Failed", "{:,.0f}".format),
    "downloaded_bytes": Heading("Bytes", "{:,.0f}".format, "Bases left out"),
    "n_alerts": Heading("Alerts", "{:,.0f}".format),
}
