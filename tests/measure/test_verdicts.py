from dataclasses import replace

import pytest

from measure import published, verdicts
from measure.verdicts import Claim, Evidence, Scar, Triangle

ROWS = published.load()


def number(quantity, subject, convention=None, source="S0"):
    """The published value, or None where there is none."""
    found = [
        row.value
        for row in ROWS
        if (row.quantity, row.subject, row.convention) == (quantity, subject, convention)
        and row.source.startswith(source)
    ]
    assert len(found) <= 1
    return found[0] if found else None


def published_scars():
    table = [row for row in ROWS if row.place == "Table 1"]
    largest = {row.subject: row.value for row in table if row.convention == "max_seed"}
    this_seed = "seed 123, the max_seed"
    return {
        row.subject: Scar(
            pair=row.subject,
            family=row.family,
            origin="published",
            min_non_max=row.low,
            max_non_max=row.high,
            max_seed=largest[row.subject],
            gini_max_seed=number("gini_d2", row.subject, this_seed),
            top_dim_share_max_seed=number("top_dim_share", row.subject, this_seed),
        )
        for row in table
        if row.convention == "non_max_range"
    }


SCARS = published_scars()


def published_triangle(model):
    to_shared, primary = "base to shared comparator", "derivative to primary reference, absolute"
    return Triangle(
        dc_primary=number("dc_ratio", model, "primary, centroid"),
        dc_shared=number("dc_ratio", model, "shared, centroid"),
        dc_primary_crp=number("dc_ratio", model, "primary, crp"),
        d=number("centroid_distance", model, "base to derivative"),
        c_primary=number("centroid_distance", model, "base to primary reference"),
        c_shared=number("centroid_distance", model, to_shared),
        crp_shared=number("crp_distance", model, to_shared),
        self_baseline=number("self_baseline", model, "base"),
        shift_1=number("g1_shift", model),
        shift_1_to_reference=number("g1_gap", model, primary),
    )


# Structural: Table 1.


def test_families_come_in_the_published_order():
    assert len(SCARS) == 5
    assert verdicts.family_order(list(SCARS.values())).label == "Mistral > Llama > Qwen"


def test_a_family_range_is_the_union_of_non_max_ranges_and_drops_nothing_silently():
    mistral, llama, qwen = verdicts.family_ranges(list(SCARS.values()))
    assert (mistral.low, mistral.high) == (7701, 8234)
    assert (llama.low, llama.high, llama.n_pairs) == (1264, 4321, 2)
    assert (qwen.low, qwen.high) == (141, 516)  # without 3,616, and without 273 by convention
    apart = {pair: (x_eps, why) for pair, x_eps, why in qwen.apart}
    assert apart["Qwen-14B"][0] == 3616
    assert apart["Qwen-14B"][1].startswith("concentration anomaly: ")
    assert "0.96" in apart["Qwen-14B"][1] and "0.502" in apart["Qwen-14B"][1]
    assert apart["Qwen-32B"] == (273, "the largest seed, apart by convention")
    shown = verdicts.family_order(list(SCARS.values())).reasons
    assert any("Qwen-14B 3,616 eps: concentration anomaly" in reason for reason in shown)


def test_only_the_14b_is_a_concentration_anomaly():
    labels = {pair: verdicts.concentration_anomaly(scar).label for pair, scar in SCARS.items()}
    assert labels == {pair: "anomaly" if pair == "Qwen-14B" else "no anomaly" for pair in SCARS}


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({"gini_max_seed": 0.89}, "no anomaly"),
        ({"gini_max_seed": 0.90}, "anomaly"),
        ({"top_dim_share_max_seed": 0.39}, "no anomaly"),
        ({"top_dim_share_max_seed": 0.40}, "anomaly"),
        ({"max_seed": 1547.0}, "no anomaly"),  # 3 x 516 = 1548
        ({"max_seed": 1548.0}, "anomaly"),
        ({"gini_max_seed": None}, "unknown"),
        ({"gini_max_seed": None, "top_dim_share_max_seed": 0.1}, "no anomaly"),
    ],
)
def test_an_anomaly_needs_all_three_signs(change, label):
    scar = replace(SCARS["Qwen-14B"], **change)
    assert verdicts.concentration_anomaly(scar).label == label
    (qwen,) = verdicts.family_ranges([scar])
    assert qwen.high == 516 and len(qwen.apart) == 1  # beside the range, whatever it is


def test_the_range_ratio_leaves_the_anomaly_out():
    assert verdicts.range_ratio(list(SCARS.values())) == pytest.approx(60.4, abs=0.05)
    qwen = [scar for scar in SCARS.values() if scar.family == "Qwen"]
    assert verdicts.range_ratio(qwen) == 516 / 141  # not 3616 / 141, which is the anomaly


def test_every_published_pair_is_above_the_closest_known_attack():
    assert verdicts.DEFAULT.attack_published_x_eps == number(
        "closest_attack", "closest known attack"
    )
    assert {verdicts.above_attack(scar).label for scar in SCARS.values()} == {"above"}
    small = replace(SCARS["Qwen-32B"], min_non_max=10.7)
    assert verdicts.above_attack(small).label == "not above"
    assert verdicts.above_attack(replace(small, origin="measured")).label == "not comparable"


def test_ranges_that_overlap_are_not_ordered():
    a, b, c = (
        replace(SCARS["Qwen-32B"], family=family, min_non_max=low, max_non_max=high, max_seed=high)
        for family, low, high in (("A", 10, 1000), ("B", 500, 600), ("C", 20, 30))
    )
    assert verdicts.family_order([a, b, c]).label == "A ~ B ~ C"  # B is above C, A is not
    assert verdicts.family_order([c, b]).label == "B > C"
    assert verdicts.family_order([]).label == "unknown"


def test_published_and_measured_pairs_are_never_compared():
    both = [SCARS["Llama-8B"], replace(SCARS["Qwen-14B"], origin="measured")]
    with pytest.raises(ValueError, match="published and measured"):
        verdicts.family_order(both)


@pytest.mark.parametrize("cut", [517.0, 1000.0, 1264.0])
def test_published_loudness_is_that_of_table_4_for_any_cut_between(cut):
    limits = verdicts.Thresholds(loud_published_x_eps=cut)
    for scar in SCARS.values():
        expected = "quiet" if scar.family == "Qwen" else "loud"
        assert verdicts.loudness(scar, limits=limits).label == expected


def test_a_published_range_across_the_cut_leaves_loudness_open():
    across = replace(SCARS["Llama-8B"], min_non_max=900)
    assert verdicts.loudness(across).label == "unknown"
    assert verdicts.loudness(replace(across, median_non_max=999)).label == "quiet"
    assert verdicts.loudness(replace(across, median_non_max=1000)).label == "loud"


MEASURED = Scar(
    pair="p",
    family="Llama",
    origin="measured",
    min_non_max=800,
    median_non_max=950,
    max_non_max=1200,
    max_seed=1300,
    eps_measured=1e-6,
)


def test_measured_loudness_is_relative_to_non_distilled_derivatives():
    null = [100.0 * n for n in range(11)]  # 0 .. 1000: the 90th percentile is 900
    assert verdicts.loudness(MEASURED, null).label == "loud"
    assert verdicts.loudness(replace(MEASURED, median_non_max=900), null).label == "quiet"
    # the published cut of 1,000 plays no part
    assert verdicts.loudness(replace(MEASURED, median_non_max=5000), [9000.0] * 9).label == "quiet"


def test_measured_loudness_says_what_is_missing():
    few = verdicts.loudness(MEASURED, [1.0] * 6)
    assert few.label == "unknown"
    assert few.reasons == ("6 non-distilled derivatives, 9 needed: 3 missing",)
    noisy = verdicts.loudness(replace(MEASURED, eps_measured=2e-4), [1.0] * 9)
    assert noisy.label == "not interpretable"
    assert verdicts.loudness(replace(MEASURED, median_non_max=0.9), [0.1] * 9).label == (
        "not interpretable"
    )


@pytest.mark.parametrize(
    ("eps", "label", "part"),
    [
        (None, "unknown", "no rerun"),
        (0.0, "valid", "raised to 1e-07"),
        (1e-4, "valid", "noise 0.0001"),
        (1.01e-4, "invalid", "exceeds the allowed 1e-04"),
    ],
)
def test_eps_gate(eps, label, part):
    gate = verdicts.eps_gate(eps)
    assert gate.label == label
    assert part in gate.reasons[0]
    published_eps = [row.value for row in ROWS if row.quantity == "eps"]
    assert verdicts.DEFAULT.eps_limit == min(published_eps)


# Functional: Table 2, sections 4.4 and 4.5.


@pytest.mark.parametrize(
    ("model", "label", "d_below_sb", "shared_patho", "magnitude"),
    [
        ("Qwen-1.5B", "No break (robust)", None, None, 0.54),
        ("Qwen-7B", "No break (robust)", None, None, 0.48),
        ("Llama-8B", "Break (robust)", None, True, 1.66),
        ("Qwen-14B", "Marginal / reference-sensitive", None, None, 1.07),
        ("Mistral-24B", "Marginal (per-prompt)", True, True, 1.02),
    ],
)
def test_published_triangles(model, label, d_below_sb, shared_patho, magnitude):
    found = verdicts.triangle(published_triangle(model))
    assert found.label == label
    assert found.d_below_sb is d_below_sb
    assert found.shared_patho is shared_patho
    assert found.magnitude == magnitude
    stated = " | ".join(found.reasons)
    assert ("D_below_SB unknown" in stated) == (d_below_sb is None)
    assert ("shared_patho:" in stated) == (shared_patho is True)
    assert (found.reference_neighbour is True) == (model == "Qwen-14B")
    assert ("reference_neighbour" in stated) == (model == "Qwen-14B")


def test_the_24b_reference_is_itself_below_the_floor():
    reasons = verdicts.triangle(published_triangle("Mistral-24B")).reasons
    assert any(reason.startswith("C_primary 0.341 is below") for reason in reasons)


def test_both_references_are_named_in_the_reason():
    reasons = verdicts.triangle(published_triangle("Llama-8B")).reasons
    assert reasons[0] == "both references agree, D/C 1.66 and 5.59"


BELOW = Triangle(dc_primary=3, dc_shared=3, dc_primary_crp=1.0, d=0.1, self_baseline=0.2)


@pytest.mark.parametrize(
    ("ratio", "label"),
    [
        (1.06, "Break (per-prompt)"),
        (1.05, "Marginal (per-prompt)"),
        (0.95, "Marginal (per-prompt)"),
        (0.94, "No break (per-prompt)"),
        (None, "Not interpretable"),
    ],
)
def test_below_its_floor_a_triangle_is_judged_per_prompt(ratio, label):
    found = verdicts.triangle(replace(BELOW, dc_primary_crp=ratio))
    assert (found.label, found.magnitude) == (label, ratio)


def test_an_unknown_baseline_is_listed_and_taken_as_not_below():
    found = verdicts.triangle(replace(BELOW, self_baseline=None))
    assert found.label == "Break (robust)"
    assert found.d_below_sb is None
    assert any(reason.startswith("D_below_SB unknown") for reason in found.reasons)
    assert verdicts.triangle(replace(BELOW, self_baseline=0.1)).d_below_sb is False  # not below


def test_a_ratio_of_exactly_one_is_no_break():
    assert verdicts.triangle(Triangle(dc_primary=1, dc_shared=1)).label == "No break (robust)"


def test_without_a_reference_there_is_no_verdict():
    context = number("dc_ratio", "Llama-70B", "contextual")
    found = verdicts.triangle(Triangle(dc_primary=context))
    assert found.label == "Not interpretable"
    assert "shared comparator" in found.reasons[0]


@pytest.mark.parametrize(
    ("c_shared", "crp_shared", "expected"),
    [
        (0.19, None, True),  # below the baseline of 0.2
        (0.2, 1.0, True),  # CRP/C = 5
        (0.2, 0.99, False),
        (0.2, None, None),
        (None, None, None),
    ],
)
def test_shared_patho_needs_one_sign_and_never_changes_the_verdict(c_shared, crp_shared, expected):
    row = Triangle(dc_primary=2, dc_shared=2, d=1, self_baseline=0.2)
    found = verdicts.triangle(replace(row, c_shared=c_shared, crp_shared=crp_shared))
    assert found.shared_patho is expected
    assert found.label == "Break (robust)"
    assert found.magnitude == 2


def test_cancellation_is_the_published_one():
    for model in ("Llama-8B", "Mistral-24B"):
        row = published_triangle(model)
        ratio = verdicts.cancellation(row.crp_shared, row.c_shared)
        expected = number("cancellation", model, "base to shared comparator")
        assert ratio == pytest.approx(expected, abs=0.05)
    assert verdicts.cancellation(1.0, 0.0) is None
    assert verdicts.cancellation(None, 1.0) is None


# Thermodynamic.


def test_published_delta_norms_pass_the_gate():
    rows = [row for row in ROWS if row.quantity == "delta_norm"]
    assert [row.value for row in rows] == [0.318, 0.309]
    for row in rows:
        found = verdicts.delta_norm_gate(row.value, row.value - 0.01, row.value + 0.01)
        assert found.label == "pass"


def test_the_delta_norm_constant_is_the_mean_of_the_ratio_for_exponential_spacings():
    """1/S = int_0^inf exp(-t S) dt, and for G_k ~ Exp(rate k) the mean factorises:

    E[G3/S] = int E[exp(-t G2)] E[G3 exp(-t G3)] E[exp(-t G4)] dt
            = int 2/(2+t) * 3/(3+t)^2 * 4/(4+t) dt
    """
    steps = 100_000
    total = 0.0
    for step in range(steps):  # t = u / (1 - u), dt = du / (1 - u)^2
        u = (step + 0.5) / steps
        t = u / (1 - u)
        total += 24 / ((3 + t) ** 2 * (2 + t) * (4 + t)) / (1 - u) ** 2
    assert total / steps == pytest.approx(verdicts.DELTA_NORM, abs=1e-8)


@pytest.mark.parametrize(
    ("delta", "label"),
    [
        (0.3178 - 0.0158, "pass"),
        (0.3178 - 0.0160, "fail"),  # 0.3018, inside the range of extreme-value classes
        (0.3178 + 0.0158, "pass"),
        (0.3178 + 0.0160, "fail"),
        (0.2999, "broken extraction"),
        (0.3361, "broken extraction"),
        (None, "not interpretable"),
    ],
)
def test_delta_norm_gate(delta, label):
    assert verdicts.delta_norm_gate(delta, 0.31, 0.32).label == label


def test_a_delta_norm_without_an_interval_does_not_pass():
    assert verdicts.delta_norm_gate(0.318, None, None).label == "not interpretable"


# Admissibility: Table 4 and the rule of layers.


def pattern(family):
    (text,) = [
        row.text for row in ROWS if (row.quantity, row.subject) == ("cross_layer_pattern", family)
    ]
    return text


@pytest.mark.parametrize(
    ("family", "models", "label", "published_word"),
    [
        ("Llama", ["Llama-8B"], "Coupled: both loud", "coupled-loud"),
        ("Qwen", ["Qwen-1.5B", "Qwen-7B", "Qwen-14B"], "Coupled: both quiet", "coupled-quiet"),
        ("Mistral", ["Mistral-24B"], "Decoupled", "decoupled"),
    ],
)
def test_table_4(family, models, label, published_word):
    assert pattern(family) == published_word
    loud = {verdicts.loudness(s).label for s in SCARS.values() if s.family == family}
    breaks = {verdicts.triangle(published_triangle(model)).label for model in models}
    assert loud and breaks
    assert {verdicts.cross_layer(a, b).label for a in loud for b in breaks} == {label}


@pytest.mark.parametrize(
    ("loud", "triangle", "label"),
    [
        ("loud", "Break (per-prompt)", "Coupled: both loud"),
        ("loud", "No break (robust)", "Decoupled"),
        ("quiet", "Break (robust)", "Decoupled (inverse)"),
        ("quiet", "Marginal (per-prompt)", "Coupled: both quiet"),
        ("quiet", "Not interpretable", "unknown"),
        ("not interpretable", "Break (robust)", "unknown"),
        ("unknown", "Break (robust)", "unknown"),
    ],
)
def test_cross_layer(loud, triangle, label):
    assert verdicts.cross_layer(loud, triangle).label == label


CLAIM = Claim(text="distillation left a structural scar", layer="structural")
FOR = Evidence(name="tau", layer="structural", supports=True)
OTHER = Evidence(name="template", layer="functional", supports=True)


@pytest.mark.parametrize(
    ("evidence", "label"),
    [
        ([], "unsupported"),
        ([FOR], "supported"),
        ([replace(FOR, supports=False)], "contradicted"),
        ([replace(FOR, supports=None)], "unsupported"),
        ([OTHER], "unsupported"),  # another layer never supports
        ([replace(OTHER, supports=False)], "unsupported"),  # nor contradicts
        ([FOR, replace(OTHER, supports=False)], "supported"),
        ([FOR, replace(FOR, name="again", supports=False)], "unsupported"),
        ([replace(FOR, is_concentration_anomaly=True)], "unsupported"),
        ([replace(FOR, supports=False, rho_f=0.86)], "unsupported"),
    ],
)
def test_a_claim_is_judged_by_its_own_layer_alone(evidence, label):
    assert verdicts.judge_claim(CLAIM, evidence).label == label


def test_other_layers_are_context_and_what_is_inadmissible_is_named():
    damped = replace(FOR, name="kappa_F", rho_f=0.86)
    found = verdicts.judge_claim(CLAIM, [FOR, OTHER, damped])
    assert found.reasons == ("by structural evidence: tau",)
    assert found.context == ("template (functional)",)
    assert found.inadmissible == ("kappa_F: rho_F 0.86, damping-dominated",)


@pytest.mark.parametrize("row", [f"unnamed {n}" for n in (1, 2, 3, 4)])
def test_published_fisher_rows_are_admissible_unless_damped(row):
    (status,) = [r.text for r in ROWS if (r.quantity, r.subject) == ("fisher_status", row)]
    faults = verdicts.why_inadmissible(replace(FOR, rho_f=number("rho_f", row)))
    assert bool(faults) == (status == "Damping-dominated")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"rho_f": 0.999}, "rho_F"),
        ({"rho_f": 1.0}, None),
        ({"is_d_below_sb": True}, "D_below_SB"),
        ({"is_concentration_anomaly": True}, "concentration anomaly"),
        ({"zero_gap_frac": 0.011}, "gaps are 0"),
        ({"zero_gap_frac": 0.01}, None),
    ],
)
def test_what_makes_evidence_inadmissible(change, part):
    faults = verdicts.why_inadmissible(replace(FOR, **change))
    assert len(faults) == (part is not None)
    assert part is None or part in faults[0]


def test_the_published_triangle_of_24b_is_no_support():
    """Its centroid distance lies below the self-baseline: 0.392 against 0.403."""
    below = verdicts.triangle(published_triangle("Mistral-24B")).d_below_sb
    piece = Evidence(name="24B", layer="functional", supports=True, is_d_below_sb=below)
    claim = Claim(text="the hierarchy is broken", layer="functional")
    found = verdicts.judge_claim(claim, [piece])
    assert found.label == "unsupported"
    assert found.inadmissible[0].startswith("24B: D_below_SB")
