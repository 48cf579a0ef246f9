-- One row per teacher, student, task, model the student is held against, and way: how much more it drops.
-- teacher: its label
-- student: its label
-- family: base family of the student
-- task: name of the prompts
-- mean_drop_teacher: the teacher's mean drop, %
-- mean_drop_student: the student's mean drop, %
-- measured_at: when its measurement was complete
select
    asked.teacher_id,
    asked.teacher,
    asked.student_id,
    asked.student,
    asked.family,
    asked.task,
    asked.prompt_set_sha256,
    difference.* exclude (measurement_id),
    theirs.mean_drop_pct as mean_drop_teacher,
    ours.mean_drop_pct as mean_drop_student,
    asked.measurement_id,
    asked.committed_at as measured_at
from stg_task_pair as asked
inner join brittleness_difference as difference using (measurement_id)
left join brittleness_model as theirs
    on
        asked.teacher_id = theirs.model_id
        and asked.task = theirs.task
        and asked.prompt_set_sha256 = theirs.prompt_set_sha256
left join brittleness_model as ours
    on
        asked.student_id = ours.model_id
        and asked.task = ours.task
        and asked.prompt_set_sha256 = ours.prompt_set_sha256
