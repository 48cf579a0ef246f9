-- One row per repository at a commit that a scan found, in its newest state.
-- change: number of the newest change of state
-- state: the newest state
-- reason: why it is in that state; null where the state says it all
-- n_failed: how often measuring it failed
-- state_night: the scan that brought it into that state
-- noted_at: when that was noted
select
    hub_model.repo,
    hub_model.sha,
    hub_model.night,
    hub_model.family,
    hub_model.base,
    hub_model.base_sha,
    hub_model.relation,
    hub_model.model_ref,
    hub_model.created_at,
    hub_model.modified_at,
    hub_model.is_gated,
    hub_model.licence,
    hub_model.n_params,
    hub_model.download_bytes,
    hub_model.quantisation,
    hub_model.files_sha256,
    hub_model.datasets,
    hub_model.card_note,
    hub_model.found_at,
    max(hub_state.change) as change,
    arg_max(hub_state.state, hub_state.change) as state,
    -- arg_max skips nulls, which a reason may be
    arg_max(struct_pack(reason := hub_state.reason), hub_state.change).reason as reason,
    count(*) filter (hub_state.state = 'failed') as n_failed,
    arg_max(hub_state.night, hub_state.change) as state_night,
    arg_max(hub_state.noted_at, hub_state.change) as noted_at
from hub_model
inner join hub_state
    on hub_model.repo = hub_state.repo and hub_model.sha = hub_state.sha
group by all
