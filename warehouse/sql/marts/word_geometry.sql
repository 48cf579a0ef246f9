-- One row per complete comparison, model, relation and number of axes: how near its word pairs are to parallelograms, beside shuffled pairs.
-- base: what the base is called
-- distilled: what the model made of it is called
select
    pair.base,
    pair.distilled,
    parallelogram.* exclude (measurement_id),
    pair.is_newest,
    parallelogram.measurement_id
from parallelogram
inner join stg_crosscode as pair using (measurement_id)
