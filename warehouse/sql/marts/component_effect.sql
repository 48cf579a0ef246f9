-- One row per model, task and component: what ablating it does, and what a gradient said it would.
-- model: the model's label
-- task: name of the prompts
-- layer: the layer, from 0
-- head: the head, from 0; null for the MLP
-- rank: by effect among the model's components on the task, from 1
-- estimated_effect: to first order, by attribution patching; null where that was not asked
-- is_in_circuit: in the circuit that may lose 20 % of the logit difference; null where none was extracted
-- measured_at: when its measurement was complete
with

estimated as (
    select
        task.model_id,
        task.prompt_set_sha256,
        effect.component,
        effect.estimated_effect
    from stg_task_measurement as task
    inner join attribution_effect as effect using (measurement_id)
    where task.method = 'attribution_patching'
),

extracted as (
    select model_id, prompt_set_sha256, measurement_id
    from stg_task_measurement
    where method = 'circuit'
),

nodes as (
    select measurement_id, component
    from circuit_node
    where abs(budget - 0.2) < 1e-9
)

select
    task.model_id,
    coalesce(model.label, task.model_id) as model,
    model.family,
    task.task,
    task.prompt_set_sha256,
    component.component,
    component.kind,
    split_part(component.component, '.', 1)::integer as layer,
    try_cast(split_part(component.component, '.', 2) as integer) as head,
    component.n_prompts,
    component.mean_ld_clean,
    component.mean_ld_ablated,
    component.effect,
    component.ci_low_effect,
    component.ci_high_effect,
    rank() over (
        partition by task.measurement_id order by component.effect desc
    )::integer as rank,
    component.retained_pct,
    component.delta_p_pct,
    component.drop_pct,
    component.ci_low_drop_pct,
    component.ci_high_drop_pct,
    component.influence_max,
    estimated.estimated_effect,
    case
        when extracted.measurement_id is not null then nodes.component is not null
    end as is_in_circuit,
    component.reason,
    task.measurement_id,
    task.committed_at as measured_at
from stg_task_measurement as task
inner join component using (measurement_id)
left join model on task.model_id = model.model_id
left join estimated
    on
        task.model_id = estimated.model_id
        and task.prompt_set_sha256 = estimated.prompt_set_sha256
        and component.component = estimated.component
left join extracted
    on
        task.model_id = extracted.model_id
        and task.prompt_set_sha256 = extracted.prompt_set_sha256
left join nodes
    on
        extracted.measurement_id = nodes.measurement_id
        and component.component = nodes.component
