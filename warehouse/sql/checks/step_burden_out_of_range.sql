-- One row per step whose burden or load cannot be, or whose marks contradict its numbers.
with

ordered as (
    select
        *,
        lag(path_load, 1, 0) over (
            partition by measurement_id, problem_id, sample
            order by t
        ) as load_before,
        lag(radius) over (
            partition by measurement_id, problem_id, sample
            order by t
        ) as radius_before
    from step_burden
)

select measurement_id, problem_id, sample, t
from ordered
where
    not coalesce(b between 0 and 2, true)
    or b_rel < 0
    or d_entropy_nats < 0
    or not coalesce(attn_conc between 0 and 1.00001, true)
    or path_load < load_before - 1e-9
    or abs(path_load - load_before - b) > 1e-9 * (1 + abs(path_load))
    or is_violation <> (b > b_limit)
    or is_outside <> (distance > radius)
    or distance < 0
    or decile <> (10 * t) // n_states
    or t not between 0 and n_states - 2
    or char_end <= char_start
    or ((b is null or distance is null or attn_conc is null) and reason is null)
