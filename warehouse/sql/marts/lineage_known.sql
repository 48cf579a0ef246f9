-- One row per two models of known lineage whose weights were compared, in that order: what is known of them, and what the weights say.
-- Independent are two models of the zoo without a common origin; of declared ones only what their users say is known.
-- derivative_id: the first of the two, compared as if it were made from the other
-- derivative: its label
-- recipe: class of its recipe; null if its lineage is not known
-- origin_id: the model that training from nothing gave, from which it was made; itself if it is one
-- base_id: the other of the two
-- base: its label
-- base_recipe: class of its recipe; null if its lineage is not known
-- base_origin_id: the model from which the other was made
-- relation: 'derivative' was made from the other; 'base': the other from it; 'sibling': both from a third; 'depth student': with some layers of it; 'independent'
-- known_by: 'user' if their user declared one of the two, else 'zoo'
-- answer: what the weights say, by the rule of measure/lineage.py
-- answer_reasons: the comparisons that decided it, '; ' between them
-- measured_at: when the measurement was complete
with recursive

made as (
    select model_id, base_id as from_id, false as is_depth_student
    from organism
    where base_id is not null
    union all
    -- it starts with some of its teacher's layers
    select model_id, teacher_id as from_id, true as is_depth_student
    from organism
    where role = 'depth-student' and teacher_id is not null
),

ancestor as (
    select model_id, from_id, is_depth_student from made
    union
    select
        ancestor.model_id,
        made.from_id,
        ancestor.is_depth_student or made.is_depth_student as is_depth_student
    from ancestor
    inner join made on ancestor.from_id = made.model_id
),

line as (
    select model_id, from_id, is_depth_student from ancestor
    union all
    select model_id, model_id as from_id, false as is_depth_student
    from (select model_id from organism union select from_id from made) as every_model
),

first_of_line as (
    select line.model_id, line.from_id as origin_id
    from line
    anti join made on line.from_id = made.model_id
),

related as (
    select
        one.model_id,
        other.model_id as other_id,
        case
            when bool_and(one.is_depth_student or other.is_depth_student) then 'depth student'
            when bool_or(one.from_id = other.model_id) then 'derivative'
            when bool_or(other.from_id = one.model_id) then 'base'
            else 'sibling'
        end as relation
    from line as one
    inner join line as other
        on one.from_id = other.from_id and one.model_id <> other.model_id
    group by one.model_id, other.model_id
),

compared as (
    select
        derivative.model_id as derivative_id,
        base.model_id as base_id,
        pair.lineage_label as answer,
        pair.label_reasons as answer_reasons,
        pair.n_layers,
        pair.n_base_layers,
        pair.n_layers_related,
        pair.measurement_id,
        measurement.committed_at as measured_at
    from weight_lineage_pair as pair
    inner join stg_measurement as measurement using (measurement_id)
    inner join measurement_model as derivative
        on pair.measurement_id = derivative.measurement_id and derivative.role = 'derivative'
    inner join measurement_model as base
        on pair.measurement_id = base.measurement_id and base.role = 'base'
    where pair.reason is null
    qualify row_number() over (
        partition by derivative.model_id, base.model_id
        order by measurement.committed_at desc, pair.measurement_id asc
    ) = 1
),

known as (
    select
        compared.*,
        one.method as recipe,
        other.method as base_recipe,
        case
            when related.relation is not null then related.relation
            when one.declared_by = 'zoo' and other.declared_by = 'zoo' then 'independent'
        end as relation,
        case
            when one.declared_by = 'user' or other.declared_by = 'user' then 'user'
            else 'zoo'
        end as known_by
    from compared
    left join related
        on compared.derivative_id = related.model_id and compared.base_id = related.other_id
    left join organism as one on compared.derivative_id = one.model_id
    left join organism as other on compared.base_id = other.model_id
)

select
    known.derivative_id,
    coalesce(derivative.label, known.derivative_id) as derivative,
    known.recipe,
    derivative_line.origin_id,
    known.base_id,
    coalesce(base.label, known.base_id) as base,
    known.base_recipe,
    base_line.origin_id as base_origin_id,
    known.relation,
    known.known_by,
    known.answer,
    known.answer_reasons,
    known.n_layers,
    known.n_base_layers,
    known.n_layers_related,
    known.measurement_id,
    known.measured_at
from known
left join first_of_line as derivative_line on known.derivative_id = derivative_line.model_id
left join first_of_line as base_line on known.base_id = base_line.model_id
left join model as derivative on known.derivative_id = derivative.model_id
left join model as base on known.base_id = base.model_id
where known.relation is not null
