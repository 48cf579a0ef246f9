-- One row per model: its Fisher curvature by the newest measurement, with interval, repeatability and damping.
-- A damping-dominated model is not to be compared. The records of the prompts are in fisher_curvature, by measurement_id.
-- model_id: the model measured
-- model: its label
-- family: its base family
-- n_prompts: prompts the numbers are over
-- n_prompts_dropped: prompts without a curvature
-- reason: why numbers are missing; null when none is
-- measured_at: when the measurement was complete
with

newest as (
    select *
    from stg_fisher_summary
    qualify row_number() over (
        partition by model_id
        order by committed_at desc, measurement_id asc
    ) = 1
),

dropped as (
    select measurement_id, count(*) filter (kappa is null) as n_prompts_dropped
    from fisher_curvature
    group by measurement_id
)

select
    newest.model_id,
    coalesce(model.label, newest.model_id) as model,
    model.family,
    newest.n_prompts,
    coalesce(dropped.n_prompts_dropped, 0) as n_prompts_dropped,
    newest.kappa_f,
    newest.ci_low_kappa_f,
    newest.ci_high_kappa_f,
    newest.kappa_norm2_mean,
    newest.rho_f,
    newest.fisher_status,
    newest.halves_ratio,
    newest.is_repeatable,
    newest.reason,
    newest.measurement_id,
    newest.committed_at as measured_at
from newest
left join dropped using (measurement_id)
left join model using (model_id)
