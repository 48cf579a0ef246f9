-- One row per derivative, its base, layer, quantity and variant: everything measured of it, each with spread, floor and n.
-- derivative: its label
-- family: base family of the base; the derivative's own when that is unknown
-- base_id: the base it is compared with
-- base: label of that base
-- layer: 'structural', 'functional', 'thermodynamic', 'weights', 'behaviour', 'circuits', 'features' or 'stability': evidence of one never stands in for another's
-- quantity: what was measured
-- variant: mode, reference, teacher or task; empty where there is one alone
-- value: the number; null with a reason
-- low: lower end of the spread
-- high: upper end
-- spread: what low and high are
-- floor: what noise or a null alone reaches, in the same unit; null if it has none, or it is not known
-- unit: of value, low, high and floor
-- n: how many the value is over
-- n_of: of what
-- status: what may be said of it
-- reason: the comparison that decided, or why there is no value
-- measured_at: when it was complete
with

pair as (
    select derivative_id, derivative, family, base_id, base
    from stg_pair
    where role = 'base'
),

structural as (
    select
        derivative_id,
        base_id,
        'structural' as layer,
        'scar' as quantity,
        '' as variant,
        median_non_max_x_eps as value,
        min_non_max_x_eps as low,
        max_non_max_x_eps as high,
        'seeds without the largest' as spread,
        case when is_eps_valid then greatest(1, eps_measured / 1e-4) end as floor,
        'x 1e-4' as unit,
        n_seeds as n,
        'seeds' as n_of,
        structural_status as status,
        structural_reason as reason,
        null::varchar as measurement_id,
        measured_at
    from structural_scar
),

functional as (
    select
        derivative_id,
        base_id,
        'functional' as layer,
        unnest([
            {
                'quantity': 'centroid distance', 'value': centroid_distance,
                'low': ci_low_centroid_distance, 'high': ci_high_centroid_distance,
                'floor': centroid_floor, 'status': centroid_status
            },
            {
                'quantity': 'CRP distance', 'value': crp_distance, 'low': ci_low_crp_distance,
                'high': ci_high_crp_distance, 'floor': crp_floor, 'status': crp_status
            }
        ], recursive := true),
        mode as variant,
        '95 %, over prompts' as spread,
        'logits' as unit,
        n_prompts as n,
        'prompts' as n_of,
        functional_reason as reason,
        measurement_id,
        measured_at
    from functional_distance
    where role = 'derivative'
),

triangles as (
    select
        derivative_id,
        base_id,
        'functional' as layer,
        'D/C' as quantity,
        concat(mode, case when is_d_below_sb then ', by CRP' else ', by centroid' end) as variant,
        magnitude as value,
        case when not is_d_below_sb then low_dc_primary end as low,
        case when not is_d_below_sb then high_dc_primary end as high,
        'at least 90 %, over prompts' as spread,
        null::double as floor,
        'ratio' as unit,
        n_prompts as n,
        'prompts' as n_of,
        verdict as status,
        array_to_string(verdict_reasons, '; ') as reason,
        measurement_id,
        measured_at
    from triangle_verdict
),

gaps as (
    select
        derivative_id,
        base_id,
        unnest([
            {
                'layer': 'functional', 'quantity': 'shift of the first gap',
                'value': mean_signed_g1, 'low': ci_low_mean_signed_g1,
                'high': ci_high_mean_signed_g1, 'unit': 'logits', 'n': n_prompts,
                'n_of': 'prompts', 'status': winner_gap_class, 'why': class_reasons
            },
            {
                'layer': 'thermodynamic', 'quantity': 'delta-norm', 'value': delta_norm_derivative,
                'low': ci_low_delta_norm_derivative, 'high': ci_high_delta_norm_derivative,
                'unit': '0 to 1; pure noise 0.3178', 'n': n_delta_norm_derivative,
                'n_of': 'tokens', 'status': delta_gate_derivative, 'why': reason
            }
        ], recursive := true),
        mode as variant,
        '95 %, over prompts' as spread,
        null::double as floor,
        measurement_id,
        measured_at
    from winner_gap
),

curved as (
    select
        pair.derivative_id,
        pair.base_id,
        'thermodynamic' as layer,
        'Fisher curvature' as quantity,
        '' as variant,
        fisher.kappa_f as value,
        fisher.ci_low_kappa_f as low,
        fisher.ci_high_kappa_f as high,
        '95 %, over prompts' as spread,
        10.0 as floor,
        'logits^2 / state^2' as unit,
        fisher.n_prompts as n,
        'prompts' as n_of,
        fisher.fisher_status as status,
        fisher.reason,
        fisher.measurement_id,
        fisher.measured_at
    from pair
    inner join fisher on pair.derivative_id = fisher.model_id
),

stiff as (
    select
        pair.derivative_id,
        pair.base_id,
        'thermodynamic' as layer,
        'stiffness' as quantity,
        '' as variant,
        stiffness.stiffness as value,
        'gain times spread' as unit,
        stiffness.n_rows as n,
        'rows of the unembedding' as n_of,
        stiffness.reason,
        stiffness.measurement_id,
        stiffness.measured_at
    from pair
    inner join stiffness on pair.derivative_id = stiffness.model_id
),

woven as (
    select
        derivative_id,
        base_id,
        'weights' as layer,
        'cosine with the base' as quantity,
        'median of blocks' as variant,
        median_cosine as value,
        median_null_cosine as floor,
        'cosine' as unit,
        n_compared as n,
        'matrices' as n_of,
        weight_lineage as status,
        coalesce(weight_lineage_reason, weight_lineage_reasons) as reason,
        measurement_id,
        measured_at
    from lineage
),

said as (
    select
        distilled_id as derivative_id,
        student_id as base_id,
        'behaviour' as layer,
        'sentences likelier under the teacher, less the null' as quantity,
        teacher as variant,
        teacher_minus_null as value,
        ci_low_teacher_minus_null as low,
        ci_high_teacher_minus_null as high,
        '95 %, over problems' as spread,
        0.0 as floor,
        'share' as unit,
        n_sentences as n,
        'sentences' as n_of,
        transfer as status,
        transfer_reasons as reason,
        measurement_id,
        measured_at
    from provenance
),

taught as (
    select
        distilled_id as derivative_id,
        student_id as base_id,
        'behaviour' as layer,
        'bits in common with a candidate teacher' as quantity,
        teacher as variant,
        share as value,
        ci_low_share as low,
        ci_high_share as high,
        '95 %, over problems' as spread,
        null_share as floor,
        'share' as unit,
        n_questions as n,
        'problems' as n_of,
        case when is_attributed then attribution else share_status end as status,
        coalesce(reason, attribution_reasons) as reason,
        measurement_id,
        measured_at
    from teacher_attribution
),

brittle as (
    select
        pair.derivative_id,
        pair.base_id,
        'circuits' as layer,
        'mean drop by losing a component, less the teacher''s' as quantity,
        concat(found.task, ', ', found.teacher) as variant,
        found.difference_pct as value,
        found.ci_low_difference_pct as low,
        found.ci_high_difference_pct as high,
        '95 %, over components' as spread,
        0.0 as floor,
        'points' as unit,
        found.n_components_student as n,
        'components' as n_of,
        brittleness_verdict.verdict as status,
        found.reason,
        found.measurement_id,
        found.measured_at
    from pair
    inner join brittleness_pair as found on pair.derivative_id = found.student_id
    inner join brittleness_verdict using (measurement_id)
    where found.against = 'teacher' and not found.is_paper_mode
),

aligned as (
    select
        pair.derivative_id,
        pair.base_id,
        'circuits' as layer,
        'alignment with the teacher' as quantity,
        concat(found.task, ', ', found.teacher) as variant,
        found.alignment as value,
        found.ci_low_alignment as low,
        found.ci_high_alignment as high,
        '95 %, over prompts' as spread,
        found.null_high as floor,
        '0 to 1' as unit,
        found.n_prompts as n,
        'prompts' as n_of,
        case
            when found.alignment > found.null_high then 'above its floor'
            when found.alignment is not null then 'not interpretable'
        end as status,
        coalesce(
            found.reason, printf('influences shuffled give up to %.3g', found.null_high)
        ) as reason,
        found.measurement_id,
        found.measured_at
    from pair
    inner join aligned_pair as found on pair.derivative_id = found.student_id
    where found.mode = 'ours' and found.normalisation = 'max' and found.matching = 'greedy'
),

featured as (
    select
        distilled_id as derivative_id,
        base_id,
        'features' as layer,
        unnest([
            {
                'quantity': 'distilled-only latents, borne out', 'value': n_genuine,
                'low': null, 'high': null, 'unit': 'latents'
            },
            {
                'quantity': 'distilled-only latents, by norms alone', 'value': n_distilled_only,
                'low': null, 'high': null, 'unit': 'latents'
            },
            {
                'quantity': 'mean NRN', 'value': mean_nrn, 'low': ci_low_mean_nrn,
                'high': ci_high_mean_nrn, 'unit': '0 to 1; alike 0.5'
            }
        ], recursive := true),
        concat(sparsity, ', seed ', seed) as variant,
        '95 %, over latents' as spread,
        null::double as floor,
        n_live as n,
        'live latents' as n_of,
        case when is_interpretable then 'interpretable' else 'not interpretable' end as status,
        reasons as reason,
        measurement_id,
        measured_at
    from crosscoder
    where is_newest
),

coupled as (
    select
        pair.derivative_id,
        pair.base_id,
        'stability' as layer,
        unnest([
            {
                'quantity': 'distance from the teacher in capability, K', 'value': found.delta_k,
                'low': found.ci_low_delta_k, 'high': found.ci_high_delta_k,
                'floor': found.epsilon_k, 'unit': 'accuracy'
            },
            {
                'quantity': 'distance from the teacher in the proxies R', 'value': found.delta_r,
                'low': found.ci_low_delta_r, 'high': found.ci_high_delta_r,
                'floor': found.noise_r, 'unit': 'proxy'
            }
        ], recursive := true),
        concat(found.prompt_set, ', ', found.teacher) as variant,
        '95 %, over stories' as spread,
        found.n_problems as n,
        'stories' as n_of,
        found.asymmetry as status,
        coalesce(found.reason, found.asymmetry_reasons) as reason,
        found.measurement_id,
        found.measured_at
    from pair
    inner join stability_student as found on pair.derivative_id = found.student_id
),

every as (
    select * from structural
    union all by name
    select * from functional
    union all by name
    select * from triangles
    union all by name
    select * exclude (why), why as reason from gaps
    union all by name
    select * from curved
    union all by name
    select * from stiff
    union all by name
    select * from woven
    union all by name
    select * from said
    union all by name
    select * from taught
    union all by name
    select * from brittle
    union all by name
    select * from aligned
    union all by name
    select * from featured
    union all by name
    select * from coupled
)

select
    pair.derivative_id,
    pair.derivative,
    pair.family,
    pair.base_id,
    pair.base,
    every.layer,
    every.quantity,
    every.variant,
    every.value,
    every.low,
    every.high,
    case when every.low is not null then every.spread end as spread,
    every.floor,
    every.unit,
    every.n::bigint as n,
    every.n_of,
    every.status,
    every.reason,
    every.measurement_id,
    every.measured_at
from every
inner join pair using (derivative_id, base_id)
