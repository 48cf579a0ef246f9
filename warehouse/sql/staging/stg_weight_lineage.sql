-- One row per complete measurement, layer and slot: a weight of a derivative beside its base's.
-- margin: the cosine above its null, or the aligned one above its own if that is larger; above 0: alike
select
    weight.measurement_id,
    weight.layer,
    weight.base_layer,
    weight.slot,
    weight.kind,
    weight.is_matrix,
    weight.n_entries,
    weight.n_units_used,
    weight.cosine,
    weight.null_cosine,
    weight.aligned_cosine,
    weight.null_cosine_aligned,
    -- greatest() skips nulls: a weight that was not aligned has the margin of its plain cosine
    greatest(
        weight.cosine - weight.null_cosine,
        weight.aligned_cosine - weight.null_cosine_aligned
    ) as margin,
    weight.rel_displacement,
    weight.unchanged_frac,
    weight.effective_rank,
    weight.numerical_rank,
    weight.sv_cosine,
    weight.reason
from weight_lineage as weight
inner join stg_measurement as measurement using (measurement_id)
