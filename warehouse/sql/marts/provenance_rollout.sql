-- One row per pair of the mart `provenance`, set of rollouts and rollout: what the reader lists.
-- The rollouts of the distilled model, and the student's own.
-- rollouts_measurement_id: the measurement that sampled it
-- n_labelled: sentences with a label
-- n_shared: of them, Shared
-- n_teacher: Teacher
-- n_student: Student
-- n_boosted: Boosted
-- first_divergence: the first sentence that the distilled model finds likelier than the teacher by more than alpha; null where there is none
with

counted as (
    select
        sentence.measurement_id,
        sentence.rollouts_of,
        sentence.problem_id,
        sentence.sample,
        count(*) filter (sentence.label4 is not null) as n_labelled,
        count(*) filter (sentence.label4 = 'Shared') as n_shared,
        count(*) filter (sentence.label4 = 'Teacher') as n_teacher,
        count(*) filter (sentence.label4 = 'Student') as n_student,
        count(*) filter (sentence.label4 = 'Boosted') as n_boosted,
        min(sentence.sentence) filter (
            sentence.label4 is not null
            and sentence.p_distilled - sentence.p_teacher > summary.alpha
        ) as first_divergence
    from provenance_sentence as sentence
    inner join provenance_summary as summary using (measurement_id)
    group by all
),

pairs as (
    select
        *,
        unnest(['distilled', 'student']) as rollouts_of,
        unnest([rollouts_distilled, rollouts_student]) as rollouts_measurement_id
    from provenance
)

select
    pair.distilled_id,
    pair.distilled,
    pair.student_id,
    pair.teacher_id,
    pair.teacher,
    pair.prompt_set,
    pair.rollouts_of,
    rollout.problem_id,
    rollout.sample,
    rollout.category,
    rollout.problem,
    rollout.gold,
    rollout.text,
    rollout.n_tokens,
    rollout.finish,
    rollout.answer,
    rollout.is_correct,
    coalesce(counted.n_labelled, 0) as n_labelled,
    coalesce(counted.n_shared, 0) as n_shared,
    coalesce(counted.n_teacher, 0) as n_teacher,
    coalesce(counted.n_student, 0) as n_student,
    coalesce(counted.n_boosted, 0) as n_boosted,
    counted.first_divergence,
    rollout.reason,
    pair.rollouts_measurement_id,
    pair.measurement_id,
    pair.measured_at
from pairs as pair
inner join rollout on pair.rollouts_measurement_id = rollout.measurement_id
left join counted
    on
        pair.measurement_id = counted.measurement_id
        and pair.rollouts_of = counted.rollouts_of
        and rollout.problem_id = counted.problem_id
        and rollout.sample = counted.sample
