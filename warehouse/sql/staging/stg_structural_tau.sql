-- One row per complete measurement, seed and dimension.
-- model_id: the model measured
-- protocol: hash of everything two measurements must share for their numbers to be compared
-- tau_kind: what tau is: resultant, gap or cv_cos
-- committed_at: when the measurement was complete
select
    tau.measurement_id,
    member.model_id,
    measurement.protocol,
    json_extract_string(measurement.options, '$.tau') as tau_kind,
    measurement.committed_at,
    tau.seed,
    tau.dim,
    tau.prompt_id,
    tau.category,
    tau.site,
    tau.n_tokens,
    tau.tau,
    tau.tau_rerun,
    tau.reason
from structural_tau as tau
inner join stg_measurement as measurement using (measurement_id)
inner join measurement_model as member
    on tau.measurement_id = member.measurement_id and member.role = 'model'
