-- One row per complete steering, direction and amplitude: what adding it to the distilled model did.
-- base: what the base is called
-- distilled: what the model made of it is called
select
    pair.base,
    pair.distilled,
    verdict.* exclude (measurement_id),
    feature_use.is_newest and pair.is_newest as is_newest,
    verdict.measurement_id,
    feature_use.measured_at
from steering_verdict as verdict
inner join stg_feature_use as feature_use using (measurement_id)
inner join stg_crosscoder as pair on feature_use.crosscoder_id = pair.measurement_id
