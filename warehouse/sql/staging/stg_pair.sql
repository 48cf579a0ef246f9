-- One row per compared pair: where a structural distance starts, and where it ends.
-- A base or teacher is compared with the derivative; a stranger with the derivative's base, to say how far strangers lie.
-- derivative: its label
-- source: where the derivative came from
-- role: what the other model is to the derivative
-- family: base family of the derivative's base; its own when no base is declared
-- base_id: the derivative's base; null when none is declared
-- from_id: the model the distance starts at: the derivative, or its base for role reference and shared_comparator
-- from_model: label of the model the distance starts at
-- other_id: the model the distance ends at
-- other: label of the model the distance ends at
-- base: label of the derivative's base
with

started as (
    select
        pair.derivative_id,
        pair.role,
        pair.model_id as other_id,
        base.model_id as base_id,
        case
            when pair.role in ('base', 'teacher') then pair.derivative_id
            else base.model_id
        end as from_id
    from stg_comparison as pair
    left join stg_comparison as base
        on pair.derivative_id = base.derivative_id and base.role = 'base'
)

select
    started.derivative_id,
    coalesce(derivative.label, started.derivative_id) as derivative,
    derivative.source,
    coalesce(base.family, derivative.family) as family,
    started.base_id,
    coalesce(base.label, started.base_id) as base,
    started.role,
    started.from_id,
    coalesce(from_model.label, started.from_id) as from_model,
    started.other_id,
    coalesce(other.label, started.other_id) as other
from started
left join model as derivative on started.derivative_id = derivative.model_id
left join model as base on started.base_id = base.model_id
left join model as from_model on started.from_id = from_model.model_id
left join model as other on started.other_id = other.model_id
where started.from_id is not null
