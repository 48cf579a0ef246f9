-- One row per comparison with an interval that is turned around, or a distance that is negative.
select measurement_id, 'template_distance' as table_name, role as record
from template_distance
where
    ci_low_centroid_distance > ci_high_centroid_distance
    or ci_low_crp_distance > ci_high_crp_distance
    or centroid_distance < 0
    or crp_distance < 0
union all
select measurement_id, 'winner_gap_pair' as table_name, mode as record
from winner_gap_pair
where
    ci_low_g1_share > ci_high_g1_share
    or ci_low_mean_signed_g1 > ci_high_mean_signed_g1
    or ci_low_mean_signed_g2 > ci_high_mean_signed_g2
    or ci_low_cv_effect > ci_high_cv_effect
    or ci_low_delta_norm_base > ci_high_delta_norm_base
    or ci_low_delta_norm_derivative > ci_high_delta_norm_derivative
union all
select measurement_id, 'fisher_summary' as table_name, 'kappa_f' as record
from fisher_summary
where ci_low_kappa_f > ci_high_kappa_f
