"""What the columns of the tables of pairs mean."""

from dashboard.tables import Heading
from dashboard.words import duration, instant, number, signed, unit_said

PAIR = {
    "family": Heading("Family"),
    "derivative": Heading("Derivative", width=190),
    "base": Heading("Base"),
}
CENTROID_CRP = {
    **PAIR,
    "divergence": Heading("They say", None, "How centroid and CRP diverge", 150),
    "centroid_distance": Heading(
        "Centroid, logits", number, "‖mean over prompts of (t′ − t)‖, t the 20 gaps"
    ),
    "ci_low_centroid_distance": Heading("95 % from", number, "Over prompts"),
    "ci_high_centroid_distance": Heading("to", number),
    "centroid_floor": Heading("its floor", number, "Larger of self-baseline and sign-flip null"),
    "crp_distance": Heading("CRP, logits", number, "mean over prompts of ‖t′ − t‖, t the 20 gaps"),
    "ci_low_crp_distance": Heading("95 % of CRP, from", number, "Over prompts"),
    "ci_high_crp_distance": Heading("to ", number),
    "crp_floor": Heading("floor of CRP", number, "Noise of the base's own text, split in halves"),
    "cancellation": Heading("CRP ∕ centroid", number, "1: nothing cancels"),
    "null_cancellation": Heading(
        "under random signs", number, "CRP over the sign-flip floor: 5 % of draws cancel less"
    ),
    "n_prompts": Heading("Prompts, n", "{:.0f}".format),
    "n_prompts_dropped": Heading("left out", "{:.0f}".format),
    "winner_gap_class": Heading("First gap"),
    "divergence_reason": Heading("Why"),
    "measured_at": Heading("Measured", instant),
}
GAP_PROMPTS = {
    "prompt_id": Heading("Prompt", width=170),
    "category": Heading("Category"),
    "d1": Heading("First gap, logits", signed, "Derivative less base"),
    "noise_se": Heading("± noise", number, "Standard error within the prompt's two texts"),
    "is_signif": Heading("Beyond it", None, "Whether the difference exceeds twice its noise"),
    "dominant_k": Heading("Dominant gap", "{:.0f}".format, "With the largest difference"),
    "g1_share": Heading("Share of G₁", number, "In the prompt's squared difference, 0 to 1"),
    "distance": Heading("Distance, logits", number, "Over all 20 gaps; their mean is CRP"),
    "reason": Heading("Why there is none"),
}
GAPS = {
    "k": Heading("Gap", "{:.0f}".format),
    "n_dominant": Heading("Dominates, prompts", "{:.0f}".format),
    "n_up": Heading("Up", "{:.0f}".format, "Prompts where the derivative's is larger"),
    "n_down": Heading("Down", "{:.0f}".format),
    "n_prompts": Heading("Prompts, n", "{:.0f}".format),
    "mean_signed": Heading("Mean, logits", signed, "Differences with their signs"),
    "mean_abs": Heading("Mean size, logits", number, "Without them"),
    "cancellation": Heading("Cancellation", number, "mean of |x| ∕ |mean of x|; 1: none"),
    "cancellation_noise_p": Heading(
        "p of noise", number, "Share of draws of pure noise that cancel at least as much"
    ),
    "sign_p": Heading("p of signs", number, "Two-sided sign test"),
}
TRIANGLES = {
    **PAIR,
    "verdict": Heading("Verdict", None, "By the rule below", 190),
    "magnitude": Heading(
        "D ∕ C to report", number, "Against the scale-matched reference; by CRP where D is noise"
    ),
    "primary_reference": Heading("Reference", None, "Scale-matched, of another family"),
    "dc_primary": Heading("D ∕ C", number, "By centroid"),
    "low_dc_primary": Heading("from", number, "D's lower end over C's upper: at least 90 %"),
    "high_dc_primary": Heading("to", number),
    "dc_primary_crp": Heading("by CRP", number),
    "shared_comparator": Heading("Comparator", None, "One for all triangles"),
    "dc_shared": Heading("D ∕ C ", number, "By centroid"),
    "low_dc_shared": Heading("from ", number),
    "high_dc_shared": Heading("to ", number),
    "dc_shared_crp": Heading("by CRP ", number),
    "d": Heading("D, logits", number, "Centroid distance from base to derivative"),
    "self_baseline": Heading("its floor", number, "Self-baseline: the base's halves of prompts"),
    "d_crp": Heading("D by CRP", number),
    "crp_floor": Heading("floor of CRP", number),
    "n_prompts": Heading("Prompts, n", "{:.0f}".format),
    "recorded_verdict": Heading("Recorded", None, "By `cicatrix verdict`, when it was asked"),
    "why": Heading("Why"),
    "measured_at": Heading("Measured", instant),
}
EXTREMES = {
    "family": Heading("Family"),
    "loudest": Heading("Loudest", width=180),
    "loudest_median_x_eps": Heading(
        "its scar, × ε", number, "Median without the largest seed of |τ − τ of its base| ∕ 0.0001"
    ),
    "loudest_low_x_eps": Heading("from", number, "Smallest seed"),
    "loudest_high_x_eps": Heading("to", number, "Largest seed but one"),
    "loudest_n_seeds": Heading("Seeds, n", "{:.0f}".format),
    "quietest": Heading("Quietest", width=180),
    "quietest_median_x_eps": Heading("its scar, × ε ", number),
    "quietest_low_x_eps": Heading("from ", number),
    "quietest_high_x_eps": Heading("to ", number),
    "quietest_n_seeds": Heading("Seeds, n ", "{:.0f}".format),
    "n_above": Heading("Above the floor", "{:.0f}".format, "1 ε, or the pair's own noise"),
    "n_pairs": Heading("of", "{:.0f}".format),
    "measured_at": Heading("Measured", instant),
}
NEEDS = {
    "family": Heading("Family"),
    "layer": Heading("Layer"),
    "n_pairs": Heading("Known distilled", "{:.0f}".format),
    "n_null": Heading("Known not", "{:.0f}".format),
    "p_least": Heading("Smallest p", number, "That so many non-distilled can give"),
    "missing": Heading("Missing"),
    "measured_at": Heading("Measured", instant),
}
HOLDINGS = {
    "method": Heading("Method"),
    "n_measurements": Heading("Measurements", "{:,.0f}".format),
    "n_models": Heading("Models", "{:,.0f}".format),
    "n_records": Heading("Records", "{:,.0f}".format),
    "duration_s": Heading("Took", duration, "Time its units took to measure"),
    "first_at": Heading("First", instant),
    "measured_at": Heading("Newest", instant),
}
NODES = {
    "model": Heading("Model", width=190),
    "kind": Heading("It is"),
    "family": Heading("Family"),
    "x_eps": Heading("Scar, × ε", number, "Median without the largest seed"),
    "structural_status": Heading("Against its floor"),
    "n_derivatives": Heading("Derivatives", "{:.0f}".format),
    "is_distilled": Heading("Distilled", None, "Where it is known"),
    "model_id": Heading("Id"),
}
EDGES = {
    "kind": Heading("Lineage of"),
    "from_model": Heading("From", width=180),
    "to_model": Heading("To", width=180),
    "family": Heading("Family"),
    "evidence": Heading("Evidence"),
    "is_measured": Heading("Measured", None, "Else only declared"),
    "x_eps": Heading("Scar, × ε", number),
    "structural_status": Heading("Against its floor"),
}
EVIDENCE = {
    "quantity": Heading("Quantity", width=190),
    "variant": Heading("Of"),
    "value": Heading("Value", number),
    "low": Heading("from", number),
    "high": Heading("to", number),
    "spread": Heading("which is", None, "What the two ends are"),
    "floor": Heading("Floor", number, "What noise or a null alone reaches"),
    "unit": Heading("Unit", unit_said),
    "n": Heading("n", "{:,.0f}".format),
    "n_of": Heading("of"),
    "status": Heading("Status", width=150),
    "reason": Heading("Why", width=260),
    "measured_at": Heading("Measured", instant),
}
PUBLISHED = {
    "quantity": Heading("Quantity"),
    "pair": Heading("Pair", width=150),
    "convention": Heading("As"),
    "value": Heading("Value", number),
    "low": Heading("from", number),
    "high": Heading("to", number),
    "text": Heading("Label"),
    "unit": Heading("Unit", unit_said),
    "source": Heading("Source"),
    "place": Heading("Place"),
}
DIFFERENCES = {
    "quantity": Heading("Quantity", width=180),
    "mode": Heading("Mode"),
    "mean_difference": Heading("Difference", signed, "Mean of the one less the other"),
    "low": Heading("from", signed),
    "high": Heading("to", signed),
    "spread": Heading("which is"),
    "is_apart": Heading("Excludes 0"),
    "mean_a": Heading("The one", number),
    "mean_b": Heading("The other", number),
    "unit": Heading("Unit", unit_said),
    "n": Heading("Pairs, n", "{:.0f}".format),
    "n_of": Heading("of"),
    "measured_at": Heading("Measured", instant),
}


def side_by_side(one: str, other: str) -> dict[str, Heading]:
    """Columns of the evidence of two derivatives, each called by its name."""
    columns = {
        "layer": Heading("Layer"),
        "quantity": Heading("Quantity", width=170),
        "variant": Heading("Of"),
        "unit": Heading("Unit", unit_said),
    }
    for end, name in (("", f"1: {one}"), ("_b", f"2: {other}")):
        pad = " " * bool(end)  # names of columns must differ
        columns |= {
            f"value{end}": Heading(name, number),
            f"low{end}": Heading(f"from{pad}", number),
            f"high{end}": Heading(f"to{pad}", number),
            f"floor{end}": Heading(f"floor{pad}", number),
            f"n{end}": Heading(f"n{pad}", "{:,.0f}".format),
            f"status{end}": Heading(f"status{pad}"),
        }
    return columns


LINEAGES = {
    **PAIR,
    "weight_lineage": Heading("Weights", width=150),
    "median_cosine": Heading("Cosine", number, "Median of blocks, with the base's"),
    "median_null_cosine": Heading("its null", number),
    "median_margin": Heading("Margin", number, "Above the null, after matching where needed"),
    "median_rel_displacement": Heading("Moved", number, "In parts of the base's norm"),
    "unchanged_frac": Heading("Equal entries", number, "Share, 0 to 1"),
    "n_layers_related": Heading("Blocks above", "{:.0f}".format),
    "n_layers": Heading("of", "{:.0f}".format),
    "n_compared": Heading("Matrices, n", "{:.0f}".format),
    "capability_lineage": Heading("Skill from", width=150),
    "capability_lineage_reason": Heading("Why it is not known"),
    "weight_lineage_reasons": Heading("Why, weights"),
    "measured_at": Heading("Measured", instant),
}
BLOCKS = {
    "layer": Heading("Block", "{:.0f}".format, "A dash: embedding and head"),
    "base_layer": Heading("Base's", "{:.0f}".format),
    "median_cosine": Heading("Cosine", number, "Median of its matrices"),
    "median_null_cosine": Heading("its null", number),
    "median_aligned_cosine": Heading("matched", number, "After matching neurons or heads"),
    "median_margin": Heading("Margin", number, "Above 0: it comes from the base's"),
    "median_rel_displacement": Heading("Moved", number, "In parts of the base's norm"),
    "median_effective_rank": Heading("Effective rank", number, "Of the difference"),
    "max_numerical_rank": Heading("Rank", "{:.0f}".format, "Largest of a difference; a LoRA's"),
    "unchanged_frac": Heading("Equal entries", number, "Share, 0 to 1"),
    "n_compared": Heading("Matrices, n", "{:.0f}".format),
    "n_weights": Heading("of", "{:.0f}".format),
}
