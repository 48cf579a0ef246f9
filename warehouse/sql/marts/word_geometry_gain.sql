-- One row per complete comparison, relation and number of axes: what the distilled model has beyond its base.
-- base: what the base is called
-- distilled: what the model made of it is called
select
    pair.base,
    pair.distilled,
    gain.* exclude (measurement_id),
    pair.is_newest,
    gain.measurement_id
from parallelogram_difference as gain
inner join stg_crosscode as pair using (measurement_id)
