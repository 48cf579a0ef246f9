-- One row per measurement id that has records but no unit, or units but no plan, or a plan without a known model.
with

record as (
    select measurement_id from structural_tau
    union
    select measurement_id from prompt_template
    union
    select measurement_id from template_distance
    union
    select measurement_id from winner_gap_pair
    union
    select measurement_id from winner_gap_prompt
    union
    select measurement_id from model_stiffness
    union
    select measurement_id from fisher_curvature
    union
    select measurement_id from fisher_summary
    union
    select measurement_id from weight_lineage
    union
    select measurement_id from weight_lineage_pair
)

select measurement_id, 'records without a unit' as fault
from record
anti join unit using (measurement_id)
union all
select distinct measurement_id, 'units without a plan' as fault
from unit
anti join measurement using (measurement_id)
union all
select measurement_id, 'a plan without a model' as fault
from measurement
anti join measurement_model using (measurement_id)
union all
select distinct member.measurement_id, 'a model that is not registered' as fault
from measurement_model as member
anti join model on member.model_id = model.model_id
