-- One row per teacher, student, task, MLP of the one and MLP of the other: how alike they are.
-- teacher: its label
-- student: its label
-- task: name of the prompts
select
    task.teacher_id,
    coalesce(teacher.label, task.teacher_id) as teacher,
    task.model_id as student_id,
    coalesce(student.label, task.model_id) as student,
    task.task,
    task.prompt_set_sha256,
    alike.* exclude (measurement_id),
    task.measurement_id
from stg_task_measurement as task
inner join mlp_similarity as alike using (measurement_id)
left join model as teacher on task.teacher_id = teacher.model_id
left join model as student on task.model_id = student.model_id
