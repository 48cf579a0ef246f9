-- One row per pair of the mart `provenance`, set of rollouts, rollout and sentence: its text, probabilities and labels.
-- text: the sentence as it stands in the completion, blanks at its end with it
-- d_sd: p_student - p_distilled
-- d_td: p_teacher - p_distilled
-- d_ts: p_teacher - p_student
-- reason: why it has no label; null when it has one
select
    rollout.distilled_id,
    rollout.distilled,
    rollout.teacher_id,
    rollout.teacher,
    rollout.prompt_set,
    sentence.* exclude (measurement_id, is_correct, reason),
    substring(
        rollout.text, sentence.char_start + 1, sentence.char_end - sentence.char_start
    ) as text,
    sentence.p_student - sentence.p_distilled as d_sd,
    sentence.p_teacher - sentence.p_distilled as d_td,
    sentence.p_teacher - sentence.p_student as d_ts,
    rollout.is_correct,
    sentence.reason,
    sentence.measurement_id,
    rollout.measured_at
from provenance_sentence as sentence
inner join provenance_rollout as rollout using (measurement_id, rollouts_of, problem_id, sample)
