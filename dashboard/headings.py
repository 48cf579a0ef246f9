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
    "min_non_max_x_eps": Heading("Scar from, × ε", number, "Smallest seed"),
    "max_non_max_x_eps": Heading("to, × ε", number, "Largest seed but one"),
    "max_seed": Heading("Largest seed", "{:.0f}".format, "The seed that is kept apart"),
    "max_seed_x_eps": Heading("its scar, × ε", number),
    "n_seeds": Heading("Seeds", "{:.0f}".format),
    "functional_status": Heading(
        "Output", None, "Centroid or CRP distance against its floor, mode free", 130
    ),
    "centroid_distance": Heading("Centroid, logits", number, "Distance of the mean templates"),
    "centroid_floor": Heading("its floor", number, "Larger of self-baseline and sign-flip null"),
    "crp_distance": Heading("CRP, logits", number, "Mean of the distances per prompt"),
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
