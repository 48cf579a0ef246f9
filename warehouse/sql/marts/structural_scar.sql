-- One row per derivative with a measured base: its structural scar, the largest seed kept apart.
-- base_id: the base it is compared with
-- base: label of that base
-- n_seeds: seeds with a distance, the largest among them
-- median_non_max_x_eps: median over the seeds but the largest, multiples of 1e-4; null with one seed
-- min_non_max_x_eps: smallest of these
-- max_non_max_x_eps: largest of these
-- max_seed: the seed with the largest distance
-- max_seed_x_eps: its distance, multiples of 1e-4
-- median_non_max_x_eps_meas: the median in multiples of eps_measured; null if that is not valid
-- min_non_max_x_eps_meas: smallest, in multiples of eps_measured
-- max_non_max_x_eps_meas: largest, in multiples of eps_measured
-- max_seed_x_eps_meas: the largest seed's distance in multiples of eps_measured
-- gini_max_seed: Gini of the largest seed's squared distance over dimensions
-- top_dim_share_max_seed: share of that squared distance in one dimension
-- n_dim: dimensions of the seed that has fewest
-- n_dim_failed: dimensions left out, all seeds together
-- eps_measured: largest distance of either model from its own rerun, at least 1e-7
-- structural_status: 'above its floor' if eps is valid and the median exceeds max(1e-4, eps_measured); else 'not interpretable'
-- structural_reason: the comparison that decided
-- method: class of its recipe, where its lineage is known; else null
-- is_distilled: whether it is known to be distilled; null where nobody knows
-- declared_by: who says so: 'zoo' or 'user'; null where nobody does
-- is_measured_here: whether it was measured into this lake, not taken from a pack of records
-- measured_at: when the last measurement it needs was complete
with

summed as (
    select
        derivative_id, derivative, source, family,
        other_id as base_id,
        other as base,
        count(distance) as n_seeds,
        median(distance) filter (not is_max_seed) as median_non_max,
        median(x_eps_pub) filter (not is_max_seed) as median_non_max_x_eps,
        min(x_eps_pub) filter (not is_max_seed) as min_non_max_x_eps,
        max(x_eps_pub) filter (not is_max_seed) as max_non_max_x_eps,
        any_value(seed) filter (is_max_seed) as max_seed,
        any_value(x_eps_pub) filter (is_max_seed) as max_seed_x_eps,
        median(x_eps_meas) filter (not is_max_seed) as median_non_max_x_eps_meas,
        min(x_eps_meas) filter (not is_max_seed) as min_non_max_x_eps_meas,
        max(x_eps_meas) filter (not is_max_seed) as max_non_max_x_eps_meas,
        any_value(x_eps_meas) filter (is_max_seed) as max_seed_x_eps_meas,
        any_value(gini_d2) filter (is_max_seed) as gini_max_seed,
        any_value(top_dim_share) filter (is_max_seed) as top_dim_share_max_seed,
        min(n_dim) as n_dim,
        sum(n_dim_failed)::bigint as n_dim_failed,
        any_value(eps_measured) as eps_measured,
        any_value(is_eps_floored) as is_eps_floored,
        any_value(is_eps_valid) as is_eps_valid,
        max(committed_at) as measured_at
    from structural_distance
    where role = 'base'
    group by all
),

judged as (
    select
        *,
        greatest(1e-4, eps_measured) as floor_distance,
        coalesce(is_eps_valid and median_non_max > greatest(1e-4, eps_measured), false) as is_above
    from summed
)

select
    derivative_id,
    derivative,
    source,
    family,
    base_id,
    base,
    n_seeds,
    n_dim,
    n_dim_failed,
    median_non_max_x_eps,
    min_non_max_x_eps,
    max_non_max_x_eps,
    max_seed,
    max_seed_x_eps,
    median_non_max_x_eps_meas,
    min_non_max_x_eps_meas,
    max_non_max_x_eps_meas,
    max_seed_x_eps_meas,
    gini_max_seed,
    top_dim_share_max_seed,
    eps_measured,
    is_eps_floored,
    is_eps_valid,
    case when is_above then 'above its floor' else 'not interpretable' end as structural_status,
    case
        when n_seeds = 0 then 'every prompt failed'
        when eps_measured is null then 'noise unknown: a model has no rerun'
        when not is_eps_valid
            then format('noise {:.2g} exceeds the allowed 1e-04', eps_measured)
        when n_seeds = 1 then 'one seed only: no seed besides the largest'
        when is_above
            then format('median distance {:.3g} above {:.2g}', median_non_max, floor_distance)
        else format('median distance {:.3g} not above {:.2g}', median_non_max, floor_distance)
    end as structural_reason,
    known.method,
    known.is_distilled,
    known.declared_by,
    exists(
        select 1
        from measurement_model as part
        inner join attempt on part.measurement_id = attempt.measurement_id
        where part.model_id = judged.derivative_id
    ) as is_measured_here,
    measured_at
from judged
left join (
    select model_id, base_id as known_base_id, method, is_distilled, declared_by
    from organism
) as known
    on judged.derivative_id = known.model_id and judged.base_id = known.known_base_id
