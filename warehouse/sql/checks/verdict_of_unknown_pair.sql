-- One row per verdict on a model that is not registered, or on a pair of one model with itself.
select derivative_id, base_id, layer, question
from verdict
where
    derivative_id = base_id
    or derivative_id not in (select model_id from model)
    or base_id not in (select model_id from model)
