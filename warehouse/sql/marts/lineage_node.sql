-- One row per model and place on the map of lineage: a base at its lane, a derivative in the lane of its base, a teacher.
-- A derivative that others were made from stands twice: in its base's lane, and at the head of its own.
-- kind: 'base', 'derivative' or 'teacher'
-- model: its label
-- family: base family of the base; the model's own for a teacher
-- base_id: the base whose lane it stands in; null for a teacher
-- y: height on the map; a lane is as high as the root of its derivatives, the first lane is at 0
-- x_eps: structural scar, median without the largest seed, multiples of 1e-4; null where there is none
-- structural_status: 'above its floor' or 'not interpretable'; null where it was not measured
-- n_derivatives: of a base or teacher, those that go back to it
-- is_distilled: whether it is known to be distilled; null where nobody knows
with

weight as (
    select * from lineage_edge where kind = 'weight'
),

lane as (
    select
        from_id as base_id,
        any_value(from_model) as base,
        any_value(family) as family,
        count(*) as n_derivatives,
        1 + sqrt(count(*)) as height
    from weight
    group by from_id
),

placed as (
    select
        *,
        sum(height) over (
            order by family nulls last, n_derivatives desc, base_id
        ) - height as top
    from lane
),

derivative as (
    select
        'derivative' as kind,
        weight.to_id as model_id,
        weight.to_model as model,
        weight.family,
        weight.from_id as base_id,
        placed.top + placed.height * 0.9
        * (row_number() over loudness - 0.5) / placed.n_derivatives as y,
        weight.x_eps,
        weight.structural_status
    from weight
    inner join placed on weight.from_id = placed.base_id
    window loudness as (
        partition by weight.from_id order by weight.x_eps desc nulls last, weight.to_id asc
    )
),

teacher as (
    select
        'teacher' as kind,
        edge.from_id as model_id,
        any_value(edge.from_model) as model,
        any_value(model.family) as family,
        avg(derivative.y) as y,
        count(distinct edge.to_id) as n_derivatives
    from lineage_edge as edge
    left join derivative on edge.to_id = derivative.model_id
    left join model on edge.from_id = model.model_id
    where edge.kind = 'capability'
    group by edge.from_id
),

every as (
    select
        'base' as kind,
        base_id as model_id,
        base as model,
        family,
        base_id,
        top + height * 0.45 as y,
        n_derivatives
    from placed
    union all by name
    select * from derivative
    union all by name
    select * from teacher
)

select
    every.kind,
    every.model_id,
    every.model,
    every.family,
    every.base_id,
    every.y,
    every.x_eps,
    every.structural_status,
    every.n_derivatives,
    organism.is_distilled
from every
left join organism using (model_id)
