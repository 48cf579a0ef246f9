-- One row per model, task and head: how often its output at the end says the answer, or the foil.
-- model: the model's label
-- task: name of the prompts
-- successor_share: prompts with the answer among its first 5 tokens, 0 to 1
-- copy_share: prompts with the foil there, 0 to 1
-- chance: 5 over the vocabulary
select
    task.model_id,
    coalesce(model.label, task.model_id) as model,
    model.family,
    task.task,
    task.prompt_set_sha256,
    score.layer,
    score.head,
    score.n_prompts,
    score.n_successor / score.n_prompts as successor_share,
    score.n_copy / score.n_prompts as copy_share,
    5 / model.vocab_size as chance,
    task.measurement_id
from stg_task_measurement as task
inner join ov_score as score using (measurement_id)
left join model on task.model_id = model.model_id
