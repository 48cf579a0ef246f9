-- One row per structural record whose tau lies outside the range of its kind by more than rounding.
select
    measurement_id,
    seed,
    dim,
    json_extract_string(options, '$.tau') as tau_kind,
    tau,
    tau_rerun
from structural_tau
inner join measurement using (measurement_id)
where
    case tau_kind
        -- Channels by turns: a variation, 0 or more, and a cosine, -1 to 1.
        when 'cv_cos' then
            least(tau, tau_rerun) < if(dim % 2 = 0, 0, -1) - 1e-9
            or (dim % 2 = 1 and greatest(tau, tau_rerun) > 1 + 1e-9)
        else tau not between -1e-9 and 1 + 1e-9 or tau_rerun not between -1e-9 and 1 + 1e-9
    end
