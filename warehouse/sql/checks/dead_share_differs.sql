-- One row per crosscoder whose share of dead latents is not that of its latents.
with

counted as (
    select
        measurement_id,
        count(*) as n_latents,
        avg(is_dead::integer) as dead_share
    from latent
    group by measurement_id
)

select summary.measurement_id
from crosscoder_summary as summary
left join counted using (measurement_id)
where
    counted.n_latents is distinct from summary.n_latents
    or abs(counted.dead_share - summary.dead_share) > 1e-9
