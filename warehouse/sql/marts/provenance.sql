-- One row per teacher, student, distilled model and set of problems: what its sentences say, by the newest measurement.
-- distilled: its label
-- student: label of the base before distillation
-- teacher: label of the teacher
-- control: label of the unrelated model put in the teacher's place; null without one
-- family: base family of the student
-- accuracy: right rollouts over checked ones, 0 to 1; null where none was checked
-- teacher_share: share of Teacher among the sentences of the distilled model
-- null_share: the same on the student's own rollouts
-- control_share: the same with the control in the teacher's place; null without one
-- measured_at: when the measurement was complete
with

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
    pair.committed_at as measured_at
from stg_provenance as pair
left join teacher_share using (measurement_id)
left join model as distilled on pair.distilled_id = distilled.model_id
left join model as student on pair.student_id = student.model_id
left join model as teacher on pair.teacher_id = teacher.model_id
left join model as control on pair.control_id = control.model_id
where pair.is_newest
