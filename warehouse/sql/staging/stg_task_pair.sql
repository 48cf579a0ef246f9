-- One row per newest complete measurement of distilled circuits over a teacher and its student: both, and the prompts.
-- teacher: its label
-- student: its label
-- family: base family of the student
-- task: name of the prompts
select
    task.measurement_id,
    task.method,
    task.teacher_id,
    coalesce(teacher.label, task.teacher_id) as teacher,
    task.model_id as student_id,
    coalesce(student.label, task.model_id) as student,
    student.family,
    task.task,
    task.prompt_set_sha256,
    task.committed_at
from stg_task_measurement as task
left join model as teacher on task.teacher_id = teacher.model_id
left join model as student on task.model_id = student.model_id
where task.teacher_id is not null
