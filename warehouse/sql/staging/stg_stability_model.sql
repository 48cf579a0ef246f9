-- One row per newest measurement of stability proxies and role: the model, its teacher, and what was read of it.
-- label: what the model is called
-- family: base family of the model
-- teacher_role: 'teacher' or 'plain-teacher'; of a teacher its own role
-- teacher: what that teacher is called
-- epsilon_k: capability has travelled where delta_k is at most this
-- burden_measurement_id: the measurement of its steps
-- rollouts_measurement_id: the measurement that sampled its rollouts on the tested problems
-- measured_at: when the measurement was complete
with

members as (
    select
        stability.measurement_id,
        member.role,
        member.model_id,
        case
            when starts_with(member.role, 'plain-') then 'plain-teacher' else 'teacher'
        end as teacher_role,
        stability.prompt_set,
        stability.prompt_set_sha256,
        json_extract_string(stability.options, '$.inputs."' || member.role || '"')
            as burden_measurement_id,
        cast(json_extract(stability.options, '$.epsilon_k') as double) as epsilon_k,
        stability.committed_at as measured_at
    from stg_stability as stability
    inner join measurement_model as member using (measurement_id)
    where stability.is_newest
)

select
    members.measurement_id,
    members.role,
    members.model_id,
    coalesce(model.label, members.model_id) as label,
    model.family,
    members.teacher_role,
    teacher.model_id as teacher_id,
    coalesce(teacher_model.label, teacher.model_id) as teacher,
    members.prompt_set,
    members.prompt_set_sha256,
    members.epsilon_k,
    members.burden_measurement_id,
    json_extract_string(burden.options, '$.inputs.rollouts') as rollouts_measurement_id,
    members.measured_at
from members
inner join measurement_model as teacher
    on
        members.measurement_id = teacher.measurement_id
        and members.teacher_role = teacher.role
left join model on members.model_id = model.model_id
left join model as teacher_model on teacher.model_id = teacher_model.model_id
left join measurement as burden on members.burden_measurement_id = burden.measurement_id
