"""What the tables' columns mean, and how the numbers of a page are measured."""

from dashboard.tables import Heading
from dashboard.words import duration, instant, number

SUMMARY = {
    "family": Heading("Family"),
    "derivative": Heading("Derivative"),
    "base": Heading("Base"),
    "structural_status": Heading("Structure", None, "Median distance of the seeds but the largest, against 1 ε"),
    "min_non_max_x_eps": Heading("Scar from, × ε", number, "Smallest seed"),
    "max_non_max_x_eps": Heading("to, × ε", number, "Largest seed but one"),
    "max_seed": Heading("Largest seed", "{:.0f}".format, "The seed that is kept apart"),
    "max_seed_x_eps": Heading("its scar, × ε", number),
    "n_seeds": Heading("Seeds", "{:.0f}".format),
    "functional_status": Heading("Output", None, "Centroid or CRP distance against its floor, mode free"),
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

FAMILIES = """
**Structural scar.** 32 prompts of a bank of 512, chosen and ordered by a seed, pass through a model. At two sites, before
and after the final norm, each prompt gives the resultant length of its token states:

&emsp;τ = ‖Σₜ xₜ‖ ∕ Σₜ ‖xₜ‖, between 0 and 1; first token and padding left out.

The 64 values of a seed form a vector; the scar is the Euclidean distance between the vectors of derivative and base,
in multiples of ε = 0.0001. The seed with the largest distance is kept apart, since one unusual prompt can carry it.

**Its floor.** 1 ε as published, or the measured ε if that is larger: the distance of the same weights from themselves in
another batch size and order. Above 0.0001 of measured ε no multiple is interpretable.

**Functional distance.** From 20 gaps between sorted logits, less their fit by a Poisson process, a template per prompt.
*Centroid*: distance between the two models' mean templates. *CRP*: mean over prompts of the distance between the two
templates, never less than the centroid's. Floors: for the centroid the larger of the base's self-baseline (halves of the
prompts against each other) and the 95th percentile under random signs; for CRP the noise between halves of the base's text.

**What can go wrong.** A family stands where its loudest derivative stands, so one long fine-tune can place it; compare
derivatives made alike. Multiples of ε compare only within one definition of τ, one bank and the same seeds. Small embedded
models show that the instrument works, not how large models behave. Opposite changes cancel in the centroid but not in CRP.

**Source.** Coslett 2026, *Family-graded scars of reasoning distillation*; it does not disclose its statistic. τ, the
sign-flip floor and the CRP floor are our definitions, so these multiples of ε are not those of its tables.
"""
