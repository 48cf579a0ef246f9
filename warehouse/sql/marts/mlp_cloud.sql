-- One row per teacher, student, task, MLP of the teacher, model of the two, prompt and token: an output on two axes.
-- teacher: its label
-- student: its label
-- task: name of the prompts
-- position: of the token, from 0
-- is_first: it is the first of its prompt
-- token: its text
-- first: on the first principal axis of this MLP's outputs
-- second: on the second
with

points as (
    select
        measurement_id,
        layer_teacher,
        layer_student,
        whose,
        prompt_id,
        unnest(range(len(tokens)))::integer as position,
        unnest(tokens) as token,
        unnest(first) as first,
        unnest(second) as second,
        share_first,
        share_second
    from mlp_projection
)

select
    asked.teacher_id,
    asked.teacher,
    asked.student_id,
    asked.student,
    asked.task,
    asked.prompt_set_sha256,
    points.* exclude (measurement_id),
    points.position = 0 as is_first,
    asked.measurement_id
from stg_task_pair as asked
inner join points using (measurement_id)
