-- One row per rollout that is judged without a right answer, or has no answer and no reason.
select measurement_id, problem_id, sample
from rollout
where
    (gold is null and is_correct is not null)
    or (answer is null and reason is null)
    or (is_correct is null and reason is null)
    or sample < 0
    or n_tokens < 0
