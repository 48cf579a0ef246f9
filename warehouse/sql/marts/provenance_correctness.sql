-- One row per pair of the mart `provenance`, label and kind: how much more of the label right answers have than wrong ones.
-- Over all rollouts ('raw') it also shows how hard the questions are; 'within' questions it does not.
-- correctness: for Teacher within questions, what the interval allows to be said; null for others
-- reason: why the area is missing; null when it is not
select
    pair.family,
    pair.distilled_id,
    pair.distilled,
    pair.student_id,
    pair.student,
    pair.teacher_id,
    pair.teacher,
    pair.prompt_set,
    area.label,
    area.kind,
    area.area,
    area.ci_low_area,
    area.ci_high_area,
    area.n_positions,
    area.n_questions,
    case when area.label = 'Teacher' and area.kind = 'within' then pair.correctness end
        as correctness,
    area.reason,
    pair.measurement_id,
    pair.measured_at
from provenance as pair
inner join provenance_area as area using (measurement_id)
