-- One row per step, crosscoder, latent or context whose numbers cannot be, or contradict each other.
select measurement_id, concat('step ', step) as record
from crosscoder_step
where
    fvu_base < 0 or fvu_distilled < 0 or l0 < 0 or rate < 0 or gradient_norm < 0
    or dead_share not between 0 and 1
union all
select measurement_id, 'crosscoder' as record
from crosscoder_summary
where
    fvu_base < 0 or fvu_distilled < 0 or l0 < 0 or l0 > n_latents
    or dead_share not between 0 and 1 or mixing not between 0 and 1
    or scale_base <= 0 or scale_distilled <= 0
    or (
        is_interpretable
        and (coalesce(greatest(fvu_base, fvu_distilled), 1) > 0.3 or dead_share > 0.2)
    )
union all
select latent.measurement_id, concat('latent ', latent.latent) as record
from latent
where
    not coalesce(nrn between 0 and 1, true)
    or not coalesce(cosine between -1.00001 and 1.00001, true)
    or n_fired not between 0 and n_tokens
    or abs(fire_freq - n_fired / n_tokens) > 1e-9
    or is_dead <> (n_fired = 0)
    or (is_dead and (nrn is not null or reason is null))
    or (
        nrn is not null
        and abs(nrn - norm_distilled_l2 / (norm_base_l2 + norm_distilled_l2)) > 1e-5
    )
    or (latent_class = 'distilled-only') <> (nrn > 0.9)
    or (is_genuine and not coalesce(nrn > 0.9 and nu_eps < 0.2 and nu_r < 0.5, false))
union all
select measurement_id, concat('context of ', latent) as record
from latent_context
where
    activation <= 0 or len(tokens) <> len(activations) or token not between 0 and len(tokens) - 1
    or abs(activations[token + 1] - activation) > 1e-2 * activation
