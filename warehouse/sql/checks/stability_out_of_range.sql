-- One row per component, student or hypothesis whose numbers cannot be, or do not bear out what is said of them.
select measurement_id, concat_ws(' ', role, component) as record
from stability_profile
where
    (value is null) <> (reason is not null)
    or (kind <> 'beside' and not coalesce(value between 0 and 1, true))
    or ci_low_value > ci_high_value
    or (component <> 'dependence' and null_value is not null)
union all
select measurement_id, role as record
from coupling_point
where
    not coalesce(delta_k between 0 and 1, true)
    or not coalesce(delta_r between 0 and 1, true)
    or delta_k_plus > delta_k + 1e-9
    or ci_low_delta_k > ci_high_delta_k
    or ci_low_delta_r > ci_high_delta_r
    or ci_low_load_ratio > ci_high_load_ratio
    or (asymmetry = 'ASYMMETRIC' and not coalesce(delta_r > noise_r, false))
    or (
        proposition = 'COUNTER-EXAMPLE'
        and coalesce(has_capability_gap or has_stability_gap or has_hidden_burden, true)
    )
    or ((delta_k is null or delta_r is null or load_ratio is null) and reason is null)
union all
select measurement_id, hypothesis as record
from hypothesis
where
    (outcome = 'supported' and estimate is null)
    or ci_low_estimate > ci_high_estimate
