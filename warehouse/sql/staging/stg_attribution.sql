-- One row per complete measurement of attribution and candidate teacher: its place in the ranking.
-- What the distilled model and the candidate have in common beyond the student; see measure/attribution.py.
-- distilled: its label
-- student: label of the base before distillation
-- teacher_id: the candidate
-- teacher: its label
-- family: base family of the student
-- role: what the reasons call the candidate
-- share_status: 'above the null' if the interval of share lies above null_share, 'not above the null' if below, else 'not clear'
-- reason: why share is null; null when it is not
-- measured_at: when the measurement was complete
-- is_newest: of no later measurement of the distilled model and its student on these problems
with

ranked as (
    select
        attribution.*,
        student.model_id as student_id,
        distilled.model_id as distilled_id,
        measurement.prompt_set,
        measurement.prompt_set_sha256,
        measurement.committed_at,
        row_number() over (
            partition by student.model_id, distilled.model_id, measurement.prompt_set_sha256
            order by measurement.committed_at desc, attribution.measurement_id asc
        ) = 1 as is_newest
    from attribution
    inner join stg_measurement as measurement using (measurement_id)
    inner join measurement_model as student
        on attribution.measurement_id = student.measurement_id and student.role = 'student'
    inner join measurement_model as distilled
        on attribution.measurement_id = distilled.measurement_id and distilled.role = 'distilled'
)

select
    ranked.distilled_id,
    coalesce(distilled.label, ranked.distilled_id) as distilled,
    ranked.student_id,
    coalesce(student.label, ranked.student_id) as student,
    coalesce(student.family, distilled.family) as family,
    ranked.prompt_set,
    ranked.prompt_set_sha256,
    ranked.attribution,
    ranked.attribution_reasons,
    member.model_id as teacher_id,
    coalesce(teacher.label, member.model_id) as teacher,
    candidate.role,
    candidate.rank,
    candidate.share,
    candidate.ci_low_share,
    candidate.ci_high_share,
    candidate.null_share,
    case
        when candidate.ci_low_share > candidate.null_share then 'above the null'
        when candidate.ci_high_share <= candidate.null_share then 'not above the null'
        when candidate.share is not null then 'not clear'
    end as share_status,
    candidate.behind_first,
    candidate.ci_low_behind_first,
    candidate.ci_high_behind_first,
    candidate.share_with_first,
    candidate.is_sibling,
    candidate.is_attributed,
    candidate.gain_distilled,
    candidate.ci_low_gain_distilled,
    candidate.ci_high_gain_distilled,
    candidate.learned,
    candidate.ci_low_learned,
    candidate.ci_high_learned,
    candidate.alignment,
    candidate.ci_low_alignment,
    candidate.ci_high_alignment,
    candidate.n_questions,
    candidate.n_rollouts_distilled,
    candidate.n_rollouts_own,
    candidate.n_unscored,
    candidate.reason,
    ranked.measurement_id,
    ranked.committed_at as measured_at,
    ranked.is_newest
from ranked
inner join attribution_candidate as candidate using (measurement_id)
inner join measurement_model as member
    on ranked.measurement_id = member.measurement_id and candidate.role = member.role
left join model as distilled on ranked.distilled_id = distilled.model_id
left join model as student on ranked.student_id = student.model_id
left join model as teacher on member.model_id = teacher.model_id
