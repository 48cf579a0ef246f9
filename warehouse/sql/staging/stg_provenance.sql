-- One row per complete measurement of sentence provenance: its models, the rollouts it is on, and what its sentences say.
-- teacher_id: the teacher the sentences are labelled against
-- teacher: its label
-- student_id: the base before distillation
-- student: its label
-- distilled_id: the model whose sentences they are
-- distilled: its label
-- control_id: the unrelated model put in the teacher's place; null without one
-- control: its label
-- family: base family of the student
-- accuracy: right rollouts over checked ones, 0 to 1; null where none was checked
-- teacher_share: share of Teacher among the sentences of the distilled model
-- null_share: the same on the student's own rollouts
-- control_share: the same with the control in the teacher's place; null without one
-- rollouts_distilled: measurement of the distilled model's rollouts
-- rollouts_student: measurement of the student's rollouts
-- prompt_set: name of the set of problems
-- prompt_set_sha256: its hash
-- measured_at: when the measurement was complete
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
),

pair as (
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
),

teacher_share as (
    select
        measurement_id,
        max(share) filter (rollouts_of = 'distilled') as teacher_share,
        max(share) filter (rollouts_of = 'student') as null_share,
        max(share) filter (rollouts_of = 'control') as control_share
    from provenance_share
    where label = 'Teacher'
    group by measurement_id
)

select
    pair.distilled_id,
    coalesce(distilled.label, pair.distilled_id) as distilled,
    pair.student_id,
    coalesce(student.label, pair.student_id) as student,
    pair.teacher_id,
    coalesce(teacher.label, pair.teacher_id) as teacher,
    pair.control_id,
    coalesce(control.label, pair.control_id) as control,
    coalesce(student.family, distilled.family) as family,
    pair.prompt_set,
    pair.prompt_set_sha256,
    pair.n_correct / nullif(pair.n_correct + pair.n_incorrect, 0) as accuracy,
    teacher_share.teacher_share,
    teacher_share.null_share,
    teacher_share.control_share,
    pair.alpha,
    pair.beta,
    pair.beta_source,
    pair.length_rule,
    pair.n_rollouts,
    pair.n_correct,
    pair.n_incorrect,
    pair.n_unchecked,
    pair.n_empty,
    pair.n_sentences,
    pair.n_special,
    pair.n_repeats,
    pair.n_unscored,
    pair.teacher_minus_null,
    pair.ci_low_teacher_minus_null,
    pair.ci_high_teacher_minus_null,
    pair.teacher_minus_control,
    pair.ci_low_teacher_minus_control,
    pair.ci_high_teacher_minus_control,
    pair.least_kappa,
    pair.is_stable,
    pair.own_token_kappa,
    pair.n_masked,
    pair.transfer,
    pair.transfer_reasons,
    pair.correctness,
    pair.correctness_reasons,
    pair.rollouts_distilled,
    pair.rollouts_student,
    pair.measurement_id,
    pair.committed_at as measured_at,
    pair.is_newest
from pair
left join teacher_share using (measurement_id)
left join model as distilled on pair.distilled_id = distilled.model_id
left join model as student on pair.student_id = student.model_id
left join model as teacher on pair.teacher_id = teacher.model_id
left join model as control on pair.control_id = control.model_id
