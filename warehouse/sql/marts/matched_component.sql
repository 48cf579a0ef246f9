-- One row per teacher, student, task, mode, matching and pair of components.
-- teacher: its label
-- student: its label
-- task: name of the prompts
select
    asked.teacher_id,
    asked.teacher,
    asked.student_id,
    asked.student,
    asked.task,
    asked.prompt_set_sha256,
    matched.* exclude (measurement_id),
    asked.measurement_id
from stg_task_pair as asked
inner join component_match as matched using (measurement_id)
