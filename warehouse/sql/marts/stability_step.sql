-- One row per rollout of the mart `stability_rollout` and step: burden, load and region, with the sentence it arrives at.
-- text: the sentence it arrives at, blanks at its end with it
-- slack: distance over radius; above 1 is outside
select
    rollout.teacher_id,
    rollout.model_id,
    rollout.model,
    rollout.prompt_set,
    rollout.horizon,
    rollout.condition,
    rollout.is_correct,
    step.* exclude (measurement_id, reason),
    step.distance / step.radius as slack,
    substring(rollout.text, step.char_start + 1, step.char_end - step.char_start) as text,
    step.reason,
    rollout.burden_measurement_id,
    rollout.measurement_id,
    rollout.measured_at
from stability_rollout as rollout
inner join step_burden as step
    on
        rollout.burden_measurement_id = step.measurement_id
        and rollout.problem_id = step.problem_id
        and rollout.sample = step.sample
