-- One row per model, task, prompt, head and pair of tokens: how much the head looks from one at the other.
-- model: the model's label
-- task: name of the prompts
-- key_position: of the token that is looked at, from 0
-- key_token: its text
-- weight: of all that the head looks at from the token, 0 to 1
with

looks as (
    select
        pattern.measurement_id,
        pattern.prompt_id,
        pattern.layer,
        pattern.head,
        pattern.position,
        pattern.token,
        unnest(range(len(pattern.weights)))::integer as key_position,
        unnest(pattern.weights) as weight
    from attention_pattern as pattern
)

select
    task.model_id,
    coalesce(model.label, task.model_id) as model,
    task.task,
    task.prompt_set_sha256,
    looks.prompt_id,
    looks.layer,
    looks.head,
    looks.position,
    looks.token,
    looks.key_position,
    looked_at.token as key_token,
    looks.weight,
    task.measurement_id
from stg_task_measurement as task
inner join looks using (measurement_id)
inner join attention_pattern as looked_at
    on
        looks.measurement_id = looked_at.measurement_id
        and looks.prompt_id = looked_at.prompt_id
        and looks.layer = looked_at.layer
        and looks.head = looked_at.head
        and looks.key_position = looked_at.position
left join model on task.model_id = model.model_id
