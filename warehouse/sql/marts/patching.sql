-- One row per model, task, layer, head, part and token role: how far the clean run's part sets the corrupted run right.
-- model: the model's label
-- task: name of the prompts
-- measured_at: when its measurement was complete
select
    task.model_id,
    coalesce(model.label, task.model_id) as model,
    model.family,
    task.task,
    task.prompt_set_sha256,
    cell.* exclude (measurement_id),
    task.measurement_id,
    task.committed_at as measured_at
from stg_task_measurement as task
inner join patched_cell as cell using (measurement_id)
left join model on task.model_id = model.model_id
