-- One row per complete measurement of sentence provenance, with its models and the rollouts it is on.
-- teacher_id: the teacher the sentences are labelled against
-- student_id: the base before distillation
-- distilled_id: the model whose sentences they are
-- control_id: the unrelated model put in the teacher's place; null without one
-- rollouts_distilled: measurement of the distilled model's rollouts
-- rollouts_student: measurement of the student's rollouts
-- prompt_set: name of the set of problems
-- prompt_set_sha256: its hash
-- committed_at: when the measurement was complete
-- is_newest: no later one of these three models on these problems
with

members as (
    select
        measurement_id,
        max(model_id) filter (role = 'teacher') as teacher_id,
        max(model_id) filter (role = 'student') as student_id,
        max(model_id) filter (role = 'distilled') as distilled_id,
        max(model_id) filter (role = 'control') as control_id
    from measurement_model
    group by measurement_id
)

select
    members.teacher_id,
    members.student_id,
    members.distilled_id,
    members.control_id,
    measurement.options ->> '$.inputs.rollouts_distilled' as rollouts_distilled,
    measurement.options ->> '$.inputs.rollouts_student' as rollouts_student,
    measurement.prompt_set,
    measurement.prompt_set_sha256,
    measurement.committed_at,
    row_number() over (
        partition by
            members.teacher_id,
            members.student_id,
            members.distilled_id,
            measurement.prompt_set_sha256
        order by measurement.committed_at desc, summary.measurement_id asc
    ) = 1 as is_newest,
    summary.*
from provenance_summary as summary
inner join stg_measurement as measurement using (measurement_id)
inner join members using (measurement_id)
