-- One row per complete measurement of a model's Fisher curvature.
-- model_id: the model measured
-- committed_at: when the measurement was complete
select
    summary.measurement_id,
    member.model_id,
    measurement.committed_at,
    summary.n_prompts,
    summary.kappa_f,
    summary.ci_low_kappa_f,
    summary.ci_high_kappa_f,
    summary.kappa_norm2_mean,
    summary.halves_ratio,
    summary.is_repeatable,
    summary.rho_f,
    summary.fisher_status,
    summary.reason
from fisher_summary as summary
inner join stg_measurement as measurement using (measurement_id)
inner join measurement_model as member
    on summary.measurement_id = member.measurement_id and member.role = 'model'
