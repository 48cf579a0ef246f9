-- One row per stored context of a latent of a complete crosscoder.
-- activation_base: of the latent on its token, times its decoder norm in the base
-- activation_distilled: the same in the distilled model
select
    place.* exclude (measurement_id),
    place.activation * latent.norm_base_l2 as activation_base,
    place.activation * latent.norm_distilled_l2 as activation_distilled,
    place.measurement_id
from latent_context as place
inner join stg_crosscode as pair using (measurement_id)
inner join latent using (measurement_id, latent)
