-- One row per model, task, head and rank: a token that the head's output at the end says most often.
-- model: the model's label
-- task: name of the prompts
-- share: prompts with the token among the first 5 of the head's output, 0 to 1
-- chance: 5 over the vocabulary
select
    task.model_id,
    coalesce(model.label, task.model_id) as model,
    task.task,
    task.prompt_set_sha256,
    said.layer,
    said.head,
    said.rank,
    said.token,
    said.n_prompts,
    said.n_first,
    said.n_first / said.n_prompts as share,
    5 / model.vocab_size as chance,
    task.measurement_id
from stg_task_measurement as task
inner join ov_token as said using (measurement_id)
left join model on task.model_id = model.model_id
