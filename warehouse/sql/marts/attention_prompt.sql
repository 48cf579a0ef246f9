-- One row per model, task and prompt whose attention patterns are kept.
-- model: the model's label
-- task: name of the prompts
-- clean: the prompt's text; null if it is not in this lake
-- n_heads: heads whose patterns are kept
-- n_tokens: tokens of the prompt
with

kept as (
    select
        measurement_id,
        prompt_id,
        count(*) filter (position = 0) as n_heads,
        max(position) + 1 as n_tokens
    from attention_pattern
    group by measurement_id, prompt_id
),

texts as (
    select
        task.model_id,
        task.prompt_set_sha256,
        prompt.prompt_id,
        prompt.clean
    from stg_task_measurement as task
    inner join task_prompt as prompt using (measurement_id)
)

select
    task.model_id,
    coalesce(model.label, task.model_id) as model,
    task.task,
    task.prompt_set_sha256,
    kept.prompt_id,
    texts.clean,
    kept.n_heads,
    kept.n_tokens,
    task.measurement_id
from stg_task_measurement as task
inner join kept using (measurement_id)
left join texts using (model_id, prompt_set_sha256, prompt_id)
left join model on task.model_id = model.model_id
