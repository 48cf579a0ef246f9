-- One row per scan of the hub: what it found, what came of it, how it ended.
-- ended_at: when its listing ended; what is queued is measured after that
-- outcome: how the listing ended: 'done', 'failed' or 'interrupted'; null while it runs, or if it was killed
-- reason: what went wrong; null when nothing did
-- n_bases: bases listed whole
-- n_listed: repositories that their listings named, overlaps counted again
-- n_new: repositories at a commit that it found first
-- n_queued: of these, those that can be measured
-- n_measured: repositories that it brought to 'measured', whoever found them
-- n_failed: measurements of repositories that failed
-- downloaded_bytes: of what it measured or failed to measure, weights, configuration and tokenizer; bases left out
-- n_alerts: alerts that arrived
with

listed as (
    select night, count(distinct base) as n_bases, sum(n_listed)::bigint as n_listed
    from hub_listing
    group by night
),

found as (
    select
        hub_model.night,
        count(*) as n_new,
        count(*) filter (hub_state.state = 'queued') as n_queued
    from hub_model
    inner join hub_state
        on hub_model.repo = hub_state.repo and hub_model.sha = hub_state.sha
    where hub_state.change = 1
    group by hub_model.night
),

brought as (
    select
        hub_state.night,
        count(*) filter (hub_state.state = 'measured') as n_measured,
        count(*) filter (hub_state.state = 'failed') as n_failed,
        sum(hub_model.download_bytes)::bigint as downloaded_bytes
    from hub_state
    inner join hub_model
        on hub_state.repo = hub_model.repo and hub_state.sha = hub_model.sha
    where hub_state.change > 1 and hub_state.state in ('measured', 'failed')
    group by hub_state.night
),

told as (
    select night, count(*) filter (outcome = 'sent') as n_alerts
    from alert
    group by night
)

select
    hub_scan.night,
    hub_scan.started_at,
    hub_scan_end.ended_at,
    hub_scan_end.outcome,
    hub_scan_end.reason,
    hub_scan.host,
    hub_scan.byte_budget,
    coalesce(listed.n_bases, 0) as n_bases,
    coalesce(listed.n_listed, 0) as n_listed,
    coalesce(found.n_new, 0) as n_new,
    coalesce(found.n_queued, 0) as n_queued,
    coalesce(brought.n_measured, 0) as n_measured,
    coalesce(brought.n_failed, 0) as n_failed,
    coalesce(brought.downloaded_bytes, 0) as downloaded_bytes,
    coalesce(told.n_alerts, 0) as n_alerts
from hub_scan
left join hub_scan_end on hub_scan.night = hub_scan_end.night
left join listed on hub_scan.night = listed.night
left join found on hub_scan.night = found.night
left join brought on hub_scan.night = brought.night
left join told on hub_scan.night = told.night
