-- One row per compared pair, mode and PPP fit: the distance of a model's templates from the base's, with its floors.
-- Of several measurements of a pair by one fit the newest; its winner gap is in winner_gap_pair, by measurement_id.
-- The base's distance to a teacher shows for each derivative that declares both.
-- derivative: its label
-- family: base family of the base; the derivative's own when that is unknown
-- role: the other model: the derivative itself, or what it is to the derivative
-- base_id: the model the distance starts at
-- base: label of that base
-- other_id: the model the distance ends at
-- other: label of that model
-- ppp_fit: by which fit the residuals are: ml (the default; all other marts show it alone), ols, sum, log or tail2
-- cancellation: CRP over centroid distance, at least 1; null when the centroid distance is 0
-- centroid_floor: the larger of self-baseline and sign-flip floor, logits
-- centroid_status: 'above its floor' if the centroid distance exceeds both floors; else 'not interpretable'
-- crp_status: 'above its floor' if the CRP distance exceeds the CRP floor; else 'not interpretable'
-- functional_status: 'above its floor' if either is; else 'not interpretable'
-- functional_reason: which of them, with the numbers; or why there are none
-- measured_at: when the measurement was complete
with

attributed as (
    select
        distance.*,
        coalesce(member.model_id, base.derivative_id) as derivative_id
    from stg_template_distance as distance
    left join measurement_model as member
        on distance.measurement_id = member.measurement_id and member.role = 'derivative'
    left join stg_comparison as base
        on member.model_id is null and distance.base_id = base.model_id and base.role = 'base'
    left join stg_comparison as declared
        on base.derivative_id = declared.derivative_id
        and distance.role = declared.role
        and distance.other_id = declared.model_id
    where member.model_id is not null or declared.model_id is not null
),

newest as (
    select attributed.*
    from attributed
    -- a base that another one has replaced since is not shown
    left join stg_comparison as present
        on attributed.derivative_id = present.derivative_id and present.role = 'base'
    where present.model_id is null or attributed.base_id = present.model_id
    qualify row_number() over (
        partition by
            attributed.derivative_id, base_id, attributed.role, other_id, mode, ppp_fit
        order by committed_at desc, measurement_id asc
    ) = 1
),

judged as (
    select
        *,
        crp_distance / nullif(centroid_distance, 0) as cancellation,
        -- greatest() skips nulls; a floor half known is not known
        case
            when self_baseline is not null and sign_flip_floor is not null
                then greatest(self_baseline, sign_flip_floor)
        end as centroid_floor,
        coalesce(centroid_distance > centroid_floor, false) as is_centroid_above,
        coalesce(crp_distance > crp_floor, false) as is_crp_above
    from newest
),

worded as (
    select
        *,
        format(
            'CRP {:.3g} {} its floor {}',
            crp_distance,
            case when is_crp_above then 'above' else 'not above' end,
            coalesce(format('{:.3g}', crp_floor), '(unknown)')
        ) as crp_words,
        format(
            'centroid {:.3g} {} its floor {}',
            centroid_distance,
            case when is_centroid_above then 'above' else 'not above' end,
            coalesce(format('{:.3g}', centroid_floor), '(unknown)')
        ) as centroid_words
    from judged
)

select
    worded.derivative_id,
    coalesce(derivative.label, worded.derivative_id) as derivative,
    coalesce(base.family, derivative.family) as family,
    worded.role,
    worded.base_id,
    coalesce(base.label, worded.base_id) as base,
    worded.other_id,
    coalesce(other.label, worded.other_id) as other,
    worded.mode,
    worded.ppp_fit,
    worded.n_prompts,
    worded.n_prompts_dropped,
    worded.centroid_distance,
    worded.ci_low_centroid_distance,
    worded.ci_high_centroid_distance,
    worded.crp_distance,
    worded.ci_low_crp_distance,
    worded.ci_high_crp_distance,
    worded.self_baseline,
    worded.sign_flip_floor,
    worded.sign_flip_p,
    worded.centroid_floor,
    worded.crp_floor,
    worded.zero_gap_frac,
    worded.cancellation,
    case when is_centroid_above then 'above its floor' else 'not interpretable' end
        as centroid_status,
    case when is_crp_above then 'above its floor' else 'not interpretable' end as crp_status,
    case
        when is_centroid_above or is_crp_above then 'above its floor'
        else 'not interpretable'
    end as functional_status,
    coalesce(
        worded.reason,
        concat_ws('; ', crp_words, centroid_words)
    ) as functional_reason,
    worded.reason,
    worded.measurement_id,
    worded.committed_at as measured_at
from worded
left join model as derivative on worded.derivative_id = derivative.model_id
left join model as base on worded.base_id = base.model_id
left join model as other on worded.other_id = other.model_id
