-- One row per derivative measured against its base: the layers side by side, each with its newest verdict.
-- Labels are null until `cicatrix verdict` was asked.
-- base_id: the base it is compared with
-- base: label of that base
-- scar_x_eps: median over the seeds but the largest, multiples of 1e-4
-- structural_status: 'above its floor' or 'not interpretable'; null where it was not measured
-- loudness: 'loud', 'quiet', 'unknown' or 'not interpretable'
-- structural_verdict: whether its tau moved as that of the family's distilled derivatives
-- structural_p: conformal p of that
-- structural_p_least: the smallest p that so many non-distilled can give
-- centroid_distance: of the mean templates in mode free, logits
-- centroid_floor: the larger of self-baseline and sign-flip floor, logits
-- functional_status: 'above its floor' or 'not interpretable'; null where it was not measured
-- triangle: verdict on its triangles in mode free
-- functional_verdict: whether its templates moved as those of the family's distilled derivatives
-- functional_p: conformal p of that
-- functional_p_least: the smallest p that so many non-distilled can give
-- delta_norm_base: the base's mean of G3 / (G2 + G3 + G4) over tokens, mode free
-- delta_norm_derivative: the derivative's
-- delta_gate_derivative: 'pass', 'fail', 'broken extraction' or 'not interpretable'
-- pattern: how loudness and triangle go together
-- pattern_reasons: the labels it was made of
-- judged_at: when the newest of these verdicts was given
-- measured_at: when the last measurement it needs was complete
with

judged as (
    select
        derivative_id,
        base_id,
        any_value(label) filter (question = 'loudness') as loudness,
        any_value(label) filter (question = 'distilled-like' and layer = 'structural')
            as structural_verdict,
        any_value(p) filter (question = 'distilled-like' and layer = 'structural') as structural_p,
        any_value(p_least) filter (question = 'distilled-like' and layer = 'structural')
            as structural_p_least,
        any_value(label) filter (question = 'triangle free') as triangle,
        any_value(label) filter (question = 'distilled-like' and layer = 'functional')
            as functional_verdict,
        any_value(p) filter (question = 'distilled-like' and layer = 'functional') as functional_p,
        any_value(p_least) filter (question = 'distilled-like' and layer = 'functional')
            as functional_p_least,
        any_value(label) filter (question = 'pattern') as pattern,
        any_value(reasons) filter (question = 'pattern') as pattern_reasons,
        max(judged_at) as judged_at
    from stg_verdict
    group by derivative_id, base_id
)

select
    summary.derivative_id,
    summary.derivative,
    summary.family,
    summary.base_id,
    summary.base,
    summary.n_seeds,
    summary.median_non_max_x_eps as scar_x_eps,
    summary.structural_status,
    judged.loudness,
    judged.structural_verdict,
    judged.structural_p,
    judged.structural_p_least,
    summary.n_prompts,
    summary.centroid_distance,
    summary.centroid_floor,
    summary.functional_status,
    judged.triangle,
    judged.functional_verdict,
    judged.functional_p,
    judged.functional_p_least,
    gap.delta_norm_base,
    gap.delta_norm_derivative,
    gap.delta_gate_derivative,
    judged.pattern,
    judged.pattern_reasons,
    judged.judged_at,
    summary.measured_at
from summary
left join judged
    on summary.derivative_id = judged.derivative_id and summary.base_id = judged.base_id
left join winner_gap as gap
    on summary.derivative_id = gap.derivative_id
    and summary.base_id = gap.base_id
    and gap.mode = 'free'
