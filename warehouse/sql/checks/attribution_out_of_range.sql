-- One row per candidate whose share is null without a reason or outside its interval, or whose rank is not its place.
with

placed as (
    select
        *,
        row_number() over (partition by measurement_id order by share desc nulls last) as place
    from attribution_candidate
)

select measurement_id, role
from placed
where
    (share is null) <> (reason is not null)
    or (share is null) <> (rank is null)
    or rank <> place
    or not coalesce(share between ci_low_share - 1e-9 and ci_high_share + 1e-9, true)
    or abs(alignment) > 1 + 1e-9
