-- One row per derivative, its base and mode: its D/C under both references and both distances, and the verdict.
-- D is the distance from base to derivative, C from base to reference. The rule is that of measure.verdicts.triangle.
-- derivative: its label
-- family: base family of the base; the derivative's own when that is unknown
-- base_id: the model both distances start at
-- base: label of that base
-- primary_id: the scale-matched reference; null without one
-- primary_reference: its label
-- shared_id: the comparator that all triangles share; null without one
-- shared_comparator: its label
-- n_prompts: prompts valid in all models of the comparison; the fewer of the two
-- d: centroid distance from the base to the derivative, logits
-- d_crp: CRP distance of that side
-- c_primary: centroid distance from the base to the primary reference, logits
-- ci_low_c_primary: 2.5th percentile over prompts, logits
-- ci_high_c_primary: 97.5th percentile over prompts, logits
-- c_primary_crp: CRP distance of that side
-- c_shared: centroid distance from the base to the shared comparator, logits
-- ci_low_c_shared: 2.5th percentile over prompts, logits
-- ci_high_c_shared: 97.5th percentile over prompts, logits
-- c_shared_crp: CRP distance of that side
-- dc_primary: d over c by centroid against the primary reference
-- low_dc_primary: lower end of d's interval over the upper of c's: with the other end at least 90 % of resamples
-- high_dc_primary: upper end of d's interval over the lower of c's; null where that is 0
-- dc_shared: d over c by centroid against the shared comparator
-- low_dc_shared: as of the primary reference
-- high_dc_shared: as of the primary reference
-- dc_primary_crp: d over c by CRP against the primary reference
-- dc_shared_crp: d over c by CRP against the shared comparator
-- sign_flip_floor: 95th percentile of d under random signs, logits
-- is_d_below_sb: whether d is below the self-baseline, so that CRP decides; null if either is unknown
-- is_shared_patho: whether C of the shared comparator is below the self-baseline, or cancels 5 times
-- is_reference_neighbour: whether derivative and primary reference moved the first gap alike, within a tenth of the shift
-- verdict: 'Break (robust)', 'No break (robust)', 'Marginal / reference-sensitive', '... (per-prompt)' or 'Not interpretable'
-- verdict_reasons: the comparisons that decided it, and what to know of them
-- magnitude: the ratio to report: against the primary reference, by CRP where d is below the self-baseline
-- recorded_verdict: the newest answer of `cicatrix verdict` to the same question; null until it was asked
-- is_distilled: whether it is known to be distilled; null where nobody knows
-- declared_by: who says so: 'zoo' or 'user'; null where nobody does
-- measured_at: when the newer of the two comparisons was complete
with

newest as (
    select
        *,
        ci_low_d / nullif(ci_high_c, 0) as low_dc,
        ci_high_d / nullif(ci_low_c, 0) as high_dc
    from triangle
    qualify row_number() over (
        partition by derivative_id, base_id, mode, role
        order by measured_at desc, reference_id asc
    ) = 1
),

joined as (
    select
        coalesce(near.derivative_id, far.derivative_id) as derivative_id,
        coalesce(near.derivative, far.derivative) as derivative,
        coalesce(near.family, far.family) as family,
        coalesce(near.base_id, far.base_id) as base_id,
        coalesce(near.base, far.base) as base,
        coalesce(near.mode, far.mode) as mode,
        near.reference_id as primary_id,
        near.reference as primary_reference,
        far.reference_id as shared_id,
        far.reference as shared_comparator,
        least(near.n_prompts, far.n_prompts) as n_prompts,
        coalesce(near.d, far.d) as d,
        coalesce(near.d_crp, far.d_crp) as d_crp,
        coalesce(near.ci_low_d, far.ci_low_d) as ci_low_d,
        coalesce(near.ci_high_d, far.ci_high_d) as ci_high_d,
        near.c as c_primary,
        near.ci_low_c as ci_low_c_primary,
        near.ci_high_c as ci_high_c_primary,
        near.c_crp as c_primary_crp,
        far.c as c_shared,
        far.ci_low_c as ci_low_c_shared,
        far.ci_high_c as ci_high_c_shared,
        far.c_crp as c_shared_crp,
        near.dc as dc_primary,
        near.low_dc as low_dc_primary,
        near.high_dc as high_dc_primary,
        far.dc as dc_shared,
        far.low_dc as low_dc_shared,
        far.high_dc as high_dc_shared,
        near.dc_crp as dc_primary_crp,
        far.dc_crp as dc_shared_crp,
        coalesce(near.self_baseline, far.self_baseline) as self_baseline,
        coalesce(near.sign_flip_floor, far.sign_flip_floor) as sign_flip_floor,
        coalesce(near.crp_floor, far.crp_floor) as crp_floor,
        coalesce(near.shift_1, far.shift_1) as shift_1,
        near.shift_1_to_reference,
        coalesce(near.label, far.label) as recorded_verdict,
        coalesce(near.reason, far.reason) as reason,
        coalesce(near.measurement_id, far.measurement_id) as measurement_id,
        greatest(near.measured_at, far.measured_at) as measured_at
    from (from newest where role = 'reference') as near
    full outer join (from newest where role = 'shared_comparator') as far
        on
            near.derivative_id = far.derivative_id
            and near.base_id = far.base_id
            and near.mode = far.mode
),

flagged as (
    select
        *,
        c_shared_crp / nullif(c_shared, 0) as shared_cancellation,
        d < self_baseline as is_d_below_sb,
        c_shared < self_baseline or c_shared_crp / nullif(c_shared, 0) >= 5 as is_shared_patho,
        abs(shift_1_to_reference) < 0.1 * abs(shift_1) as is_reference_neighbour
    from joined
),

said as (
    select
        *,
        coalesce(format('{:.3g}', d), 'unknown') as d_said,
        coalesce(format('{:.3g}', self_baseline), 'unknown') as sb_said,
        coalesce(format('{:.3g}', c_shared), 'unknown') as c_shared_said,
        case
            when is_d_below_sb and dc_primary_crp is null then 'Not interpretable'
            when is_d_below_sb and dc_primary_crp > 1.05 then 'Break (per-prompt)'
            when is_d_below_sb and dc_primary_crp < 0.95 then 'No break (per-prompt)'
            when is_d_below_sb then 'Marginal (per-prompt)'
            when dc_primary is null or dc_shared is null then 'Not interpretable'
            when (dc_primary > 1) <> (dc_shared > 1) then 'Marginal / reference-sensitive'
            when dc_primary > 1 then 'Break (robust)'
            else 'No break (robust)'
        end as verdict
    from flagged
)

select
    said.derivative_id,
    said.derivative,
    said.family,
    said.base_id,
    said.base,
    said.mode,
    said.primary_id,
    said.primary_reference,
    said.shared_id,
    said.shared_comparator,
    said.n_prompts,
    said.d,
    said.ci_low_d,
    said.ci_high_d,
    said.d_crp,
    said.c_primary,
    said.ci_low_c_primary,
    said.ci_high_c_primary,
    said.c_primary_crp,
    said.c_shared,
    said.ci_low_c_shared,
    said.ci_high_c_shared,
    said.c_shared_crp,
    said.dc_primary,
    said.low_dc_primary,
    said.high_dc_primary,
    said.dc_shared,
    said.low_dc_shared,
    said.high_dc_shared,
    said.dc_primary_crp,
    said.dc_shared_crp,
    said.self_baseline,
    said.sign_flip_floor,
    said.crp_floor,
    said.is_d_below_sb,
    said.is_shared_patho,
    said.is_reference_neighbour,
    said.verdict,
    list_filter([
        case
            when said.is_d_below_sb and said.dc_primary_crp is null
                then 'the centroid distance is below its floor, no D/C per prompt'
            when said.is_d_below_sb
                then format('D/C per prompt {:.3g}, band 1 +- 0.05', said.dc_primary_crp)
            when said.dc_primary is null then 'D/C against the primary reference is unknown'
            when said.dc_shared is null then 'D/C against the shared comparator is unknown'
            when said.verdict = 'Marginal / reference-sensitive'
                then format('the references disagree, D/C {:.3g} and {:.3g}', said.dc_primary, said.dc_shared)
            else format('both references agree, D/C {:.3g} and {:.3g}', said.dc_primary, said.dc_shared)
        end,
        case when said.is_d_below_sb then
            concat('D_below_SB: centroid distance ', said.d_said, ', self-baseline ', said.sb_said)
        end,
        case when said.is_shared_patho then
            concat(
                'shared_patho: C ', said.c_shared_said, ', self-baseline ', said.sb_said, ', CRP/C ',
                coalesce(format('{:.3g}', said.shared_cancellation), 'unknown'),
                '; the primary ratio is the magnitude'
            )
        end,
        case when said.is_reference_neighbour then
            format(
                'reference_neighbour: {:.3g} from the primary reference in gap 1, shift {:.3g}',
                abs(said.shift_1_to_reference), said.shift_1
            )
        end,
        case when said.c_primary < said.self_baseline then
            format(
                'C_primary {:.3g} is below its floor, self-baseline {:.3g}',
                said.c_primary, said.self_baseline
            )
        end,
        case when said.is_d_below_sb is null then
            concat(
                'D_below_SB unknown: centroid distance ', said.d_said, ', self-baseline ', said.sb_said
            )
        end,
        case when said.is_shared_patho is null then
            concat('shared_patho unknown: C ', said.c_shared_said, ', self-baseline ', said.sb_said)
        end
    ], reason_said -> reason_said is not null) as verdict_reasons,
    case when said.is_d_below_sb then said.dc_primary_crp else said.dc_primary end as magnitude,
    said.recorded_verdict,
    said.reason,
    organism.is_distilled,
    organism.declared_by,
    said.measurement_id,
    said.measured_at
from said
left join organism
    on said.derivative_id = organism.model_id and said.base_id = organism.base_id
