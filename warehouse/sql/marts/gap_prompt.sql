-- One row per derivative, its base, mode and prompt: what the derivative did to the gaps of that prompt.
-- derivative: its label
-- base_id: the model it is compared with
-- base: label of that base
-- distance: norm of the difference over all gaps, logits; its mean over prompts is the CRP distance
-- direction: 'up' if the first gap grew, 'down' if it shrank, 'unchanged' if neither
-- place: of the prompt by d1, from 1; ties by prompt id
select
    compared.derivative_id,
    compared.derivative,
    compared.base_id,
    compared.base,
    compared.mode,
    prompt.prompt_id,
    prompt.category,
    prompt.d1,
    prompt.noise_se,
    prompt.is_signif,
    case when prompt.d1 > 0 then 'up' when prompt.d1 < 0 then 'down' else 'unchanged' end
        as direction,
    prompt.dominant_k,
    prompt.g1_share,
    sqrt(list_inner_product(prompt.d, prompt.d)) as distance,
    row_number() over (
        partition by compared.measurement_id
        order by prompt.d1 asc, prompt.prompt_id asc
    ) as place,
    prompt.reason,
    compared.measurement_id
from functional_distance as compared
inner join winner_gap_prompt as prompt using (measurement_id)
where compared.role = 'derivative'
