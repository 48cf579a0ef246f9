-- One row per measurement and set of rollouts whose counts of labels do not add up, or are not those of its sentences.
with

added as (
    select
        measurement_id,
        rollouts_of,
        max(n_all) as n_all,
        sum(n_sentences) filter (label in ('Shared', 'Teacher', 'Student', 'Boosted')) as n_labels,
        sum(n_sentences) filter (label in ('boosted_up', 'between', 'suppressed')) as n_kinds,
        max(n_sentences) filter (label = 'Boosted') as n_boosted,
        bool_or(abs(share - n_sentences / n_all) > 1e-12) as is_off
    from provenance_share
    group by all
),

found as (
    select measurement_id, rollouts_of, count(*) as n_found
    from provenance_sentence
    where label4 is not null
    group by all
)

select added.measurement_id, added.rollouts_of, added.n_all, found.n_found
from added
left join found using (measurement_id, rollouts_of)
where
    added.n_labels <> added.n_all
    or added.n_kinds <> added.n_boosted
    or coalesce(added.is_off, false)
    or (added.rollouts_of <> 'control' and added.n_all <> coalesce(found.n_found, 0))
