-- One row per derivative, its base, mode and gap: how the prompts move that gap, and how much of it cancels.
-- derivative: its label
-- base_id: the model it is compared with
-- base: label of that base
-- k: the gap, from 1
-- n_prompts: prompts with a difference
-- n_dominant: prompts whose largest difference is that of this gap
-- n_up: prompts where the derivative's gap is larger
-- n_down: prompts where it is smaller
-- mean_signed: mean difference, logits; > 0: up
-- mean_abs: mean size of the difference, logits
-- share: share of this gap in the squared difference of the mean templates, 0 to 1
-- cancellation: mean size over size of the mean, at least 1; null where the mean is 0
-- cancellation_noise_p: share of draws of pure noise that cancel at least as much; recorded for gaps 1 and 2
-- sign_p: two-sided p of the sign test, equal prompts left out; recorded for gaps 1 and 2
with

opened as (
    select
        prompt.measurement_id,
        gap.k,
        prompt.d[gap.k] as d,
        prompt.dominant_k
    from winner_gap_prompt as prompt
    cross join range(1, 21) as gap (k)
),

summed as (
    select
        measurement_id,
        k,
        count(d) as n_prompts,
        count(*) filter (dominant_k = k) as n_dominant,
        count(*) filter (d > 0) as n_up,
        count(*) filter (d < 0) as n_down,
        avg(d) as mean_signed,
        avg(abs(d)) as mean_abs
    from opened
    group by measurement_id, k
)

select
    compared.derivative_id,
    compared.derivative,
    compared.base_id,
    compared.base,
    compared.mode,
    summed.k::integer as k,
    summed.n_prompts,
    summed.n_dominant,
    summed.n_up,
    summed.n_down,
    summed.mean_signed,
    summed.mean_abs,
    summed.mean_signed ** 2
        / nullif(sum(summed.mean_signed ** 2) over (partition by summed.measurement_id), 0)
        as share,
    -- greatest() skips nulls, which would make a mean of 0 the least cancellation
    case
        when summed.mean_signed <> 0
            then greatest(1, summed.mean_abs / abs(summed.mean_signed))
    end as cancellation,
    case summed.k when 1 then pair.cancellation_noise_p_g1 when 2 then pair.cancellation_noise_p_g2 end
        as cancellation_noise_p,
    case summed.k when 1 then pair.sign_p_g1 when 2 then pair.sign_p_g2 end as sign_p,
    compared.measurement_id
from functional_distance as compared
inner join winner_gap_pair as pair using (measurement_id)
inner join summed using (measurement_id)
where compared.role = 'derivative'
