-- One row per trajectory whose counts are not those of its steps, or that lacks a rate without a reason.
with

added as (
    select
        measurement_id,
        problem_id,
        sample,
        count(*) as n_steps,
        count(*) filter (is_violation) as n_violations,
        count(*) filter (is_outside) as n_outside,
        count(*) filter (is_violation and is_outside) as n_both,
        max(path_load) as path_load
    from step_burden
    group by all
)

select trajectory.measurement_id, trajectory.problem_id, trajectory.sample
from trajectory_stability as trajectory
left join added using (measurement_id, problem_id, sample)
where
    trajectory.n_violations <> coalesce(added.n_violations, -1)
    or trajectory.n_outside <> coalesce(added.n_outside, -1)
    or trajectory.n_both <> coalesce(added.n_both, -1)
    or abs(trajectory.path_load - added.path_load) > 1e-9 * (1 + added.path_load)
    or (trajectory.n_violations is not null and trajectory.n_states <> added.n_steps + 1)
    or abs(trajectory.v_rate - trajectory.n_violations / added.n_steps) > 1e-9
    or abs(trajectory.f_rate - trajectory.n_outside / added.n_steps) > 1e-9
    or ((trajectory.v_rate is null or trajectory.f_rate is null) and trajectory.reason is null)
