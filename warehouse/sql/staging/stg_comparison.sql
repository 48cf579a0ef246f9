-- One row per declared pair, with the one base that counts: the newest declared.
with

latest as (
    select
        derivative_id,
        role,
        model_id,
        arg_max(declared_by, declared_at) as declared_by,
        max(declared_at) as declared_at
    from comparison
    group by derivative_id, role, model_id
),

ranked as (
    select
        *,
        row_number() over (
            partition by derivative_id, role
            order by declared_at desc, model_id asc
        ) as place
    from latest
)

select derivative_id, role, model_id, declared_by, declared_at
from ranked
where role <> 'base' or place = 1
