-- One row per teacher, student, task, MLP of the one and MLP of the other: how alike they are.
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
    alike.* exclude (measurement_id),
    asked.measurement_id
from stg_task_pair as asked
inner join mlp_similarity as alike using (measurement_id)
