-- One row per derivative, its base and mode: the centroid distance against the CRP distance, and how they diverge.
-- The centroid is the distance of the mean templates, CRP the mean of the distances prompt by prompt: never smaller.
-- derivative: its label
-- family: base family of the base; the derivative's own when that is unknown
-- base_id: the model the distances start at
-- base: label of that base
-- centroid_floor: the larger of self-baseline and sign-flip floor, logits
-- cancellation: CRP over centroid distance, at least 1; null when the centroid distance is 0
-- null_cancellation: the same under random signs: CRP over the sign-flip floor; 5 % of draws cancel less
-- centroid_status: 'above its floor' if the centroid distance exceeds both floors; else 'not interpretable'
-- crp_status: 'above its floor' if the CRP distance exceeds the CRP floor; else 'not interpretable'
-- winner_gap_class: what became of the first gap; null where it was not measured
-- divergence: 'sign-oscillating', 'cancels', 'below self-baseline', 'mostly cancels', 'mean shift alone', 'agree' or 'not interpretable'
-- divergence_reason: the comparisons that decided it
-- is_distilled: whether it is known to be distilled; null where nobody knows
-- declared_by: who says so: 'zoo' or 'user'; null where nobody does
-- measured_at: when the measurement was complete
with

compared as (
    select
        distance.*,
        distance.crp_distance / nullif(distance.sign_flip_floor, 0) as null_cancellation,
        gap.winner_gap_class,
        gap.class_reasons,
        distance.centroid_status = 'above its floor' as is_centroid_above,
        distance.crp_status = 'above its floor' as is_crp_above
    from functional_distance as distance
    left join winner_gap_pair as gap using (measurement_id)
    where distance.role = 'derivative'
),

named as (
    select
        *,
        case
            when reason is not null or not (is_centroid_above or is_crp_above)
                then 'not interpretable'
            when is_centroid_above and not is_crp_above then 'mean shift alone'
            when is_centroid_above and cancellation < 5 then 'agree'
            when is_centroid_above then 'mostly cancels'
            -- here CRP is above its floor and the centroid is not
            when winner_gap_class = 'sign-oscillating' then 'sign-oscillating'
            when centroid_distance <= sign_flip_floor then 'cancels'
            when centroid_floor is null then 'not interpretable'
            else 'below self-baseline'
        end as divergence
    from compared
)

select
    named.derivative_id,
    named.derivative,
    named.family,
    named.base_id,
    named.base,
    named.mode,
    named.n_prompts,
    named.n_prompts_dropped,
    named.centroid_distance,
    named.ci_low_centroid_distance,
    named.ci_high_centroid_distance,
    named.self_baseline,
    named.sign_flip_floor,
    named.sign_flip_p,
    named.centroid_floor,
    named.centroid_status,
    named.crp_distance,
    named.ci_low_crp_distance,
    named.ci_high_crp_distance,
    named.crp_floor,
    named.crp_status,
    named.cancellation,
    named.null_cancellation,
    named.winner_gap_class,
    named.divergence,
    case named.divergence
        when 'not interpretable' then named.functional_reason
        when 'sign-oscillating' then named.class_reasons
        when 'cancels' then format(
            'centroid {:.3g} not above its sign-flip floor {:.3g}, CRP {:.3g} above {:.3g}',
            named.centroid_distance, named.sign_flip_floor, named.crp_distance, named.crp_floor
        )
        when 'below self-baseline' then format(
            'centroid {:.3g} above its sign-flip floor {:.3g}, not above the self-baseline {:.3g}',
            named.centroid_distance, named.sign_flip_floor, named.self_baseline
        )
        when 'mean shift alone' then named.functional_reason
        else format('CRP over centroid {:.3g} (limit 5)', named.cancellation)
    end as divergence_reason,
    organism.is_distilled,
    organism.declared_by,
    named.measurement_id,
    named.measured_at
from named
left join organism
    on named.derivative_id = organism.model_id and named.base_id = organism.base_id
