-- One row per winner gap with a share or p outside 0 to 1, a cancellation under 1, or a count that exceeds its whole.
select measurement_id, g1_share, top3_share, cancellation_g1, cancellation_g2
from winner_gap_pair
where
    g1_share not between 0 and 1
    or top3_share not between g1_share - 1e-9 and 1 + 1e-9
    or cancellation_g1 < 1
    or cancellation_g2 < 1
    or cancellation_noise_p_g1 not between 0 and 1
    or cancellation_noise_p_g2 not between 0 and 1
    or sign_p_g1 not between 0 and 1
    or sign_p_g2 not between 0 and 1
    or delta_norm_base not between 0 and 1
    or delta_norm_derivative not between 0 and 1
    or n_up_g1 + n_down_g1 > n_prompts
    or n_up_g2 + n_down_g2 > n_prompts
    or n_signif_up + n_signif_down <> n_signif
    or greatest(n_signif, n_g1_dominant, n_g1_over_half) > n_prompts
