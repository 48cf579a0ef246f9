-- One row per base family, layer, quantity and origin: what distilled pairs show, beside what non-distilled derivatives do.
-- Published and measured rows never share a quantity's definition: compare within one origin only.
-- Measured pairs are those of models whose lineage is known: the zoo's and declared ones (table organism).
-- n_declared: of the measured pairs and derivatives, those whose lineage their user declared; null for published
-- family: base family; of measured pairs the base's id when that is unknown
-- layer: the layer the quantity belongs to
-- quantity: 'x_eps' (scar, median without the largest seed, multiples of 1e-4), 'centroid_distance' (logits), 'dc_ratio' (primary reference, centroid) or 'delta_norm'
-- origin: 'measured' here, or 'published' by others
-- n_pairs: distilled pairs with this quantity
-- median_distilled: their median; null where ranges alone are published
-- low_distilled: the smallest; of ranges the lowest end
-- high_distilled: the largest; of ranges the highest end
-- n_null: non-distilled derivatives with this quantity; null for published, which has none
-- p05_null: 5th percentile of these
-- median_null: their median
-- p90_null: 90th percentile
-- p95_null: 95th percentile
-- floor: median noise floor of the quantity; null if unknown or if it has none
-- p_least: the smallest conformal p that so many non-distilled can give
with

measured as (
    select derivative_id, base_id, 'structural' as layer, 'x_eps' as quantity,
        median_non_max_x_eps as value,
        case when is_eps_valid then greatest(1e-4, eps_measured) / 1e-4 end as floor
    from structural_scar
    union all
    select derivative_id, base_id, 'functional' as layer, 'centroid_distance' as quantity,
        centroid_distance as value,
        centroid_floor as floor
    from functional_distance
    where role = 'derivative' and mode = 'free'
    union all
    select derivative_id, base_id, 'functional' as layer, 'dc_ratio' as quantity,
        dc as value,
        null as floor
    from triangle
    where role = 'reference' and mode = 'free'
    union all
    select derivative_id, base_id, 'thermodynamic' as layer, 'delta_norm' as quantity,
        delta_norm_derivative as value,
        null as floor
    from winner_gap
    where mode = 'free'
),

known as (
    select
        coalesce(base.family, measured.base_id) as family,
        measured.layer,
        measured.quantity,
        measured.value,
        measured.floor,
        organism.is_distilled,
        organism.declared_by
    from measured
    inner join organism
        on measured.derivative_id = organism.model_id and measured.base_id = organism.base_id
    left join model as base on measured.base_id = base.model_id
    where measured.value is not null
),

summed as (
    select
        family,
        layer,
        quantity,
        'measured' as origin,
        count(*) filter (is_distilled) as n_pairs,
        median(value) filter (is_distilled) as median_distilled,
        min(value) filter (is_distilled) as low_distilled,
        max(value) filter (is_distilled) as high_distilled,
        count(*) filter (not is_distilled) as n_null,
        quantile_cont(value, 0.05) filter (not is_distilled) as p05_null,
        median(value) filter (not is_distilled) as median_null,
        quantile_cont(value, 0.90) filter (not is_distilled) as p90_null,
        quantile_cont(value, 0.95) filter (not is_distilled) as p95_null,
        median(floor) as floor,
        1 / (1 + count(*) filter (not is_distilled)) as p_least,
        count(*) filter (declared_by = 'user' and is_distilled is not null) as n_declared
    from known
    group by family, layer, quantity
),

others as (
    select
        family,
        layer,
        quantity,
        'published' as origin,
        count(*) as n_pairs,
        case when bool_and(value is not null) then median(value) end as median_distilled,
        min(coalesce(value, low)) as low_distilled,
        max(coalesce(value, high)) as high_distilled,
        -- the published noise of the structural vector is its unit
        case when quantity = 'x_eps' then 1.0 end as floor
    from published
    where
        source = 'S0'
        and (
            (quantity = 'x_eps' and place = 'Table 1' and convention = 'non_max_range')
            or (quantity = 'centroid_distance' and convention = 'base to derivative')
            or (quantity = 'dc_ratio' and convention = 'primary, centroid')
        )
    group by family, layer, quantity
)

select
    family,
    layer,
    quantity,
    origin,
    n_pairs,
    median_distilled,
    low_distilled,
    high_distilled,
    n_null,
    p05_null,
    median_null,
    p90_null,
    p95_null,
    floor,
    p_least,
    n_declared
from summed
union all by name
select * from others
