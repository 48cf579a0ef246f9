-- One row per newest complete measurement of a method of distilled circuits: by its models, their roles and its prompts.
-- model_id: the model; of a pair its student
-- teacher_id: the teacher of a pair; null for a measurement of one model
-- task: name of its prompts
with

members as (
    select
        measurement_id,
        max(model_id) filter (role in ('model', 'student')) as model_id,
        max(model_id) filter (role = 'teacher') as teacher_id
    from measurement_model
    group by measurement_id
)

select
    measurement.measurement_id,
    measurement.method,
    members.model_id,
    members.teacher_id,
    measurement.prompt_set as task,
    measurement.prompt_set_sha256,
    measurement.dtype,
    measurement.committed_at
from stg_measurement as measurement
inner join members using (measurement_id)
where measurement.method in (
    'ablation',
    'attribution_patching',
    'component',
    'circuit',
    'alignment',
    'patching',
    'residual-attribution',
    'ov-scores',
    'probes',
    'noise',
    'noise_response',
    'circuit-edges',
    'pictures',
    'mlp-pictures'
)
qualify row_number() over (
    partition by
        measurement.method, members.model_id, members.teacher_id, measurement.prompt_set_sha256
    order by measurement.committed_at desc, measurement.measurement_id asc
) = 1
