-- One row per base family with a structural scar above its floor: its loudest and its quietest derivative.
-- What is known not to be distilled is left out, as on the page of families.
-- family: base family of the base; the base's id when that is unknown
-- n_pairs: derivatives with a scar, distilled or of unknown origin
-- n_above: of these, above their floor
-- n_quiet: of these, not above it: not interpretable
-- loudest_id: the one whose median but the largest seed is largest
-- loudest: its label
-- loudest_median_x_eps: that median, multiples of 1e-4
-- loudest_low_x_eps: smallest seed
-- loudest_high_x_eps: largest seed but one
-- loudest_n_seeds: its seeds, the largest among them
-- quietest_id: of those above their floor, the one whose median is smallest
-- quietest: its label
-- quietest_median_x_eps: that median, multiples of 1e-4
-- quietest_low_x_eps: smallest seed
-- quietest_high_x_eps: largest seed but one
-- quietest_n_seeds: its seeds, the largest among them
-- measured_at: when the newest of all was measured
with

suspected as (
    select
        *,
        coalesce(family, base_id) as of_family,
        structural_status = 'above its floor' as is_above
    from structural_scar
    where coalesce(is_distilled, true) and median_non_max_x_eps is not null
),

ranked as (
    select
        *,
        row_number() over (
            partition by of_family, is_above order by median_non_max_x_eps desc, derivative_id asc
        ) as from_loudest,
        row_number() over (
            partition by of_family, is_above order by median_non_max_x_eps asc, derivative_id desc
        ) as from_quietest
    from suspected
)

select
    of_family as family,
    count(*) as n_pairs,
    count(*) filter (is_above) as n_above,
    count(*) filter (not is_above) as n_quiet,
    any_value(derivative_id) filter (is_above and from_loudest = 1) as loudest_id,
    any_value(derivative) filter (is_above and from_loudest = 1) as loudest,
    any_value(median_non_max_x_eps) filter (is_above and from_loudest = 1) as loudest_median_x_eps,
    any_value(min_non_max_x_eps) filter (is_above and from_loudest = 1) as loudest_low_x_eps,
    any_value(max_non_max_x_eps) filter (is_above and from_loudest = 1) as loudest_high_x_eps,
    any_value(n_seeds) filter (is_above and from_loudest = 1) as loudest_n_seeds,
    any_value(derivative_id) filter (is_above and from_quietest = 1) as quietest_id,
    any_value(derivative) filter (is_above and from_quietest = 1) as quietest,
    any_value(median_non_max_x_eps) filter (is_above and from_quietest = 1)
        as quietest_median_x_eps,
    any_value(min_non_max_x_eps) filter (is_above and from_quietest = 1) as quietest_low_x_eps,
    any_value(max_non_max_x_eps) filter (is_above and from_quietest = 1) as quietest_high_x_eps,
    any_value(n_seeds) filter (is_above and from_quietest = 1) as quietest_n_seeds,
    max(measured_at) as measured_at
from ranked
group by of_family
having count(*) filter (is_above) > 0
