-- One row per model, task and budget: the circuit that is left, and how much of the task it does.
-- model: the model's label
-- task: name of the prompts
-- jaccard: components shared with the circuit that may lose 20 %, of those of both, 0 to 1; null of two empty ones
-- components: its components, layer by layer, heads before the MLP
-- measured_at: when its measurement was complete
with

node_sets as (
    select
        measurement_id,
        budget,
        list(component order by layer, head nulls last) as components
    from circuit_node
    group by measurement_id, budget
)

select
    task.model_id,
    coalesce(model.label, task.model_id) as model,
    model.family,
    task.task,
    task.prompt_set_sha256,
    size.* exclude (measurement_id),
    len(list_intersect(own.components, reference.components))
    / nullif(len(list_distinct(list_concat(own.components, reference.components))), 0) as jaccard,
    coalesce(own.components, []) as components,
    task.measurement_id,
    task.committed_at as measured_at
from stg_task_measurement as task
inner join circuit_size as size using (measurement_id)
left join node_sets as own
    on size.measurement_id = own.measurement_id and size.budget = own.budget
left join node_sets as reference
    on size.measurement_id = reference.measurement_id and abs(reference.budget - 0.2) < 1e-9
left join model on task.model_id = model.model_id
