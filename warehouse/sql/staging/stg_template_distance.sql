-- One row per complete measurement and role of the other model.
-- base_id: the model the distances start at
-- other_id: the model they end at, the one in that role
-- ppp_fit: the fit of all its templates: ml, ols, sum, log or tail2; ml where the measurement names none
-- committed_at: when the measurement was complete
select
    distance.measurement_id,
    base.model_id as base_id,
    other.model_id as other_id,
    measurement.committed_at,
    coalesce(json_extract_string(measurement.options, '$.ppp_fit'), 'ml') as ppp_fit,
    distance.mode,
    distance.role,
    distance.n_prompts,
    distance.n_prompts_dropped,
    distance.centroid_distance,
    distance.ci_low_centroid_distance,
    distance.ci_high_centroid_distance,
    distance.crp_distance,
    distance.ci_low_crp_distance,
    distance.ci_high_crp_distance,
    distance.self_baseline,
    distance.sign_flip_floor,
    distance.sign_flip_p,
    distance.crp_floor,
    distance.zero_gap_frac,
    distance.reason
from template_distance as distance
inner join stg_measurement as measurement using (measurement_id)
inner join measurement_model as base
    on distance.measurement_id = base.measurement_id and base.role = 'base'
inner join measurement_model as other
    on distance.measurement_id = other.measurement_id and distance.role = other.role
