-- One row per complete steering, direction and amplitude: what adding it to the distilled model did.
-- base: what the base is called
-- distilled: what the model made of it is called
-- crosscoder_id: measurement of the crosscoder that the latents are of
-- is_newest: no later one of this crosscoder
select
    pair.base,
    pair.distilled,
    pair.crosscoder_id,
    verdict.* exclude (measurement_id),
    pair.is_newest,
    verdict.measurement_id,
    pair.measured_at
from steering_verdict as verdict
inner join stg_crosscode as pair using (measurement_id)
