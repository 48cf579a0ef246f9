-- One row per derivative measured against its base: its scar, its functional distance in mode free, and what may be said.
-- base_id: the base it is compared with
-- base: label of that base
-- n_seeds: seeds of the structural distance; null where it was not measured
-- min_non_max_x_eps: smallest distance but the largest seed's, multiples of 1e-4
-- max_non_max_x_eps: largest of these
-- median_non_max_x_eps: their median
-- max_seed: the seed with the largest distance
-- max_seed_x_eps: its distance, multiples of 1e-4
-- centroid_floor: the larger of self-baseline and sign-flip floor, logits
-- structural_status: 'above its floor' or 'not interpretable'; null where it was not measured
-- structural_reason: the comparison that decided
-- functional_status: 'above its floor' or 'not interpretable'; null where it was not measured
-- functional_reason: the comparison that decided
-- measured_at: when the last measurement it needs was complete
with

pair as (
    select derivative_id, derivative, source, family, base_id, base
    from stg_pair
    where role = 'base'
),

functional as (
    select *
    from functional_distance
    where role = 'derivative' and mode = 'free'
)

select
    pair.derivative_id,
    pair.derivative,
    pair.source,
    pair.family,
    pair.base_id,
    pair.base,
    scar.n_seeds,
    scar.min_non_max_x_eps,
    scar.median_non_max_x_eps,
    scar.max_non_max_x_eps,
    scar.max_seed,
    scar.max_seed_x_eps,
    scar.structural_status,
    scar.structural_reason,
    functional.n_prompts,
    functional.centroid_distance,
    functional.centroid_floor,
    functional.crp_distance,
    functional.crp_floor,
    functional.functional_status,
    functional.functional_reason,
    -- greatest() skips nulls: a layer not measured has no date
    greatest(scar.measured_at, functional.measured_at) as measured_at
from pair
left join structural_scar as scar
    on pair.derivative_id = scar.derivative_id and pair.base_id = scar.base_id
left join functional
    on pair.derivative_id = functional.derivative_id and pair.base_id = functional.base_id
where scar.derivative_id is not null or functional.derivative_id is not null
