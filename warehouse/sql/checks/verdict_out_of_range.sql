-- One row per verdict whose p is no conformal p of its null, or that is given without a reason or with numbers that are no JSON.
select derivative_id, base_id, layer, question, statement, judged_at
from verdict
where
    p not between p_least and 1
    or (p is not null and (n_null is null or p_least is null))
    or abs(p_least - 1 / (1 + n_null)) > 1e-12
    or n_null < 0
    or len(reasons) = 0
    or (label = 'UNCALIBRATED' and len(missing) = 0)
    or (question = 'claim') <> (statement is not null)
    or not json_valid(numbers)
    or not json_valid(thresholds)
