-- One row per live latent of a complete crosscoder with stored contexts, as in `latent_feature`: all of a small dictionary, of a large one those at the ends of NRN.
-- n_contexts: how many are stored
with

place as (
    select
        measurement_id,
        latent,
        count(*) as n_contexts
    from latent_context
    group by measurement_id, latent
)

select
    latent.*,
    place.n_contexts
from latent_feature as latent
inner join place using (measurement_id, latent)
where latent.nrn is not null
