-- One row per complete structural measurement and seed whose dimensions are not 0 to n - 1, the same n for all its seeds.
with

planned as (
    select measurement_id, unnest(seeds) as seed
    from stg_measurement
    where method = 'structural'
),

counted as (
    select
        planned.measurement_id,
        planned.seed,
        count(distinct tau.dim) as n_dim,
        coalesce(max(tau.dim), -1) + 1 as n_wanted
    from planned
    left join structural_tau as tau
        on planned.measurement_id = tau.measurement_id and planned.seed = tau.seed
    group by all
),

compared as (
    select
        *,
        max(n_wanted) over (partition by measurement_id) as n_largest
    from counted
)

select measurement_id, seed, n_dim, n_largest as n_wanted
from compared
where n_dim <> n_largest or n_dim = 0
