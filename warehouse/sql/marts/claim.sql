-- One row per pair and claim: whether evidence of the claim's own layer supports it, by the newest verdict.
-- derivative: its label
-- family: base family of the base; the derivative's own when that is unknown
-- base: label of the base
-- claim: the sentence judged
-- label: 'supported', 'contradicted' or 'unsupported'
-- context: evidence of other layers: cited, never support
-- inadmissible: evidence that may not be used, with what forbids it
-- judged_at: when it was judged
select
    answer.derivative_id,
    coalesce(derivative.label, answer.derivative_id) as derivative,
    coalesce(base.family, derivative.family) as family,
    answer.base_id,
    coalesce(base.label, answer.base_id) as base,
    answer.layer,
    answer.statement as claim,
    answer.label,
    answer.reasons,
    json_extract_string(answer.numbers, '$.context[*]') as context,
    json_extract_string(answer.numbers, '$.inadmissible[*]') as inadmissible,
    answer.missing,
    answer.judged_at
from stg_verdict as answer
left join model as derivative on answer.derivative_id = derivative.model_id
left join model as base on answer.base_id = base.model_id
where answer.question = 'claim'
