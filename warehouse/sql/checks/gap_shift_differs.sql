-- One row per comparison whose centroid distance is not the norm of the mean shift of its templates, or is over other prompts.
with

norm as (
    select
        measurement_id,
        role,
        sqrt(sum(shift ** 2)) as distance,
        any_value(n_prompts) as n_prompts
    from stg_gap_shift
    group by measurement_id, role
)

select measurement_id, role, distance.centroid_distance, norm.distance
from stg_template_distance as distance
inner join norm using (measurement_id, role)
where
    distance.reason is null
    and (
        abs(norm.distance - distance.centroid_distance) > 1e-6 * (1 + norm.distance)
        or norm.n_prompts <> distance.n_prompts
    )
