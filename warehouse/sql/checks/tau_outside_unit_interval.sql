-- One row per structural record whose resultant length lies outside 0 to 1 by more than rounding.
select measurement_id, seed, dim, tau, tau_rerun
from structural_tau
where
    tau not between -1e-9 and 1 + 1e-9
    or tau_rerun not between -1e-9 and 1 + 1e-9
