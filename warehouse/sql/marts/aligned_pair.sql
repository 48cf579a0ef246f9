-- One row per teacher, student, task, mode, normalisation and matching: whether what is alike also matters alike.
-- teacher: its label
-- student: its label
-- family: base family of the student
-- task: name of the prompts
-- measured_at: when its measurement was complete
select
    asked.teacher_id,
    asked.teacher,
    asked.student_id,
    asked.student,
    asked.family,
    asked.task,
    asked.prompt_set_sha256,
    alignment.* exclude (measurement_id),
    asked.measurement_id,
    asked.committed_at as measured_at
from stg_task_pair as asked
inner join alignment using (measurement_id)
