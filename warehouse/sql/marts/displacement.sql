-- One row per derivative, its base and layer: where it was moved to, as the vector that family calibration compares.
-- That is tau less the base's over seeds and dimensions, and the mean template less the base's in mode free.
-- derivative: its label
-- family: base family of the base; the base's id when that is unknown
-- base_id: the base it is displaced from
-- base: label of that base
-- recipe: class of its recipe; null if its lineage from this base is not known
-- is_distilled: whether it learnt from a teacher's output; null if unknown
-- declared_by: who says so: 'zoo' or 'user'; null if nobody does
-- protocol: hash of all that two displacements must share to be measured alike
-- tokenizer: hash of the tokenizer that the base reads with, else the base's id: under other tokens a prompt has other states, and calibrates nothing
-- n_values: length of the vector
-- n_failed: values of it that are null, since a prompt failed
-- floor: noise of its norm: max(1e-4, eps_measured) in each seed; the centroid's floor, logits; null if unknown
-- displacement: the vector, by seed and dimension, or by gap, logits
-- measured_at: when the last measurement it needs was complete
with

noise as (
    select
        derivative_id,
        base_id,
        -- a distance over all seeds at once: its noise is that of one seed by the root of their number
        case when is_eps_valid then greatest(1e-4, eps_measured) * sqrt(n_seeds) end as floor
    from structural_scar
),

structural as (
    select
        dims.derivative_id,
        dims.derivative,
        coalesce(dims.family, dims.other_id) as family,
        dims.other_id as base_id,
        dims.other as base,
        'structural' as layer,
        sha256(concat_ws('|', dims.protocol, list(distinct dims.seed order by dims.seed)))
            as protocol,
        count(*) as n_values,
        count(*) - count(dims.d) as n_failed,
        any_value(noise.floor) as floor,
        list(dims.d order by dims.seed, dims.dim) as displacement,
        max(dims.committed_at) as measured_at
    from structural_dim as dims
    left join noise
        on dims.derivative_id = noise.derivative_id and dims.other_id = noise.base_id
    where dims.role = 'base' and dims.tau_kind = 'resultant'
    group by dims.derivative_id, dims.derivative, dims.family, dims.other_id, dims.other, dims.protocol
),

functional as (
    select
        compared.derivative_id,
        compared.derivative,
        coalesce(compared.family, compared.base_id) as family,
        compared.base_id,
        compared.base,
        'functional' as layer,
        any_value(moved.protocol) as protocol,
        count(*) as n_values,
        0 as n_failed,
        any_value(compared.centroid_floor) as floor,
        list(moved.shift order by moved.k) as displacement,
        any_value(compared.measured_at) as measured_at
    from functional_distance as compared
    inner join stg_gap_shift as moved
        on compared.measurement_id = moved.measurement_id and moved.role = 'derivative'
    -- a refused comparison has no distance
    where
        compared.role = 'derivative'
        and compared.mode = 'free'
        and compared.centroid_distance is not null
    group by
        compared.derivative_id, compared.derivative, compared.family,
        compared.base_id, compared.base
),

both_layers as (
    select * from structural
    union all
    select * from functional
)

select
    both_layers.derivative_id,
    both_layers.derivative,
    both_layers.family,
    both_layers.base_id,
    both_layers.base,
    both_layers.layer,
    organism.method as recipe,
    organism.is_distilled,
    organism.declared_by,
    both_layers.protocol,
    coalesce(model.tokenizer_sha256, model.model_id) as tokenizer,
    both_layers.n_values::integer as n_values,
    both_layers.n_failed::integer as n_failed,
    both_layers.floor,
    both_layers.displacement,
    both_layers.measured_at
from both_layers
inner join model on both_layers.base_id = model.model_id
left join organism
    on both_layers.derivative_id = organism.model_id
    -- moved from where else, it says nothing of a family's derivatives
    and both_layers.base_id = organism.base_id
