-- One row per teacher, student and set of tested problems: how far the student is from it in capability K and in the stability proxies R, by the newest measurement.
-- R is the project's own proxy; the source publishes no numbers to check it against.
-- student: what the student is called
-- teacher: what its teacher is called
-- family: base family of the student
-- teacher_load: mean load per sentence of the teacher
-- load: the same of the student
with

loads as (
    select measurement_id, role, value
    from stability_profile
    where component = 'mean load'
)

select
    student.teacher_id,
    student.teacher,
    student.model_id as student_id,
    student.label as student,
    student.family,
    student.prompt_set,
    student.prompt_set_sha256,
    student.epsilon_k,
    own_load.value as load,
    teacher_load.value as teacher_load,
    point.* exclude (measurement_id),
    point.measurement_id,
    student.measured_at
from stg_stability_model as student
inner join coupling_point as point using (measurement_id, role)
left join loads as own_load using (measurement_id, role)
left join loads as teacher_load
    on
        student.measurement_id = teacher_load.measurement_id
        and student.teacher_role = teacher_load.role
