"""Statements to begin with: each runs on every lake and answers a question that people ask."""

EXAMPLES = {
    "Loudest scars": """\
select derivative, family, median_non_max_x_eps as x_eps,
    min_non_max_x_eps as lowest, max_non_max_x_eps as highest,
    n_seeds, structural_status
from structural_scar
order by x_eps desc nulls last
limit 50""",
    "Scars by family": """\
-- Every derivative counts once; the interval is of derivatives, not of seeds.
select family, is_distilled, count(*) as n_derivatives,
    median(median_non_max_x_eps) as median_x_eps,
    quantile_cont(median_non_max_x_eps, 0.05) as low_5_percent,
    quantile_cont(median_non_max_x_eps, 0.95) as high_95_percent
from structural_scar
where median_non_max_x_eps is not null
group by all
order by family, is_distilled""",
    "Centroid beside CRP": """\
select derivative, family, mode, n_prompts,
    centroid_distance, centroid_floor,
    crp_distance, crp_floor,
    crp_distance / nullif(centroid_distance, 0) as cancellation
from functional_distance
where role = 'derivative'
order by cancellation desc nulls last""",
    "Whose weights, whose reasoning": """\
select derivative, base, weight_lineage, median_cosine, median_null_cosine,
    capability_lineage, capability_lineage_reason
from lineage
order by family, derivative""",
    "Sentences of the teacher": """\
select distilled, teacher, teacher_share, null_share, control_share,
    n_sentences, n_rollouts, transfer
from provenance
order by teacher_share desc nulls last""",
    "Published beside measured": """\
select origin, family, layer, quantity, n_pairs, low_distilled, median_distilled, high_distilled,
    n_null, median_null, p95_null, floor
from family_calibration
order by quantity, family, origin""",
    "What was measured, and what it cost": """\
select method, state, count(*) as n_measurements, sum(n_rows) as n_records,
    sum(duration_s) / 3600 as hours, max(last_unit_at) as newest
from run
group by all
order by hours desc nulls last""",
    "One seed against all others": """\
-- Scars of seed 123 against the median of the other seeds, pair by pair.
select derivative, family,
    max(x_eps_pub) filter (where seed = 123) as seed_123,
    median(x_eps_pub) filter (where seed <> 123) as other_seeds
from structural_distance
where role = 'base'
group by all
having seed_123 is not null
order by seed_123 desc""",
}
