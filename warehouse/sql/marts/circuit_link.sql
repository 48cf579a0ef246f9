-- One row per model, task, source, destination and reader: what one edge of the circuit is worth.
-- model: the model's label
-- task: name of the prompts
-- is_apart: the interval of its worth leaves 0 out
-- measured_at: when its measurement was complete
select
    task.model_id,
    coalesce(model.label, task.model_id) as model,
    task.task,
    task.prompt_set_sha256,
    edge.* exclude (measurement_id),
    edge.ci_high_delta_p_edge < 0 or edge.ci_low_delta_p_edge > 0 as is_apart,
    task.measurement_id,
    task.committed_at as measured_at
from stg_task_measurement as task
inner join circuit_edge as edge using (measurement_id)
left join model on task.model_id = model.model_id
