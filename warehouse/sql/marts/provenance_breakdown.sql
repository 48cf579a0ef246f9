-- One row per pair of the mart `provenance`, set of rollouts and label: its share of the sentences, with its interval.
-- is_part_of_boosted: the label is a kind of Boosted, counted there already
-- null_share: share of the same label on the student's own rollouts
-- control_share: share of the same label with an unrelated model in the teacher's place; null without one
select
    pair.family,
    pair.distilled_id,
    pair.distilled,
    pair.student_id,
    pair.student,
    pair.teacher_id,
    pair.teacher,
    pair.prompt_set,
    share.rollouts_of,
    share.label,
    share.label in ('boosted_up', 'between', 'suppressed') as is_part_of_boosted,
    share.share,
    share.ci_low_share,
    share.ci_high_share,
    share.n_sentences,
    share.n_all,
    share.n_questions,
    own_text.share as null_share,
    wrong.share as control_share,
    pair.measurement_id,
    pair.measured_at
from provenance as pair
inner join provenance_share as share using (measurement_id)
left join provenance_share as own_text
    on
        share.measurement_id = own_text.measurement_id
        and share.label = own_text.label
        and own_text.rollouts_of = 'student'
left join provenance_share as wrong
    on
        share.measurement_id = wrong.measurement_id
        and share.label = wrong.label
        and wrong.rollouts_of = 'control'
