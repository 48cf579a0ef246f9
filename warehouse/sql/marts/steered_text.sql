-- One row per completion of a complete steering.
-- base: what the base is called
-- distilled: what the model made of it is called
select
    pair.base,
    pair.distilled,
    steering.* exclude (measurement_id),
    feature_use.is_newest and pair.is_newest as is_newest,
    steering.measurement_id
from steering
inner join stg_feature_use as feature_use using (measurement_id)
inner join stg_crosscoder as pair on feature_use.crosscoder_id = pair.measurement_id
