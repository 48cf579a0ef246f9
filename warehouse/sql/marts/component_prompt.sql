-- One row per model, task, component and prompt: its logit difference with the component and without.
-- model: the model's label
-- task: name of the prompts
-- effect: ld_clean less ld_ablated, logits; > 0: the component helps on this prompt
select
    task.model_id,
    coalesce(model.label, task.model_id) as model,
    task.task,
    task.prompt_set_sha256,
    ablated.component,
    ablated.layer,
    ablated.head,
    asked.prompt_id,
    asked.clean,
    asked.corrupted,
    asked.answer,
    asked.foil,
    asked.ld_clean,
    ablated.ld_ablated,
    asked.ld_clean - ablated.ld_ablated as effect,
    task.measurement_id
from stg_task_measurement as task
inner join ablation_effect as ablated using (measurement_id)
inner join task_prompt as asked
    on
        ablated.measurement_id = asked.measurement_id
        and ablated.prompt_id = asked.prompt_id
left join model on task.model_id = model.model_id
