-- One row per complete measurement and prompt.
-- model_id: the model measured
-- protocol: hash of everything two measurements must share for their numbers to be compared
-- ppp_fit: by which fit the residuals are: ml, ols, sum, log or tail2; ml where the measurement names none
-- committed_at: when the measurement was complete
select
    template.measurement_id,
    member.model_id,
    measurement.protocol,
    coalesce(json_extract_string(measurement.options, '$.ppp_fit'), 'ml') as ppp_fit,
    measurement.committed_at,
    template.mode,
    template.prompt_id,
    template.category,
    template.n_prompt_tokens,
    template.n_tokens,
    template.beta_mean,
    template.template,
    template.delta_norm_mean,
    template.n_delta_norm,
    template.zero_gap_frac,
    template.split_half_distance,
    template.text,
    template.text_sha256,
    template.reason,
    template.winner_gap_se
from prompt_template as template
inner join stg_measurement as measurement using (measurement_id)
inner join measurement_model as member
    on template.measurement_id = member.measurement_id and member.role = 'model'
