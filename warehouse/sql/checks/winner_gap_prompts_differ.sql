-- One row per winner gap whose counts are not those of its prompts' records.
with

counted as (
    select
        measurement_id,
        count(*) as n_prompts,
        count(*) filter (d1 > 0) as n_up,
        count(*) filter (d1 < 0) as n_down,
        count(*) filter (dominant_k = 1) as n_g1_dominant,
        count(*) filter (g1_share > 0.5) as n_g1_over_half,
        case when bool_and(is_signif is not null) then count(*) filter (is_signif) end as n_signif,
        count(*) filter (len(d) <> 20 or d1 <> d[1]) as n_torn
    from winner_gap_prompt
    group by measurement_id
)

select measurement_id, pair.n_prompts, counted.n_prompts as n_found
from winner_gap_pair as pair
full join counted using (measurement_id)
where
    pair.measurement_id is null
    or (
        -- a refused pair has neither counts nor prompts
        (pair.n_up_g1 is not null or counted.n_prompts is not null)
        and (
            pair.n_prompts is distinct from counted.n_prompts
            or pair.n_up_g1 is distinct from counted.n_up
            or pair.n_down_g1 is distinct from counted.n_down
            or pair.n_g1_dominant is distinct from counted.n_g1_dominant
            or pair.n_g1_over_half is distinct from counted.n_g1_over_half
            or pair.n_signif is distinct from counted.n_signif
            or counted.n_torn > 0
        )
    )
