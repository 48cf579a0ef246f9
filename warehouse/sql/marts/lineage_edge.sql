-- One row per derivative, kind of lineage and model it goes back to: an edge of the map of lineage.
-- kind: 'weight' from its base; 'capability' from its teacher
-- from_id: the base or the teacher
-- from_model: its label
-- to_id: the derivative
-- to_model: its label
-- family: base family of the base; the derivative's own when that is unknown
-- evidence: what the weights say, or 'attributed' by its sentences; 'declared' where nothing was measured
-- is_measured: whether evidence was measured, not declared
-- x_eps: structural scar against that base, median without the largest seed, multiples of 1e-4; null for a teacher, or if not measured
-- structural_status: 'above its floor' or 'not interpretable'; null likewise
with

weight as (
    select
        'weight' as kind,
        pair.other_id as from_id,
        pair.derivative_id as to_id,
        pair.family,
        weights.lineage_label as evidence,
        scar.median_non_max_x_eps as x_eps,
        scar.structural_status
    from stg_pair as pair
    left join structural_scar as scar
        on pair.derivative_id = scar.derivative_id and pair.other_id = scar.base_id
    left join stg_weight_lineage_pair as weights
        on pair.derivative_id = weights.derivative_id and pair.other_id = weights.base_id
    where pair.role = 'base'
),

attributed as (
    select distinct
        'capability' as kind,
        teacher_id as from_id,
        distilled_id as to_id,
        family,
        'attributed' as evidence
    from teacher_attribution
    where is_attributed
),

declared as (
    select
        'capability' as kind,
        pair.model_id as from_id,
        pair.derivative_id as to_id,
        model.family
    from stg_comparison as pair
    left join model on pair.derivative_id = model.model_id
    where pair.role = 'teacher'
    union
    select
        'capability' as kind,
        organism.teacher_id as from_id,
        organism.model_id as to_id,
        model.family
    from organism
    inner join model using (model_id)
    where organism.teacher_id is not null
),

every as (
    select * from weight
    union all by name
    select * from attributed
    union all by name
    select declared.* from declared
    anti join attributed
        on declared.from_id = attributed.from_id and declared.to_id = attributed.to_id
)

select
    every.kind,
    every.from_id,
    coalesce(source.label, every.from_id) as from_model,
    every.to_id,
    coalesce(target.label, every.to_id) as to_model,
    every.family,
    coalesce(every.evidence, 'declared') as evidence,
    every.evidence is not null as is_measured,
    every.x_eps,
    every.structural_status
from every
left join model as source on every.from_id = source.model_id
left join model as target on every.to_id = target.model_id
