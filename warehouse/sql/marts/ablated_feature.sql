-- One row per complete ablation, filter, share and category: whether the latents taken out carry the category in the distilled model.
-- base: what the base is called
-- distilled: what the model made of it is called
-- crosscoder_id: measurement of the crosscoder that the latents are of
-- is_newest: no later one of this crosscoder
select
    pair.base,
    pair.distilled,
    pair.crosscoder_id,
    verdict.* exclude (measurement_id),
    pair.is_newest,
    verdict.measurement_id,
    pair.measured_at
from feature_ablation_verdict as verdict
inner join stg_crosscode as pair using (measurement_id)
