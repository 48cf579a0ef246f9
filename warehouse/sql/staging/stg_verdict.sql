-- One row per pair, layer, question and statement: its newest answer.
select
    derivative_id,
    base_id,
    layer,
    question,
    statement,
    label,
    reasons,
    missing,
    p,
    p_least,
    n_null,
    numbers,
    thresholds,
    code_version,
    judged_at
from verdict
qualify row_number() over (
    partition by derivative_id, base_id, layer, question, statement
    order by judged_at desc
) = 1
