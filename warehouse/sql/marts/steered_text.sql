-- One row per completion of a complete steering.
-- base: what the base is called
-- distilled: what the model made of it is called
-- crosscoder_id: measurement of the crosscoder that the latents are of
-- is_newest: no later one of this crosscoder
select
    pair.base,
    pair.distilled,
    pair.crosscoder_id,
    steering.* exclude (measurement_id),
    pair.is_newest,
    steering.measurement_id
from steering
inner join stg_crosscode as pair using (measurement_id)
