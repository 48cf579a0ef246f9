-- One row per model, task, budget and component of its circuit: what it alone is worth there, and in the whole model.
-- model: the model's label
-- task: name of the prompts
-- layer: the layer, from 0
-- head: the head, from 0; null for the MLP
-- delta_p_in_circuit: points of the whole model lost when it alone is taken out of the circuit
-- delta_p_pct: points lost when it alone is taken out of the whole model; null where that was not measured
select
    task.model_id,
    coalesce(model.label, task.model_id) as model,
    task.task,
    task.prompt_set_sha256,
    node.budget,
    node.component,
    node.layer,
    node.head,
    node.delta_p_in_circuit,
    effect.delta_p_pct,
    task.measurement_id
from stg_task_measurement as task
inner join circuit_node as node using (measurement_id)
left join component_effect as effect
    on
        task.model_id = effect.model_id
        and task.prompt_set_sha256 = effect.prompt_set_sha256
        and node.component = effect.component
left join model on task.model_id = model.model_id
