-- One row per teacher or student of the mart `stability_component` and rollout on the tested problems: its text, and what its steps add up to.
-- model: what the model is called
-- reason: why its steps have no rates; null when they have
select
    model.teacher_id,
    model.teacher,
    model.model_id,
    model.label as model,
    model.role,
    model.prompt_set,
    model.prompt_set_sha256,
    trajectory.* exclude (measurement_id, reason),
    rollout.category,
    rollout.problem,
    rollout.gold,
    rollout.text,
    rollout.n_tokens,
    rollout.finish,
    trajectory.reason,
    model.burden_measurement_id,
    model.measurement_id,
    model.measured_at
from stg_stability_model as model
inner join trajectory_stability as trajectory
    on model.burden_measurement_id = trajectory.measurement_id
inner join rollout
    on
        model.rollouts_measurement_id = rollout.measurement_id
        and trajectory.problem_id = rollout.problem_id
        and trajectory.sample = rollout.sample
