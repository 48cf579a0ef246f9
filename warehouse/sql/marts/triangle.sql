-- One row per derivative, mode, reference role and reference: the three sides of the triangle, with their floors.
-- Distances from the base are those of measure/distances.py; the third side is over the same prompts.
-- Columns named as the fields of measure.verdicts.Triangle feed it; those of the other role are of its newest reference.
-- derivative: its label
-- family: base family of the base; the derivative's own when that is unknown
-- base_id: the model two sides start at
-- base: label of that base
-- role: 'reference' (scale-matched, primary) or 'shared_comparator'
-- reference_id: the model in that role
-- reference: label of that model
-- n_prompts: prompts valid in all models of the comparison
-- d: centroid distance from the base to the derivative, logits
-- d_crp: CRP distance of that side
-- ci_low_d: 2.5th percentile over prompts, logits
-- ci_high_d: 97.5th percentile over prompts, logits
-- c: centroid distance from the base to the reference, logits
-- c_crp: CRP distance of that side
-- ci_low_c: 2.5th percentile over prompts, logits
-- ci_high_c: 97.5th percentile over prompts, logits
-- e: centroid distance from the derivative to the reference, logits
-- e_crp: CRP distance of that side
-- cancellation_d: CRP over centroid distance of the side to the derivative, at least 1
-- cancellation_c: the same of the side to the reference
-- cancellation_e: the same of the side between them
-- dc: d over c by centroid
-- dc_crp: d over c by CRP
-- sign_flip_floor: 95th percentile of d under random signs, logits
-- sign_flip_floor_c: the same of c
-- dc_primary: d over c by centroid against the primary reference
-- dc_shared: d over c by centroid against the shared comparator
-- dc_primary_crp: d over c by CRP against the primary reference
-- c_primary: centroid distance from the base to the primary reference, logits
-- c_shared: centroid distance from the base to the shared comparator, logits
-- crp_shared: CRP distance from the base to the shared comparator, logits
-- shift_1: derivative less base in the first gap, logits
-- shift_1_to_reference: derivative less primary reference in the first gap, logits
-- label: the newest verdict on the triangles of this pair and mode, if this reference took part in it
-- reasons: the comparisons that decided it
-- judged_at: when it was judged
-- measured_at: when the comparison was complete
with

third as (
    select
        measurement_id,
        role,
        sqrt(sum(shift_from_derivative ** 2)) as e,
        any_value(crp_from_derivative) as e_crp,
        -- its sign is that of derivative less reference
        -any_value(shift_from_derivative) filter (k = 1) as shift_1_to_own
    from stg_gap_shift
    where role in ('reference', 'shared_comparator')
    group by measurement_id, role
),

first_gap as (
    select measurement_id, shift as shift_1
    from stg_gap_shift
    where role = 'derivative' and k = 1
),

side as (
    select
        far.derivative_id,
        far.derivative,
        far.family,
        far.base_id,
        far.base,
        far.mode,
        far.role,
        far.other_id as reference_id,
        far.other as reference,
        far.n_prompts,
        near.centroid_distance as d,
        near.crp_distance as d_crp,
        near.ci_low_centroid_distance as ci_low_d,
        near.ci_high_centroid_distance as ci_high_d,
        far.centroid_distance as c,
        far.crp_distance as c_crp,
        far.ci_low_centroid_distance as ci_low_c,
        far.ci_high_centroid_distance as ci_high_c,
        far.self_baseline,
        near.sign_flip_floor,
        far.sign_flip_floor as sign_flip_floor_c,
        near.crp_floor,
        coalesce(near.reason, far.reason) as reason,
        far.measurement_id,
        far.measured_at
    from functional_distance as far
    -- the same comparison, since another one may be over other prompts
    inner join stg_template_distance as near
        on far.measurement_id = near.measurement_id and near.role = 'derivative'
    where far.role in ('reference', 'shared_comparator')
),

whole as (
    select
        side.*,
        case when side.reason is null then third.e end as e,
        case when side.reason is null then third.e_crp end as e_crp,
        case when side.reason is null then third.shift_1_to_own end as shift_1_to_own,
        case when side.reason is null then first_gap.shift_1 end as shift_1,
        side.d / nullif(side.c, 0) as dc,
        side.d_crp / nullif(side.c_crp, 0) as dc_crp,
        row_number() over (
            partition by side.derivative_id, side.base_id, side.mode, side.role
            order by side.measured_at desc, side.reference_id asc
        ) as place
    from side
    left join third
        on side.measurement_id = third.measurement_id and side.role = third.role
    left join first_gap on side.measurement_id = first_gap.measurement_id
),

newest as (
    select * from whole where place = 1
)

select
    whole.derivative_id,
    whole.derivative,
    whole.family,
    whole.base_id,
    whole.base,
    whole.mode,
    whole.role,
    whole.reference_id,
    whole.reference,
    whole.n_prompts,
    whole.d,
    whole.ci_low_d,
    whole.ci_high_d,
    whole.d_crp,
    whole.c,
    whole.ci_low_c,
    whole.ci_high_c,
    whole.c_crp,
    whole.e,
    whole.e_crp,
    whole.d_crp / nullif(whole.d, 0) as cancellation_d,
    whole.c_crp / nullif(whole.c, 0) as cancellation_c,
    whole.e_crp / nullif(whole.e, 0) as cancellation_e,
    whole.dc,
    whole.dc_crp,
    whole.self_baseline,
    whole.sign_flip_floor,
    whole.sign_flip_floor_c,
    whole.crp_floor,
    own_or.dc_primary,
    own_or.dc_shared,
    own_or.dc_primary_crp,
    own_or.c_primary,
    own_or.c_shared,
    own_or.crp_shared,
    whole.shift_1,
    own_or.shift_1_to_reference,
    verdict.label,
    verdict.reasons,
    verdict.judged_at,
    whole.reason,
    whole.measurement_id,
    whole.measured_at
from whole
left join newest as other
    on whole.derivative_id = other.derivative_id
    and whole.base_id = other.base_id
    and whole.mode = other.mode
    and whole.role <> other.role
-- `lateral` names each number of the two roles once
cross join lateral (
    select
        case when whole.role = 'reference' then whole.dc else other.dc end as dc_primary,
        case when whole.role = 'reference' then other.dc else whole.dc end as dc_shared,
        case when whole.role = 'reference' then whole.dc_crp else other.dc_crp end
            as dc_primary_crp,
        case when whole.role = 'reference' then whole.c else other.c end as c_primary,
        case when whole.role = 'reference' then other.c else whole.c end as c_shared,
        case when whole.role = 'reference' then other.c_crp else whole.c_crp end as crp_shared,
        case when whole.role = 'reference' then whole.shift_1_to_own else other.shift_1_to_own end
            as shift_1_to_reference
) as own_or
left join stg_verdict as verdict
    on whole.derivative_id = verdict.derivative_id
    and whole.base_id = verdict.base_id
    and verdict.question = concat('triangle ', whole.mode)
    and json_extract_string(verdict.numbers, concat('$.', whole.role, '_id')) = whole.reference_id
