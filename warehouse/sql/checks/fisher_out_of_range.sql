-- One row per curvature or summary of it that is negative, a ratio of halves under 1, or a damping that is not a tenth.
select measurement_id, prompt_id as record, kappa as number
from fisher_curvature
where kappa < 0 or state_norm < 0 or n_tokens < 0
union all
select measurement_id, 'summary' as record, kappa_f as number
from fisher_summary
where
    least(kappa_f, kappa_norm2_mean, n_prompts) < 0
    or halves_ratio < 1
    or abs(rho_f * 10 - kappa_f) > 1e-9 * kappa_f
