-- One row per bin of 0.02 of NRN that holds live latents of a complete crosscoder: how many by the norms alone, and of those above 0.9 how many are genuine.
-- nrn_low: where the bin begins; it holds values from there up to the next, the last also 1
-- nrn_high: where it ends
-- n_latents: live latents in it
-- n_genuine: of them, those that latent scaling bears out as distilled-only
-- n_not_borne_out: of those above 0.9, the others
select
    pair.base,
    pair.distilled,
    least(floor(latent.nrn * 50), 49) / 50 as nrn_low,
    least(floor(latent.nrn * 50), 49) / 50 + 0.02 as nrn_high,
    count(*) as n_latents,
    count(*) filter (latent.is_genuine) as n_genuine,
    count(*) filter (
        latent.latent_class = 'distilled-only' and not coalesce(latent.is_genuine, false)
    ) as n_not_borne_out,
    pair.is_newest,
    pair.measurement_id
from latent
inner join stg_crosscode as pair using (measurement_id)
where latent.nrn is not null
group by all
