"""What the columns of the tables mean."""

from dashboard.tables import Heading
from dashboard.words import duration, instant, number

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
