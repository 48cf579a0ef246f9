-- One row per base family and layer with a measured derivative: whether a new derivative of it could be judged.
-- Judged means: whether it moved as the family's distilled derivatives do, at p 0.05, as measure/calibration.py asks.
-- family: base family; the base's id when that is unknown
-- layer: 'structural' or 'functional'
-- n_derivatives: derivatives measured in this layer, of known lineage or not
-- n_pairs: of these, known to be distilled
-- n_null: of these, known not to be
-- p_least: the smallest p that so many non-distilled can give
-- is_calibrated: whether there are 3 distilled and 19 others
-- missing: what there is too little of; null when calibrated
-- measured_at: when the newest of them was measured
with

seen as (
    select
        coalesce(family, base_id) as family,
        'structural' as layer,
        derivative_id,
        base_id,
        measured_at
    from structural_scar
    where median_non_max_x_eps is not null
    union all
    select
        coalesce(family, base_id) as family,
        'functional' as layer,
        derivative_id,
        base_id,
        measured_at
    from functional_distance
    where role = 'derivative' and mode = 'free' and centroid_distance is not null
),

counted as (
    select
        seen.family,
        seen.layer,
        count(*) as n_derivatives,
        count(*) filter (organism.is_distilled) as n_pairs,
        count(*) filter (not organism.is_distilled) as n_null,
        max(seen.measured_at) as measured_at
    from seen
    left join organism
        on seen.derivative_id = organism.model_id and seen.base_id = organism.base_id
    group by seen.family, seen.layer
)

select
    family,
    layer,
    n_derivatives,
    n_pairs,
    n_null,
    1 / (1 + n_null) as p_least,
    n_pairs >= 3 and n_null >= 19 as is_calibrated,
    nullif(
        concat_ws(
            '; ',
            case when n_pairs < 3 then format('{} known to be distilled, 3 needed', n_pairs) end,
            case when n_null < 19 then format('{} known not to be, 19 needed', n_null) end
        ),
        ''
    ) as missing,
    measured_at
from counted
