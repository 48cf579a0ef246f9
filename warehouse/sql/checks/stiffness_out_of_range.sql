-- One row per stiffness whose gain or spread is negative, whose mean exceeds its root mean square, or which is not their product.
select measurement_id, gamma_mean, gamma_rms, sigma_w, stiffness
from model_stiffness
where
    least(gamma_mean, gamma_rms, sigma_w, sigma_w_row_mean, sigma_o) < 0
    or gamma_mean > gamma_rms * (1 + 1e-6)
    or sigma_w_row_mean > sigma_w * (1 + 1e-6)
    or abs(stiffness - gamma_mean * sigma_w) > 1e-6 * stiffness
    or abs(stiffness_rms - gamma_rms * sigma_w) > 1e-6 * stiffness_rms
    or abs(stiffness_row_mean - gamma_mean * sigma_w_row_mean) > 1e-6 * stiffness_row_mean
    or abs(stiffness_o - gamma_mean * sigma_o) > 1e-6 * stiffness_o
    or n_rows < 1
