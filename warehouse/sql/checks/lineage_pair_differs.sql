-- One row per pair whose numbers of layers are not those of its weights' records, or that has records without a pair.
-- One that was measured for the pair's record alone has none.
with

found as (
    select
        measurement_id,
        count(distinct layer) filter (is_matrix) as n_layers,
        max(base_layer) as last_base_layer,
        count(distinct layer) filter (is_matrix and base_layer is not null) as n_placed
    from weight_lineage
    group by measurement_id
),

alone as (
    select measurement_id, true as is_alone
    from measurement
    where json_extract_string(options, '$.records') = 'pair'
)

select measurement_id, pair.n_layers, found.n_layers as n_found
from weight_lineage_pair as pair
full join found using (measurement_id)
left join alone using (measurement_id)
where
    pair.measurement_id is null
    or (pair.reason is null and alone.is_alone is null) <> (found.measurement_id is not null)
    or pair.n_layers <> found.n_layers
    or found.last_base_layer >= pair.n_base_layers
    or pair.n_layers_related > found.n_placed
