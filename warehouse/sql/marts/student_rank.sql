-- One row per teacher, task and student of a ranking: its rank by alignment among those as often right.
-- teacher: its label
-- student_id: the student
-- student: its label
-- task: name of the prompts
-- measured_at: when its measurement was complete
select
    theirs.model_id as teacher_id,
    coalesce(teacher.label, theirs.model_id) as teacher,
    ours.model_id as student_id,
    coalesce(student.label, ours.model_id) as student,
    measurement.prompt_set as task,
    measurement.prompt_set_sha256,
    ranked.* exclude (measurement_id, student),
    measurement.measurement_id,
    measurement.committed_at as measured_at
from stg_measurement as measurement
inner join ranked_student as ranked using (measurement_id)
inner join measurement_model as theirs
    on measurement.measurement_id = theirs.measurement_id and theirs.role = 'teacher'
inner join measurement_model as ours
    on measurement.measurement_id = ours.measurement_id and ranked.student = ours.role
left join model as teacher on theirs.model_id = teacher.model_id
left join model as student on ours.model_id = student.model_id
