-- One row per derivative, its base and mode: what became of the winner gap, with the CV effect and delta-norms.
-- Of several measurements of a pair the newest. The records of the prompts are in winner_gap_prompt, by measurement_id.
-- derivative: its label
-- family: base family of the base; the derivative's own when that is unknown
-- base_id: the model it is compared with
-- base: label of that base
-- direction: 'up' if the first gap grew on average, 'down' if it shrank; null if neither or unknown
-- g1_share: share of G1 in the squared difference of the mean templates, 0 to 1
-- n_unchanged_g1: prompts with equal first gaps, in neither count of signs
-- centroid_floor: the larger of self-baseline and sign-flip floor, logits
-- centroid_status: 'above its floor' if the centroid distance exceeds both floors; else 'not interpretable'
-- reason: why numbers of the difference are missing; null when none is
-- measured_at: when the measurement was complete
select
    compared.derivative_id,
    compared.derivative,
    compared.family,
    compared.base_id,
    compared.base,
    compared.mode,
    pair.* exclude (measurement_id, mode, reason),
    case when pair.mean_signed_g1 > 0 then 'up' when pair.mean_signed_g1 < 0 then 'down' end
        as direction,
    pair.n_prompts - pair.n_up_g1 - pair.n_down_g1 as n_unchanged_g1,
    compared.centroid_distance,
    compared.centroid_floor,
    compared.centroid_status,
    pair.reason,
    compared.measurement_id,
    compared.measured_at
from functional_distance as compared
inner join winner_gap_pair as pair using (measurement_id)
where compared.role = 'derivative'
