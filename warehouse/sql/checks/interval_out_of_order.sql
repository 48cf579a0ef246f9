-- One row per distance whose interval is turned around, or negative.
select measurement_id, role, ci_low_centroid_distance, ci_low_crp_distance
from template_distance
where
    ci_low_centroid_distance > ci_high_centroid_distance
    or ci_low_crp_distance > ci_high_crp_distance
    or centroid_distance < 0
    or crp_distance < 0
