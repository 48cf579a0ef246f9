-- One row per measurement whose units promise another number of records than there are.
with

promised as (
    select measurement_id, sum(n_rows) as n_promised
    from unit
    group by measurement_id
),

record as (
    select measurement_id from structural_tau
    union all
    select measurement_id from prompt_template
    union all
    select measurement_id from template_distance
    union all
    select measurement_id from winner_gap_pair
    union all
    select measurement_id from winner_gap_prompt
    union all
    select measurement_id from model_stiffness
    union all
    select measurement_id from fisher_curvature
    union all
    select measurement_id from fisher_summary
    union all
    select measurement_id from weight_lineage
    union all
    select measurement_id from weight_lineage_pair
),

found as (
    select measurement_id, count(*) as n_found
    from record
    group by measurement_id
)

select measurement_id, promised.n_promised, coalesce(found.n_found, 0) as n_found
from promised
left join found using (measurement_id)
where promised.n_promised <> coalesce(found.n_found, 0)
