-- One row per teacher, student, task, mode, normalisation and matching: whether what is alike also matters alike.
-- teacher: its label
-- student: its label
-- family: base family of the student
-- task: name of the prompts
-- measured_at: when its measurement was complete
select
    task.teacher_id,
    coalesce(teacher.label, task.teacher_id) as teacher,
    task.model_id as student_id,
    coalesce(student.label, task.model_id) as student,
    student.family,
    task.task,
    task.prompt_set_sha256,
    alignment.* exclude (measurement_id),
    task.measurement_id,
    task.committed_at as measured_at
from stg_task_measurement as task
inner join alignment using (measurement_id)
left join model as teacher on task.teacher_id = teacher.model_id
left join model as student on task.model_id = student.model_id
