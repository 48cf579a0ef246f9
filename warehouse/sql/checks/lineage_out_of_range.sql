-- One row per weight of a pair with a cosine outside -1 to 1, a share outside 0 to 1, or a rank that exceeds its rows.
select measurement_id, layer, slot, cosine, unchanged_frac, effective_rank
from weight_lineage
where
    abs(cosine) > 1 + 1e-6
    or aligned_cosine not between 0 and 1 + 1e-6
    or abs(sv_cosine) > 1 + 1e-6
    or null_cosine < 0  -- above 1 for a few entries: no cosine says anything then
    or null_cosine_aligned < 0
    or unchanged_frac not between 0 and 1
    or rel_displacement < 0
    or effective_rank not between 1 - 1e-6 and n_units_used * (1 + 1e-6)
    or numerical_rank not between 0 and n_units_used
    or n_entries < 0
