-- One row per teacher or student of the mart `stability_student`, and component of K, of R or beside them, with the teacher's own.
-- model: what the model is called
-- is_teacher: it is the teacher itself
-- teacher_value: the same component of its teacher
-- is_above_null: dependence beyond what steps dealt anew give; null for other components
select
    model.teacher_id,
    model.teacher,
    model.model_id,
    model.label as model,
    model.family,
    model.role,
    model.role = model.teacher_role as is_teacher,
    model.prompt_set,
    model.prompt_set_sha256,
    profile.kind,
    profile.component,
    profile.value,
    profile.ci_low_value,
    profile.ci_high_value,
    profile.null_value,
    profile.value > profile.null_value as is_above_null,
    teacher_profile.value as teacher_value,
    profile.n_problems,
    profile.n_values,
    profile.reason,
    model.measurement_id,
    model.measured_at
from stg_stability_model as model
inner join stability_profile as profile using (measurement_id, role)
left join stability_profile as teacher_profile
    on
        model.measurement_id = teacher_profile.measurement_id
        and model.teacher_role = teacher_profile.role
        and profile.component = teacher_profile.component
