-- One row per complete comparison of word pairs in a base and what was made of it.
-- base: what the base is called
-- distilled: what the model made of it is called
-- measured_at: when it was complete
-- is_newest: no later one of this pair
select
    measurement.measurement_id,
    base_of.model_id as base_id,
    coalesce(base.label, base_of.model_id) as base,
    distilled_of.model_id as distilled_id,
    coalesce(distilled.label, distilled_of.model_id) as distilled,
    measurement.committed_at as measured_at,
    row_number() over (
        partition by base_of.model_id, distilled_of.model_id
        order by measurement.committed_at desc, measurement.measurement_id asc
    ) = 1 as is_newest
from stg_measurement as measurement
inner join measurement_model as base_of
    on measurement.measurement_id = base_of.measurement_id and base_of.role = 'base'
inner join measurement_model as distilled_of
    on measurement.measurement_id = distilled_of.measurement_id and distilled_of.role = 'distilled'
left join model as base on base_of.model_id = base.model_id
left join model as distilled on distilled_of.model_id = distilled.model_id
where measurement.method = 'parallelogram'
