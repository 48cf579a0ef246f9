-- One row per complete measurement: all its planned units are committed.
-- protocol: hash of everything two measurements must share for their numbers to be compared
-- committed_at: when its last unit was committed
-- n_units_done: units committed, as many as planned
-- n_rows: records of all its units
-- duration_s: time its units took to measure, seconds
with

units as (
    select
        measurement_id,
        count(*) as n_units_done,
        sum(n_rows)::bigint as n_rows,
        sum(duration_s) as duration_s,
        max(committed_at) as committed_at
    from unit
    group by measurement_id
)

select
    measurement.measurement_id,
    measurement.method,
    measurement.method_version,
    measurement.prompt_set,
    measurement.prompt_set_sha256,
    measurement.seeds,
    measurement.dtype,
    measurement.backend,
    measurement.device_kind,
    measurement.replicate,
    measurement.options,
    measurement.text_sha256,
    measurement.n_units,
    measurement.batch_size,
    measurement.code_version,
    measurement.planned_at,
    sha256(concat_ws(
        '|',
        measurement.method,
        measurement.method_version,
        measurement.prompt_set_sha256,
        measurement.dtype,
        measurement.backend,
        measurement.device_kind,
        measurement.options
    )) as protocol,
    units.n_units_done,
    units.n_rows,
    units.duration_s,
    units.committed_at
from measurement
inner join units using (measurement_id)
where units.n_units_done = measurement.n_units
