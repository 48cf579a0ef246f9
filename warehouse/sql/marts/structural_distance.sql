-- One row per compared pair and seed: the distance of two structural vectors of resultant lengths, in multiples of noise.
-- Other kinds of tau, where they were measured, are in structural_dim.
-- n_dim: dimensions both models have a value for; the distance is over these
-- n_dim_failed: dimensions left out because a prompt failed for one of them
-- distance: Euclidean distance of the two structural vectors
-- eps_measured: largest distance of a model from its own rerun, over seeds and both models, at least 1e-7; null if unknown
-- is_eps_floored: whether that was raised to 1e-7
-- is_eps_valid: whether eps_measured is known and at most 1e-4; else multiples of it mean nothing
-- x_eps_pub: distance in multiples of the published epsilon, 1e-4
-- x_eps_meas: distance in multiples of eps_measured; null if that is not valid
-- gini_d2: how unequally the squared distance is spread over dimensions, 0 even to 1 in one
-- top_dim_share: share of the squared distance in its largest dimension, 0 to 1
-- is_max_seed: whether it is the pair's largest distance; one seed a pair
-- committed_at: when the last measurement it needs was complete
with

ranked as (
    select
        *,
        row_number() over one_seed as place,
        count(d2) over (partition by derivative_id, role, from_id, other_id, seed) as n
    from structural_dim
    where tau_kind = 'resultant'
    window one_seed as (
        partition by derivative_id, role, from_id, other_id, seed
        order by d2 asc nulls last, dim asc
    )
),

per_seed as (
    select
        derivative_id, derivative, source, family,
        role, from_id, from_model, other_id, other, seed,
        count(d2) as n_dim,
        count(*) - count(d2) as n_dim_failed,
        sqrt(sum(d2)) as distance,
        sum((2 * place - n - 1) * d2) / nullif(count(d2) * sum(d2), 0) as gini_d2,
        max(d2) / nullif(sum(d2), 0) as top_dim_share,
        sqrt(sum((tau_from - tau_rerun_from) ** 2)) as rerun_from,
        sqrt(sum((tau_other - tau_rerun_other) ** 2)) as rerun_other,
        max(committed_at) as committed_at
    from ranked
    group by all
),

with_noise as (
    select
        *,
        case
            when bool_and(rerun_from is not null and rerun_other is not null) over pair
                then max(greatest(rerun_from, rerun_other)) over pair
        end as eps_raw,
        row_number() over (
            partition by derivative_id, role, from_id, other_id
            order by distance desc nulls last, seed asc
        ) = 1 and distance is not null as is_max_seed
    from per_seed
    window pair as (partition by derivative_id, role, from_id, other_id)
),

with_eps as (
    select
        *,
        eps_raw < 1e-7 as is_eps_floored,
        -- greatest() skips nulls, which would turn an unknown noise into the smallest
        case when eps_raw is not null then greatest(eps_raw, 1e-7) end as eps_measured,
        coalesce(eps_raw <= 1e-4, false) as is_eps_valid
    from with_noise
)

select
    derivative_id,
    derivative,
    source,
    family,
    role,
    from_id,
    from_model,
    other_id,
    other,
    seed,
    n_dim,
    n_dim_failed,
    distance,
    eps_measured,
    is_eps_floored,
    is_eps_valid,
    distance / 1e-4 as x_eps_pub,
    case when is_eps_valid then distance / eps_measured end as x_eps_meas,
    gini_d2,
    top_dim_share,
    is_max_seed,
    committed_at
from with_eps
