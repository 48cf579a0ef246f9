-- One row per latent of a complete crosscoder, with its pair.
-- base: what the base is called
-- distilled: what the model made of it is called
-- is_interpretable: the gates of its crosscoder are passed
select
    pair.base,
    pair.distilled,
    crosscoder_summary.is_interpretable,
    latent.* exclude (measurement_id),
    pair.is_newest,
    latent.measurement_id
from latent
inner join stg_crosscode as pair using (measurement_id)
inner join crosscoder_summary using (measurement_id)
