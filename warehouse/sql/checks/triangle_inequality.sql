-- One row per triangle with a side longer than the two others together, or a third side whose centroid exceeds its CRP.
select derivative_id, base_id, mode, role, reference_id, measurement_id
from triangle
where
    2 * greatest(d, c, e) > (d + c + e) * (1 + 1e-6) + 1e-9
    or 2 * greatest(d_crp, c_crp, e_crp) > (d_crp + c_crp + e_crp) * (1 + 1e-6) + 1e-9
    or e > e_crp * (1 + 1e-6) + 1e-9
