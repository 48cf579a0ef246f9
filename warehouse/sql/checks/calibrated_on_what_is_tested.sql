-- One row per measurement of steps whose limits or region come from the problems it is tested on, or from another model.
with

inputs as (
    select
        tested.measurement_id,
        tested.prompt_set_sha256,
        unnest(['region', 'limits']) as input,
        unnest([
            json_extract_string(tested.options, '$.inputs.region'),
            json_extract_string(tested.options, '$.inputs.limits')
        ]) as input_id,
        unnest(['model', 'teacher']) as role
    from measurement as tested
    where tested.method in ('step_burden', 'retune')
)

select inputs.measurement_id, inputs.input
from inputs
inner join measurement as calibrated on inputs.input_id = calibrated.measurement_id
left join measurement_model as own
    on inputs.measurement_id = own.measurement_id and inputs.role = own.role
left join measurement_model as theirs
    on inputs.input_id = theirs.measurement_id and theirs.role = 'model'
where
    inputs.prompt_set_sha256 = calibrated.prompt_set_sha256
    or own.model_id <> theirs.model_id
