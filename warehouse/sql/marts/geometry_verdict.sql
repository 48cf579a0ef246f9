-- One row per set of word pairs, set of problems and way of sampling: whether models that gain in geometry gain in accuracy.
-- Over the rows of geometry_gain; at least 10 pairs of models are needed. The interval is Fisher's, of Pearson's correlation.
-- n_pairs: pairs of a base and what was made of it
-- n_bases: bases among them; pairs of one base are not independent
-- correlation: of both gains, -1 to 1; null under 10 pairs, or where one of the gains does not differ
-- ci_low_correlation: 2.5 %
-- ci_high_correlation: 97.5 %
-- answer: go together, go apart or no relation, by that interval; NOT ENOUGH without a correlation
with

counted as (
    select
        words_sha256,
        problem_set,
        problem_set_sha256,
        sampling,
        count(*) as n_pairs,
        count(distinct base_id) as n_bases,
        case
            when count(*) >= 10 and stddev_samp(d_area) > 0 and stddev_samp(d_accuracy) > 0
                then corr(d_area, d_accuracy)
        end as correlation
    from geometry_gain
    group by all
),

bounded as (
    select
        *,
        atanh(correlation * (1 - 1e-12)) as z,
        1.96 / sqrt(greatest(n_pairs - 3, 1)) as half  -- read of 10 and more
    from counted
)

select
    * exclude (z, half),
    tanh(z - half) as ci_low_correlation,
    tanh(z + half) as ci_high_correlation,
    case
        when z is null then 'NOT ENOUGH'
        when z - half > 0 then 'go together'
        when z + half < 0 then 'go apart'
        else 'no relation'
    end as answer
from bounded
