-- One row per teacher, student, task, model the student is held against, and way: how much more it drops.
-- teacher: its label
-- student: its label
-- family: base family of the student
-- task: name of the prompts
-- mean_drop_teacher: the teacher's mean drop, %
-- mean_drop_student: the student's mean drop, %
-- measured_at: when its measurement was complete
select
    task.teacher_id,
    coalesce(teacher.label, task.teacher_id) as teacher,
    task.model_id as student_id,
    coalesce(student.label, task.model_id) as student,
    student.family,
    task.task,
    task.prompt_set_sha256,
    difference.* exclude (measurement_id),
    theirs.mean_drop_pct as mean_drop_teacher,
    ours.mean_drop_pct as mean_drop_student,
    task.measurement_id,
    task.committed_at as measured_at
from stg_task_measurement as task
inner join brittleness_difference as difference using (measurement_id)
left join model as teacher on task.teacher_id = teacher.model_id
left join model as student on task.model_id = student.model_id
left join brittleness_model as theirs
    on
        task.teacher_id = theirs.model_id
        and task.task = theirs.task
        and task.prompt_set_sha256 = theirs.prompt_set_sha256
left join brittleness_model as ours
    on
        task.model_id = ours.model_id
        and task.task = ours.task
        and task.prompt_set_sha256 = ours.prompt_set_sha256
