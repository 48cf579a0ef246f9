-- One row per complete crosscoder: its gates, its mean NRN, and how many latents are distilled-only by NRN alone and by latent scaling.
-- base: what the base is called
-- distilled: what the model made of it is called
-- n_live: latents that fire
-- mean_nrn: mean over latents that fire
-- ci_low_mean_nrn: mean less 1.96 standard errors over latents
-- ci_high_mean_nrn: mean and 1.96 standard errors
-- n_base_only: latents with NRN under 0.1
-- n_shared: latents with NRN from 0.4 to 0.6
-- n_between: latents with NRN between these
-- n_distilled_only: latents with NRN above 0.9, by the norms alone
-- n_genuine: of those, the ones that latent scaling bears out
-- mean_cosine_shared: mean cosine of both decoder rows of the shared ones
-- shared_of_distilled_only: share of those above 0.9 that latent scaling does not bear out
-- is_newest: no later crosscoder over this pair
with

counted as (
    select
        measurement_id,
        count(nrn) as n_live,
        avg(nrn) as mean_nrn,
        stddev_samp(nrn) / sqrt(count(nrn)) as sem_nrn,
        count(*) filter (latent_class = 'base-only') as n_base_only,
        count(*) filter (latent_class = 'shared') as n_shared,
        count(*) filter (latent_class = 'between') as n_between,
        count(*) filter (latent_class = 'distilled-only') as n_distilled_only,
        count(*) filter (is_genuine) as n_genuine,
        avg(cosine) filter (latent_class = 'shared') as mean_cosine_shared
    from latent
    group by measurement_id
)

select
    pair.base_id,
    pair.base,
    pair.distilled_id,
    pair.distilled,
    pair.family,
    pair.n_params,
    pair.sparsity,
    pair.k,
    pair.seed,
    pair.text,
    crosscoder_summary.* exclude (measurement_id),
    counted.n_live,
    counted.mean_nrn,
    counted.mean_nrn - 1.96 * counted.sem_nrn as ci_low_mean_nrn,
    counted.mean_nrn + 1.96 * counted.sem_nrn as ci_high_mean_nrn,
    counted.n_base_only,
    counted.n_shared,
    counted.n_between,
    counted.n_distilled_only,
    counted.n_genuine,
    1 - counted.n_genuine / nullif(counted.n_distilled_only, 0) as shared_of_distilled_only,
    counted.mean_cosine_shared,
    pair.is_newest,
    pair.measurement_id,
    pair.measured_at
from stg_crosscode as pair
inner join crosscoder_summary using (measurement_id)
left join counted using (measurement_id)
