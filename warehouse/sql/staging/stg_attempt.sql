-- One row per attempt, with how it ended; the newest attempt of a measurement has place 1.
-- place: 1 for the newest attempt of its measurement; attempts without a measurement are all 1
select
    attempt.attempt_id,
    attempt.attempt_number,
    attempt.measurement_id,
    attempt.method,
    attempt.model_ref,
    attempt.host,
    attempt.pid,
    attempt.device,
    attempt.batch_size,
    attempt.started_at,
    ended.outcome,
    ended.reason,
    ended.ended_at,
    row_number() over (
        partition by coalesce(attempt.measurement_id, attempt.attempt_id)
        order by attempt.attempt_number desc, attempt.started_at desc
    ) as place
from attempt
left join attempt_end as ended using (attempt_id)
