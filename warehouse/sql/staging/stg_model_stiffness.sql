-- One row per complete measurement of a model's stiffness.
-- model_id: the model measured
-- committed_at: when the measurement was complete
select
    stiffness.measurement_id,
    member.model_id,
    measurement.committed_at,
    stiffness.gamma_mean,
    stiffness.gamma_rms,
    stiffness.sigma_w,
    stiffness.sigma_w_row_mean,
    stiffness.sigma_o,
    stiffness.stiffness,
    stiffness.stiffness_rms,
    stiffness.stiffness_row_mean,
    stiffness.stiffness_o,
    stiffness.tied,
    stiffness.n_rows,
    stiffness.reason
from model_stiffness as stiffness
inner join stg_measurement as measurement using (measurement_id)
inner join measurement_model as member
    on stiffness.measurement_id = member.measurement_id and member.role = 'model'
