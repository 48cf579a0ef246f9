"""Verdicts: what summary numbers allow to be said of a pair, a family or a claim, and why.

Every function takes summary numbers and thresholds and nothing else, so that published tables go
through the same code as measured rows. A number that is not known is None; what depends on it is
then unknown, and the reasons say so. The rules are those of Coslett 2026 where it states one, and
OUR DEFINITION in the thresholds that it leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log
from statistics import quantiles
from typing import Literal

from measure.distances import MAX_ZERO_GAP_FRAC

Origin = Literal["published", "measured"]
Layer = Literal["structural", "functional", "thermodynamic"]

DELTA_NORM = 12 * log(2) - 8  # mean of G3 / (G2 + G3 + G4) for spacings Exp(1/k): 0.3178


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where the verdicts turn; x_eps are multiples of 1e-4."""

    anomaly_gini: float = 0.90
    anomaly_top_dim_share: float = 0.40
    anomaly_max_over_second: float = 3.0
    loud_published_x_eps: float = 1000.0  # holds for the undisclosed tau of the paper alone
    loud_null_percentile: int = 90
    attack_published_x_eps: float = 10.7  # "closest known attack", same tau
    eps_floor: float = 1e-7
    eps_limit: float = 1e-4
    per_prompt_band: float = 0.05
    shared_cancellation: float = 5.0
    neighbour_share: float = 0.1
    delta_norm_tolerance: float = 0.0159
    delta_norm_range: tuple[float, float] = (0.300, 0.336)
    min_rho_f: float = 1.0
    max_zero_gap_frac: float = MAX_ZERO_GAP_FRAC


DEFAULT = Thresholds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A word and its reasons."""

    label: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scar:
    """One row per pair with two seeds or more: its distances over seeds, in multiples of 1e-4."""

    pair: str
    family: str
    origin: Origin
    min_non_max: float
    median_non_max: float | None = None  # a published range leaves it open
    max_non_max: float
    max_seed: float  # the largest seed's distance
    gini_max_seed: float | None = None
    top_dim_share_max_seed: float | None = None
    eps_measured: float | None = None  # distance of a rerun, not in multiples


def eps_gate(eps_measured: float | None, limits: Thresholds = DEFAULT) -> Verdict:
    """'valid', 'invalid' or 'unknown': whether multiples of the noise mean anything."""
    if eps_measured is None:
        return _verdict("unknown", "noise unknown: a model has no rerun")
    if eps_measured > limits.eps_limit:
        what = f"noise {eps_measured:.2g} exceeds the allowed {limits.eps_limit:.0e}"
        return _verdict("invalid", what)
    floored = f", raised to {limits.eps_floor:.0e}" if eps_measured < limits.eps_floor else ""
    return _verdict("valid", f"noise {eps_measured:.2g}{floored}")


def concentration_anomaly(scar: Scar, limits: Thresholds = DEFAULT) -> Verdict:
    """'anomaly' if one dimension makes the largest seed; else 'no anomaly', or 'unknown'."""
    gini, share = scar.gini_max_seed, scar.top_dim_share_max_seed
    found = _all(
        scar.max_seed >= limits.anomaly_max_over_second * scar.max_non_max,
        None if gini is None else gini >= limits.anomaly_gini,
        None if share is None else share >= limits.anomaly_top_dim_share,
    )
    reason = (
        f"largest seed {scar.max_seed:,.4g} eps against {scar.max_non_max:,.4g} of the next, "
        f"Gini {shown(gini)}, {shown(share)} of the squared distance in one dimension"
    )
    return _verdict({True: "anomaly", False: "no anomaly", None: "unknown"}[found], reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRange:
    """Hull of a family's non-max ranges, and beside it every largest seed with its reason."""

    family: str
    low: float
    high: float
    n_pairs: int
    apart: tuple[tuple[str, float, str], ...]  # pair, x_eps, why it is not in the range


def family_ranges(scars: Sequence[Scar], limits: Thresholds = DEFAULT) -> tuple[FamilyRange, ...]:
    """The families' ranges, the one that reaches highest first; published or measured, not both."""
    if len({scar.origin for scar in scars}) > 1:
        raise ValueError("published and measured scars in one comparison: ask for one of them")
    by_family: dict[str, list[Scar]] = {}
    for scar in scars:
        by_family.setdefault(scar.family, []).append(scar)
    found = [
        FamilyRange(
            family=family,
            low=min(scar.min_non_max for scar in members),
            high=max(scar.max_non_max for scar in members),
            n_pairs=len(members),
            apart=tuple((s.pair, s.max_seed, _why_apart(s, limits)) for s in members),
        )
        for family, members in by_family.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.high, one.family)))


def _why_apart(scar: Scar, limits: Thresholds) -> str:
    anomaly = concentration_anomaly(scar, limits)
    if anomaly.label == "no anomaly":
        return "the largest seed, apart by convention"
    prefix = "concentration anomaly" if anomaly.label == "anomaly" else "anomaly unknown"
    return f"{prefix}: {anomaly.reasons[0]}"


def family_order(scars: Sequence[Scar], limits: Thresholds = DEFAULT) -> Verdict:
    """Families by non-max range: 'A > B' where the ranges are apart, 'A ~ B' where they overlap."""
    ranges = family_ranges(scars, limits)
    if not ranges:
        return _verdict("unknown", "no pair is measured")
    label, lowest = ranges[0].family, ranges[0].low
    for one in ranges[1:]:
        label += f" {'>' if lowest > one.high else '~'} {one.family}"
        lowest = min(lowest, one.low)
    reasons = [f"{r.family} {r.low:,.4g}-{r.high:,.4g} eps, n={r.n_pairs}" for r in ranges]
    reasons += [f"{pair} {x_eps:,.4g} eps: {why}" for r in ranges for pair, x_eps, why in r.apart]
    return _verdict(label, *reasons)


def range_ratio(scars: Sequence[Scar], limits: Thresholds = DEFAULT) -> float:
    """Largest max_seed that is no anomaly over the smallest non-max: the published convention."""
    anomalous = [concentration_anomaly(scar, limits).label == "anomaly" for scar in scars]
    highs = [s.max_non_max if a else s.max_seed for s, a in zip(scars, anomalous, strict=True)]
    return max(highs) / min(scar.min_non_max for scar in scars)


def above_attack(scar: Scar, limits: Thresholds = DEFAULT) -> Verdict:
    """'above' the closest known attack, or 'not above'; it is known for the published tau alone."""
    if scar.origin != "published":
        return _verdict("not comparable", "the closest known attack belongs to the published tau")
    is_above = scar.min_non_max > limits.attack_published_x_eps
    return _verdict(
        "above" if is_above else "not above",
        f"smallest {scar.min_non_max:,.4g} eps, attack {limits.attack_published_x_eps:,.4g}",
    )


def loudness(
    scar: Scar, null_medians: Sequence[float] = (), limits: Thresholds = DEFAULT
) -> Verdict:
    """'loud', 'quiet', 'unknown' or 'not interpretable'.

    Published pairs by a fixed cut; measured ones by `null_medians`, the median non-max of the
    other, non-distilled derivatives of all families, in multiples of 1e-4.
    """
    median = scar.median_non_max
    if scar.origin == "published":
        low, high = (scar.min_non_max, scar.max_non_max) if median is None else (median, median)
        cut = limits.loud_published_x_eps
        label = "loud" if low >= cut else "quiet" if high < cut else "unknown"
        return _verdict(label, f"median in {low:,.4g}-{high:,.4g} eps, published cut {cut:,.4g}")
    gate = eps_gate(scar.eps_measured, limits)
    if gate.label != "valid":
        return _verdict("not interpretable", *gate.reasons)
    if median is None:
        return _verdict("not interpretable", "median unknown")
    if median <= 1:
        return _verdict("not interpretable", f"median {median:.3g} eps not above 1")
    n_null, percent = len(null_medians), limits.loud_null_percentile
    needed = ceil(100 / (100 - percent)) - 1  # fewer cannot show a tail this small
    if n_null < needed:
        what = f"{n_null} non-distilled derivatives, {needed} needed: {needed - n_null} missing"
        return _verdict("unknown", what)
    cut = quantiles(null_medians, n=100, method="inclusive")[percent - 1]
    return _verdict(
        "loud" if median > cut else "quiet",
        f"median {median:,.4g} eps, percentile {percent} of {n_null} non-distilled {cut:,.4g}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Triangle:
    """One row per base, derivative and its two references; distances from the base, in logits."""

    dc_primary: float | None = None  # D/C by centroid, scale-matched reference
    dc_shared: float | None = None  # D/C by centroid, shared comparator
    dc_primary_crp: float | None = None
    d: float | None = None  # to the derivative, centroid
    c_primary: float | None = None  # to the primary reference, centroid
    c_shared: float | None = None  # to the shared comparator, centroid
    crp_shared: float | None = None
    self_baseline: float | None = None  # of the base
    shift_1: float | None = None  # derivative minus base in gap 1
    shift_1_to_reference: float | None = None  # derivative minus primary reference in gap 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TriangleVerdict(Verdict):
    """A triangle's word, its flags (None: unknown) and the ratio to report as its magnitude."""

    d_below_sb: bool | None
    shared_patho: bool | None
    reference_neighbour: bool | None
    magnitude: float | None  # against the primary reference; per prompt where d_below_sb


def cancellation(crp: float | None, centroid: float | None) -> float | None:
    """CRP over centroid distance, at least 1; None if either is unknown or the centroid is 0."""
    return None if crp is None or not centroid else crp / centroid


def triangle(row: Triangle, limits: Thresholds = DEFAULT) -> TriangleVerdict:
    """Whether the derivative is farther from its base than another family's model is."""
    d_below_sb = _below(row.d, row.self_baseline)
    ratio = cancellation(row.crp_shared, row.c_shared)
    shared_patho = _any(
        _below(row.c_shared, row.self_baseline),
        None if ratio is None else ratio >= limits.shared_cancellation,
    )
    near = None if row.shift_1 is None else limits.neighbour_share * abs(row.shift_1)
    gap = None if row.shift_1_to_reference is None else abs(row.shift_1_to_reference)
    reference_neighbour = _below(gap, near)
    baseline = f"self-baseline {shown(row.self_baseline)}"
    notes = {
        f"D_below_SB: centroid distance {shown(row.d)}, {baseline}": d_below_sb,
        f"shared_patho: C {shown(row.c_shared)}, {baseline}, CRP/C {shown(ratio)}; "
        "the primary ratio is the magnitude": shared_patho,
        f"reference_neighbour: {shown(gap)} from the primary reference in gap 1, "
        f"shift {shown(row.shift_1)}": reference_neighbour,
        f"C_primary {shown(row.c_primary)} is below its floor, {baseline}": (
            _below(row.c_primary, row.self_baseline)
        ),
        f"D_below_SB unknown: centroid distance {shown(row.d)}, {baseline}": d_below_sb is None,
        f"shared_patho unknown: C {shown(row.c_shared)}, {baseline}": shared_patho is None,
    }
    label, why = _per_prompt(row, limits) if d_below_sb else _by_references(row)
    return TriangleVerdict(
        label=label,
        reasons=(why, *(note for note, is_so in notes.items() if is_so)),
        d_below_sb=d_below_sb,
        shared_patho=shared_patho,
        reference_neighbour=reference_neighbour,
        magnitude=row.dc_primary_crp if d_below_sb else row.dc_primary,
    )


def _per_prompt(row: Triangle, limits: Thresholds) -> tuple[str, str]:
    ratio, band = row.dc_primary_crp, limits.per_prompt_band
    if ratio is None:
        return "Not interpretable", "the centroid distance is below its floor, no D/C per prompt"
    word = "Break" if ratio > 1 + band else "No break" if ratio < 1 - band else "Marginal"
    return f"{word} (per-prompt)", f"D/C per prompt {ratio:.3g}, band 1 +- {band}"


def _by_references(row: Triangle) -> tuple[str, str]:
    if row.dc_primary is None or row.dc_shared is None:
        missing = "primary reference" if row.dc_primary is None else "shared comparator"
        return "Not interpretable", f"D/C against the {missing} is unknown"
    ratios = f"D/C {row.dc_primary:.3g} and {row.dc_shared:.3g}"
    if (row.dc_primary > 1) != (row.dc_shared > 1):
        return "Marginal / reference-sensitive", f"the references disagree, {ratios}"
    label = "Break (robust)" if row.dc_primary > 1 else "No break (robust)"
    return label, f"both references agree, {ratios}"


def delta_norm_gate(
    delta: float | None,
    ci_low: float | None,
    ci_high: float | None,
    limits: Thresholds = DEFAULT,
) -> Verdict:
    """'pass', 'fail', 'broken extraction' or 'not interpretable': a sanity gate, no more."""
    low, high = limits.delta_norm_range
    if delta is None:
        return _verdict("not interpretable", "delta-norm unknown")
    if not low <= delta <= high:
        return _verdict("broken extraction", f"delta-norm {delta:.4f} outside {low}-{high}")
    if ci_low is None or ci_high is None:
        return _verdict("not interpretable", f"delta-norm {delta:.4f} has no interval")
    is_near = abs(delta - DELTA_NORM) <= limits.delta_norm_tolerance
    return _verdict(
        "pass" if is_near else "fail",
        f"delta-norm {delta:.4f} [{ci_low:.4f}, {ci_high:.4f}], {DELTA_NORM:.4f} "
        f"+- {limits.delta_norm_tolerance} expected",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A sentence about one layer."""

    text: str
    layer: Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One measured result and what speaks against its use."""

    name: str
    layer: Layer
    supports: bool | None  # True for the claim, False against it, None: says neither
    rho_f: float | None = None
    is_d_below_sb: bool = False
    is_concentration_anomaly: bool = False
    zero_gap_frac: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimVerdict(Verdict):
    """'supported', 'contradicted' or 'unsupported'; `context` is of other layers, no support."""

    context: tuple[str, ...]
    inadmissible: tuple[str, ...]  # evidence of any layer, with its reason


def why_inadmissible(evidence: Evidence, limits: Thresholds = DEFAULT) -> tuple[str, ...]:
    """What forbids the use of a piece of evidence; empty if nothing does."""
    rho, zeros = evidence.rho_f, evidence.zero_gap_frac
    most = limits.max_zero_gap_frac
    faults = {
        f"rho_F {shown(rho)}, damping-dominated": _below(rho, limits.min_rho_f),
        "D_below_SB: centroid distance below the self-baseline": evidence.is_d_below_sb,
        "concentration anomaly: one dimension makes the distance": (
            evidence.is_concentration_anomaly
        ),
        f"{shown(zeros)} of the gaps are 0, at most {most} may be": _below(most, zeros),
    }
    return tuple(fault for fault, is_so in faults.items() if is_so)


def judge_claim(
    claim: Claim, evidence: Sequence[Evidence], limits: Thresholds = DEFAULT
) -> ClaimVerdict:
    """Judge a claim by admissible evidence of its own layer alone."""
    judged = [(one, why_inadmissible(one, limits)) for one in evidence]
    usable = [one for one, faults in judged if not faults]
    own = [one for one in usable if one.layer == claim.layer and one.supports is not None]
    word = f"{claim.layer} evidence"
    if not own:
        label, why = "unsupported", f"no admissible {word} for or against it"
    elif len({one.supports for one in own}) > 1:
        label, why = "unsupported", f"{word} disagrees: "
    else:
        label, why = "supported" if own[0].supports else "contradicted", f"by {word}: "
    return ClaimVerdict(
        label=label,
        reasons=(why + ", ".join(one.name for one in own),),
        context=tuple(f"{o.name} ({o.layer})" for o in usable if o.layer != claim.layer),
        inadmissible=tuple(f"{o.name}: {'; '.join(faults)}" for o, faults in judged if faults),
    )


def cross_layer(loudness_label: str, triangle_label: str) -> Verdict:
    """How the structural and the functional verdict of one pair go together."""
    reason = f"structural: {loudness_label}; functional: {triangle_label}"
    is_break = triangle_label.startswith("Break")
    if loudness_label not in ("loud", "quiet") or not (
        is_break or triangle_label.startswith(("No break", "Marginal"))
    ):
        return _verdict("unknown", reason)
    if loudness_label == "loud":
        return _verdict("Coupled: both loud" if is_break else "Decoupled", reason)
    return _verdict("Decoupled (inverse)" if is_break else "Coupled: both quiet", reason)


def _verdict(label: str, *reasons: str) -> Verdict:
    return Verdict(label=label, reasons=reasons)


def shown(number: float | None) -> str:
    """Three significant digits, or 'unknown'."""
    return "unknown" if number is None else f"{number:.3g}"


def _all(*conditions: bool | None) -> bool | None:
    """False if one is false, else None if one is unknown, else True."""
    return False if False in conditions else None if None in conditions else True


def _any(*conditions: bool | None) -> bool | None:
    """True if one is true, else None if one is unknown, else False."""
    return True if True in conditions else None if None in conditions else False


def _below(number: float | None, limit: float | None) -> bool | None:
    return None if number is None or limit is None else number < limit
