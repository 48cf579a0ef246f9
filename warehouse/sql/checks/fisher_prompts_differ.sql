-- One row per summary of curvatures whose count or means are not those of its prompts' records.
with

-- a prompt that several seeds draw counts once
prompt as (
    select distinct on (measurement_id, prompt_id) measurement_id, kappa, state_norm
    from fisher_curvature
    where kappa is not null
),

counted as (
    select
        measurement_id,
        count(*) as n_prompts,
        avg(kappa) as kappa_f,
        avg(kappa * state_norm ** 2) as kappa_norm2_mean
    from prompt
    group by measurement_id
),

recorded as (
    select measurement_id from fisher_curvature
    union
    select measurement_id from fisher_summary
)

select measurement_id, summary.n_prompts, coalesce(counted.n_prompts, 0) as n_found
from recorded
left join fisher_summary as summary using (measurement_id)
left join counted using (measurement_id)
where
    summary.n_prompts is distinct from coalesce(counted.n_prompts, 0)
    or (summary.kappa_f is null) <> (counted.kappa_f is null)
    or abs(summary.kappa_f - counted.kappa_f) > 1e-6 * counted.kappa_f
    or abs(summary.kappa_norm2_mean - counted.kappa_norm2_mean) > 1e-6 * counted.kappa_norm2_mean
