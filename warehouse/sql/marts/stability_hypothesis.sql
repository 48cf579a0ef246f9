-- One row per teacher, set of tested problems and hypothesis of the theory: what its test says, by the newest measurement.
-- plain_teacher: what the plain teacher is called; null without one
select
    teacher.teacher_id,
    teacher.teacher,
    plain.label as plain_teacher,
    teacher.prompt_set,
    teacher.prompt_set_sha256,
    hypothesis.* exclude (measurement_id),
    hypothesis.measurement_id,
    teacher.measured_at
from stg_stability_model as teacher
inner join hypothesis using (measurement_id)
left join stg_stability_model as plain
    on teacher.measurement_id = plain.measurement_id and plain.role = 'plain-teacher'
where teacher.role = 'teacher'
