-- One row per method with a complete measurement: what the lake holds of it.
-- n_measurements: complete ones
-- n_models: models in any role of them
-- n_records: records of all their units
-- duration_s: time they took to measure, seconds
-- first_at: when the first was complete
-- measured_at: when the newest was
with

involved as (
    select
        measurement.method,
        count(distinct member.model_id) as n_models
    from stg_measurement as measurement
    inner join measurement_model as member using (measurement_id)
    group by measurement.method
)

select
    measurement.method,
    count(*) as n_measurements,
    any_value(involved.n_models) as n_models,
    sum(measurement.n_rows)::bigint as n_records,
    sum(measurement.duration_s) as duration_s,
    min(measurement.committed_at) as first_at,
    max(measurement.committed_at) as measured_at
from stg_measurement as measurement
left join involved using (method)
group by measurement.method
