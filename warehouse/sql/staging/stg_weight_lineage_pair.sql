-- One row per derivative and base: the newest complete measurement of their weight lineage with its weights' records.
-- derivative_id: the derivative
-- base_id: the model it is compared with
-- n_layers: transformer blocks of the derivative
-- committed_at: when the measurement was complete
select
    pair.measurement_id,
    derivative.model_id as derivative_id,
    base.model_id as base_id,
    measurement.committed_at,
    pair.lineage_label,
    pair.label_reasons,
    pair.n_layers,
    pair.n_base_layers,
    pair.n_layers_related,
    pair.reason
from weight_lineage_pair as pair
inner join stg_measurement as measurement using (measurement_id)
inner join measurement_model as derivative
    on pair.measurement_id = derivative.measurement_id and derivative.role = 'derivative'
inner join measurement_model as base
    on pair.measurement_id = base.measurement_id and base.role = 'base'
-- a base that another one has replaced since is not shown
left join stg_comparison as present
    on derivative.model_id = present.derivative_id and present.role = 'base'
where
    (present.model_id is null or base.model_id = present.model_id)
    -- of all pairs of known models the pair's record alone is kept: see lineage_known
    and json_extract_string(measurement.options, '$.records') is null
qualify row_number() over (
    partition by derivative.model_id, base.model_id
    order by measurement.committed_at desc, pair.measurement_id asc
) = 1
