-- One row per two derivatives of one base, quantity and mode: their difference, paired by prompt or by seed.
-- a_id: the one derivative
-- a: its label
-- b_id: the other
-- b: its label
-- family: base family of the base
-- base_id: the base both are compared with
-- base: label of that base
-- quantity: 'distance from the base', 'first gap' or 'scar'
-- mode: whose text was scored; empty for scars
-- unit: of all the numbers
-- n: pairs: prompts, or seeds, that both have
-- n_of: 'prompts' or 'seeds'
-- mean_a: mean of the one over these
-- mean_b: mean of the other
-- mean_difference: mean of the one less the other
-- low: of prompts: mean less 1.96 standard errors; of seeds: the least difference; null with one pair
-- high: likewise
-- spread: what low and high are
-- is_apart: whether 0 lies outside low and high; null without them
-- measured_at: when the newer of the two was measured
with

valued as (
    select
        compared.derivative_id,
        compared.derivative,
        compared.family,
        compared.base_id,
        compared.base,
        compared.mode,
        unnest([
            {
                'quantity': 'distance from the base',
                'value': sqrt(list_inner_product(prompt.d, prompt.d))
            },
            {'quantity': 'first gap', 'value': prompt.d1}
        ], recursive := true),
        'logits' as unit,
        'prompts' as n_of,
        prompt.prompt_id as item,
        compared.measured_at
    -- not from gap_prompt, which would rank the prompts of all pairs first
    from centroid_crp as compared
    inner join winner_gap_prompt as prompt using (measurement_id)
    union all by name
    select
        derivative_id,
        derivative,
        family,
        other_id as base_id,
        other as base,
        '' as mode,
        'scar' as quantity,
        x_eps_pub as value,
        'x 1e-4' as unit,
        'seeds' as n_of,
        seed::varchar as item,
        committed_at as measured_at
    from structural_distance
    where role = 'base'
),

summed as (
    select
        one.derivative_id as a_id,
        one.derivative as a,
        other.derivative_id as b_id,
        other.derivative as b,
        one.family,
        one.base_id,
        one.base,
        one.quantity,
        one.mode,
        one.unit,
        one.n_of,
        count(*) as n,
        avg(one.value) as mean_a,
        avg(other.value) as mean_b,
        avg(one.value - other.value) as mean_difference,
        min(one.value - other.value) as least,
        max(one.value - other.value) as most,
        case when count(*) > 1 then stddev_samp(one.value - other.value) / sqrt(count(*)) end as sem,
        max(greatest(one.measured_at, other.measured_at)) as measured_at
    from valued as one
    inner join valued as other
        on
            one.base_id = other.base_id
            and one.quantity = other.quantity
            and one.mode = other.mode
            and one.item = other.item
            and one.derivative_id <> other.derivative_id
    where one.value is not null and other.value is not null
    group by all
),

spread as (
    select
        *,
        case n_of when 'prompts' then mean_difference - 1.96 * sem else least end as low_raw,
        case n_of when 'prompts' then mean_difference + 1.96 * sem else most end as high_raw
    from summed
)

select
    a_id,
    a,
    b_id,
    b,
    family,
    base_id,
    base,
    quantity,
    mode,
    unit,
    n,
    n_of,
    mean_a,
    mean_b,
    mean_difference,
    case when n > 1 then low_raw end as low,
    case when n > 1 then high_raw end as high,
    case
        when n > 1 and n_of = 'prompts' then '95 %, normal, over prompts'
        when n > 1 then 'least and most of the seeds'
    end as spread,
    case when n > 1 then low_raw > 0 or high_raw < 0 end as is_apart,
    measured_at
from spread
