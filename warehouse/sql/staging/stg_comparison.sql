-- One row per declared pair, with the one base that counts: the newest declared.
with

ranked as (
    select
        derivative_id,
        role,
        model_id,
        declared_by,
        declared_at,
        row_number() over (
            partition by derivative_id, role
            order by declared_at desc, model_id asc
        ) as place
    from comparison
)

select derivative_id, role, model_id, declared_by, declared_at
from ranked
where role <> 'base' or place = 1
