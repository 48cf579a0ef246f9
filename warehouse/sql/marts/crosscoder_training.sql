-- One row per told step of a crosscoder's training, while it trains and afterwards.
-- base: what the base is called
-- distilled: what the model made of it is called
-- n_steps: steps planned
-- is_complete: it is trained and described
select
    coalesce(base.label, base_of.model_id) as base,
    coalesce(distilled.label, distilled_of.model_id) as distilled,
    json_extract_string(measurement.options, '$.settings.sparsity') as sparsity,
    json_extract(measurement.options, '$.settings.n_steps')::integer as n_steps,
    step.* exclude (measurement_id),
    pair.measurement_id is not null as is_complete,
    step.measurement_id,
    measurement.planned_at
from crosscoder_step as step
inner join measurement using (measurement_id)
inner join measurement_model as base_of
    on step.measurement_id = base_of.measurement_id and base_of.role = 'base'
inner join measurement_model as distilled_of
    on step.measurement_id = distilled_of.measurement_id and distilled_of.role = 'distilled'
left join model as base on base_of.model_id = base.model_id
left join model as distilled on distilled_of.model_id = distilled.model_id
left join stg_crosscode as pair on step.measurement_id = pair.measurement_id
