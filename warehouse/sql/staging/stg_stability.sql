-- One row per complete measurement of stability proxies, with its teachers.
-- teacher_id: the teacher whose limits its students are held against
-- plain_teacher_id: the teacher without constraints that is compared with; null without one
-- prompt_set: name of the tested problems
-- prompt_set_sha256: their hash
-- committed_at: when the measurement was complete
-- is_newest: no later one of this teacher on these problems
select
    measurement.measurement_id,
    own.model_id as teacher_id,
    plain.model_id as plain_teacher_id,
    measurement.prompt_set,
    measurement.prompt_set_sha256,
    measurement.options,
    measurement.committed_at,
    row_number() over (
        partition by own.model_id, measurement.prompt_set_sha256
        order by measurement.committed_at desc, measurement.measurement_id asc
    ) = 1 as is_newest
from stg_measurement as measurement
inner join measurement_model as own
    on measurement.measurement_id = own.measurement_id and own.role = 'teacher'
left join measurement_model as plain
    on measurement.measurement_id = plain.measurement_id and plain.role = 'plain-teacher'
where measurement.method = 'stability'
