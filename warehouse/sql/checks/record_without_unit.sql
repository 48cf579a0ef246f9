-- One row per measurement id that has records but no unit, or units but no plan, or a plan without a known model.
select distinct measurement_id, 'records without a unit' as fault
from stg_record
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
