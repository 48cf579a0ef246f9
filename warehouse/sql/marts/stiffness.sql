-- One row per model: its stiffness by the newest measurement, from its files alone.
-- The formula is OUR DEFINITION (measure/stiffness.py); its alternatives stand beside it.
-- model_id: the model measured
-- model: its label
-- family: its base family
-- reason: why numbers are missing; null when none is
-- measured_at: when the measurement was complete
select
    newest.model_id,
    coalesce(model.label, newest.model_id) as model,
    model.family,
    newest.stiffness,
    newest.stiffness_rms,
    newest.stiffness_row_mean,
    newest.stiffness_o,
    newest.gamma_mean,
    newest.gamma_rms,
    newest.sigma_w,
    newest.sigma_w_row_mean,
    newest.sigma_o,
    newest.tied,
    newest.n_rows,
    newest.reason,
    newest.measurement_id,
    newest.committed_at as measured_at
from stg_model_stiffness as newest
left join model using (model_id)
qualify row_number() over (
    partition by newest.model_id
    order by newest.committed_at desc, newest.measurement_id asc
) = 1
