-- One row per distance whose centroid exceeds its CRP: the triangle inequality forbids it, so prompts were mixed up.
select measurement_id, role, centroid_distance, crp_distance
from template_distance
where centroid_distance > crp_distance * (1 + 1e-6) + 1e-9
