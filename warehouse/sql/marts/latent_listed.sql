-- One row per live latent of a complete crosscoder that is among the 200 of most NRN or has stored contexts, as in `latent_feature`.
-- place: by NRN, the most is 1
-- n_contexts: how many are stored
with

stored as (
    select
        measurement_id,
        latent,
        count(*) as n_contexts
    from latent_context
    group by measurement_id, latent
)

select
    latent.*,
    row_number() over (partition by measurement_id order by latent.nrn desc, latent.latent) as place,
    coalesce(stored.n_contexts, 0) as n_contexts
from latent_feature as latent
left join stored using (measurement_id, latent)
where latent.nrn is not null
qualify place <= 200 or stored.n_contexts > 0
