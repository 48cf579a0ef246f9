-- One row per measurement whose units promise another number of records than there are.
with

promised as (
    select measurement_id, sum(n_rows) as n_promised
    from unit
    group by measurement_id
),

found as (
    select measurement_id, count(*) as n_found
    from stg_record
    group by measurement_id
)

select measurement_id, promised.n_promised, coalesce(found.n_found, 0) as n_found
from promised
left join found using (measurement_id)
where promised.n_promised <> coalesce(found.n_found, 0)
