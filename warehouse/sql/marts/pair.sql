-- One row per derivative and its present base, measured or not: what a page may choose from.
-- derivative: its label
-- family: base family of the base; the derivative's own when that is unknown
-- base_id: the newest base that was declared
-- base: label of that base
-- recipe: class of its recipe; null where its lineage is not known
-- is_distilled: whether it is known to be distilled; null where nobody knows
-- declared_by: who says so: 'zoo' or 'user'; null where nobody does
-- n_measurements: complete measurements in which the derivative takes any part
-- measured_at: when the newest of them was complete; null without one
with

taken_part as (
    select
        member.model_id,
        count(distinct member.measurement_id) as n_measurements,
        max(measurement.committed_at) as measured_at
    from measurement_model as member
    inner join stg_measurement as measurement using (measurement_id)
    group by member.model_id
)

select
    stg_pair.derivative_id,
    stg_pair.derivative,
    stg_pair.family,
    stg_pair.other_id as base_id,
    stg_pair.other as base,
    organism.method as recipe,
    organism.is_distilled,
    organism.declared_by,
    coalesce(taken_part.n_measurements, 0) as n_measurements,
    taken_part.measured_at
from stg_pair
left join organism
    on stg_pair.derivative_id = organism.model_id and stg_pair.other_id = organism.base_id
left join taken_part on stg_pair.derivative_id = taken_part.model_id
where stg_pair.role = 'base'
