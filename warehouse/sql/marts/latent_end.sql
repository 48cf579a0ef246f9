-- One row per complete crosscoder and category: latents that fire on its words among those of largest and of smallest NRN.
-- base: what the base is called
-- distilled: what the model made of it is called
-- is_interpretable: the gates of the crosscoder are passed
select
    pair.base_id,
    pair.base,
    pair.distilled_id,
    pair.distilled,
    crosscoder_summary.is_interpretable,
    counted.* exclude (measurement_id),
    pair.is_newest,
    counted.measurement_id
from latent_category as counted
inner join stg_crosscode as pair using (measurement_id)
inner join crosscoder_summary using (measurement_id)
