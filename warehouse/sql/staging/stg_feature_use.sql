-- One row per complete ablation or steering of a crosscoder's latents, with the crosscoder it is of.
-- method: feature_ablation or steering
-- crosscoder_id: measurement of the crosscoder
-- measured_at: when it was complete
-- is_newest: no later one of this crosscoder
select
    measurement.measurement_id,
    measurement.method,
    json_extract_string(measurement.options, '$.inputs.crosscoder') as crosscoder_id,
    measurement.committed_at as measured_at,
    row_number() over (
        partition by
            measurement.method, json_extract_string(measurement.options, '$.inputs.crosscoder')
        order by measurement.committed_at desc, measurement.measurement_id asc
    ) = 1 as is_newest
from stg_measurement as measurement
where measurement.method in ('feature_ablation', 'steering')
