-- One row per derivative, base and layer of the derivative, and one of embedding and head: how alike their matrices are.
-- Norms and biases are left out. The weights are in weight_lineage, by measurement_id.
-- derivative_id: the derivative
-- derivative: its label
-- family: base family of the base; the derivative's own when that is unknown
-- base_id: the model it is compared with
-- base: label of that base
-- layer: the derivative's block, from 0; null for embedding and head
-- base_layer: the base's block it is compared with
-- n_weights: matrices
-- n_compared: of these, those that the base has in the same shape
-- n_aligned: of these, those above their null after matching neurons or heads alone
-- median_cosine: median over the matrices compared, not aligned
-- median_null_cosine: median of their nulls
-- median_aligned_cosine: median over those that were aligned
-- median_margin: median of the cosine above its null, aligned where needed; above 0: the layer comes from the base's
-- median_rel_displacement: median of the difference's norm over the base's
-- median_effective_rank: median of the difference's effective rank
-- max_numerical_rank: largest numerical rank of a difference; that of a LoRA
-- unchanged_frac: share of the layer's compared entries that are equal, 0 to 1
-- max_sv_cosine: largest cosine of sorted singular values
-- measured_at: when the measurement was complete
with

per_layer as (
    select
        measurement_id,
        layer,
        any_value(base_layer) as base_layer,
        count(*) as n_weights,
        count(cosine) as n_compared,
        count(*) filter (aligned_cosine is not null and margin > 0) as n_aligned,
        median(cosine) as median_cosine,
        median(null_cosine) as median_null_cosine,
        median(aligned_cosine) as median_aligned_cosine,
        median(margin) as median_margin,
        median(rel_displacement) as median_rel_displacement,
        median(effective_rank) as median_effective_rank,
        max(numerical_rank) as max_numerical_rank,
        sum(unchanged_frac * n_entries) / sum(n_entries) filter (unchanged_frac is not null)
            as unchanged_frac,
        max(sv_cosine) as max_sv_cosine
    from stg_weight_lineage
    where is_matrix and (layer is not null or kind in ('embed', 'head'))
    group by measurement_id, layer
)

select
    pair.derivative_id,
    coalesce(derivative.label, pair.derivative_id) as derivative,
    coalesce(base.family, derivative.family) as family,
    pair.base_id,
    coalesce(base.label, pair.base_id) as base,
    per_layer.* exclude (measurement_id),
    pair.measurement_id,
    pair.committed_at as measured_at
from stg_weight_lineage_pair as pair
inner join per_layer using (measurement_id)
left join model as derivative on pair.derivative_id = derivative.model_id
left join model as base on pair.base_id = base.model_id
