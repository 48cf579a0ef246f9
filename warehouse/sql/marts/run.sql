-- One row per planned measurement, and per attempt whose model could not be loaded: how it goes, newest attempt first.
-- Reads units, not only complete measurements, so a measurement shows from its plan on.
-- label: the model, or 'derivative vs base' (teacher vs base where there is no derivative)
-- state: 'complete' with all units; 'failed' or 'interrupted' as its newest attempt ended; 'running' with a sign of life in 10 minutes; else 'silent'
-- mode: whose text is scored; null where the method has no text
-- n_units: units planned; null when the model could not be loaded
-- n_units_done: units committed
-- n_rows: records committed
-- attempt_number: number of the newest attempt; null before the first
-- batch_size: prompts in one forward pass
-- last_unit_at: when the newest unit was committed
-- ended_at: when the newest attempt ended; null while it runs, or if it was killed
-- units_per_min: units of the newest attempt over the time from its start to its last unit
-- time_left_s: units to go at that rate, seconds; only while running
-- duration_s: time its units took to measure, seconds
-- reason: why the newest attempt failed or stopped
with

progress as (
    select
        unit.measurement_id,
        count(*) as n_units_done,
        sum(unit.n_rows)::bigint as n_rows,
        sum(unit.duration_s) as duration_s,
        max(unit.committed_at) as last_unit_at,
        count(*) filter (unit.committed_at >= attempt.started_at) as n_units_attempt
    from unit
    left join stg_attempt as attempt
        on unit.measurement_id = attempt.measurement_id and attempt.place = 1
    group by unit.measurement_id
),

named as (
    select
        member.measurement_id,
        coalesce(
            any_value(coalesce(model.label, member.model_id)) filter (member.role = 'model'),
            coalesce(
                any_value(coalesce(model.label, member.model_id))
                    filter (member.role = 'derivative'),
                any_value(coalesce(model.label, member.model_id)) filter (member.role = 'teacher')
            )
            || ' vs '
            || any_value(coalesce(model.label, member.model_id)) filter (member.role = 'base'),
            string_agg(coalesce(model.label, member.model_id), ', ' order by member.role)
        ) as label
    from measurement_model as member
    left join model using (model_id)
    group by member.measurement_id
),

planned as (
    select
        measurement.measurement_id,
        measurement.method,
        json_extract_string(measurement.options, '$.mode') as mode,
        coalesce(named.label, attempt.model_ref) as label,
        measurement.n_units,
        coalesce(progress.n_units_done, 0) as n_units_done,
        coalesce(progress.n_rows, 0) as n_rows,
        attempt.attempt_id,
        attempt.attempt_number,
        attempt.host,
        attempt.device,
        coalesce(attempt.batch_size, measurement.batch_size) as batch_size,
        attempt.started_at,
        progress.last_unit_at,
        attempt.ended_at,
        attempt.outcome,
        attempt.reason,
        progress.n_units_attempt * 60.0
            / nullif(epoch(progress.last_unit_at - attempt.started_at), 0) as units_per_min,
        progress.duration_s,
        attempt.model_ref,
        greatest(measurement.planned_at, attempt.started_at, progress.last_unit_at) as last_sign_at
    from measurement
    left join named using (measurement_id)
    left join progress using (measurement_id)
    left join stg_attempt as attempt
        on measurement.measurement_id = attempt.measurement_id and attempt.place = 1
),

unloaded as (
    select
        measurement_id,
        method,
        model_ref as label,
        attempt_id,
        attempt_number,
        host,
        device,
        batch_size,
        started_at,
        ended_at,
        outcome,
        reason,
        model_ref,
        started_at as last_sign_at
    from stg_attempt
    where measurement_id is null
),

every as (
    select * from planned
    union all by name
    select * from unloaded
),

stated as (
    select
        *,
        case
            when n_units_done >= n_units then 'complete'
            when outcome in ('failed', 'interrupted') then outcome
            when outcome = 'done' then 'interrupted'  -- says done, yet units are missing
            when last_sign_at >= now() - interval 10 minutes then 'running'
            else 'silent'
        end as state
    from every
)

select
    measurement_id,
    method,
    mode,
    label,
    state,
    n_units,
    n_units_done,
    n_rows,
    attempt_id,
    attempt_number,
    host,
    device,
    batch_size,
    started_at,
    last_unit_at,
    ended_at,
    case when units_per_min > 0 then units_per_min end as units_per_min,
    case
        when state = 'running' and units_per_min > 0
            then (n_units - n_units_done) * 60.0 / units_per_min
    end as time_left_s,
    duration_s,
    reason,
    model_ref
from stated
