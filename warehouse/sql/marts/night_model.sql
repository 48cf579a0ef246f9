-- One row per repository at a commit that a scan found: its state, what is claimed of it, what was measured, where it falls.
-- family: family of the watchlist
-- base: watched repository it is tagged as made from
-- state: its newest state
-- reason: why it is in that state; null where the state says it all
-- state_night: the scan that brought it into that state
-- n_failed: how often measuring it failed
-- teacher_claims: teachers that its name, tags, data sets or card speak of, with where: claims, never results
-- base_family: family of the base by its architecture; null until measured
-- structural_label: whether its tau moved as that of distilled derivatives, by the newest verdict; null until judged
-- functional_label: the same of its templates
-- label: the weightier of the two: DISTILLED-LIKE, UNCALIBRATED, INCONCLUSIVE, NOT DISTILLED-LIKE
-- n_seeds: seeds of the structural distance
-- min_non_max_x_eps: smallest distance but the largest seed's, multiples of 1e-4
-- median_non_max_x_eps: median of these
-- max_non_max_x_eps: largest of these
-- structural_status: 'above its floor' or 'not interpretable'; null where it was not measured
-- n_prompts: prompts of the functional distance
-- centroid_distance: distance of the mean templates, mode free, logits
-- centroid_floor: its floor, logits
-- functional_status: 'above its floor' or 'not interpretable'; null where it was not measured
-- n_family: other derivatives of its base's family with a scar
-- n_quieter: of these, those whose median scar is smaller
-- needs: what a person has to do or look at; null where nothing
-- noted_at: when it came into its state
with

claimed as (
    select repo, sha, list(teacher || ' (' || places || ')' order by teacher) as teacher_claims
    from (
        select repo, sha, teacher, string_agg(read_in, ', ' order by read_in) as places
        from teacher_claim
        group by repo, sha, teacher
    )
    group by repo, sha
),

judged as (
    select
        derivative_id,
        base_id,
        any_value(label) filter (layer = 'structural') as structural_label,
        any_value(label) filter (layer = 'functional') as functional_label,
        case
            when bool_or(label = 'DISTILLED-LIKE') then 'DISTILLED-LIKE'
            when bool_or(label = 'UNCALIBRATED') then 'UNCALIBRATED'
            when bool_or(label = 'INCONCLUSIVE') then 'INCONCLUSIVE'
            else 'NOT DISTILLED-LIKE'
        end as label
    from stg_verdict
    where question = 'distilled-like'
    group by derivative_id, base_id
),

placed as (
    select
        one.derivative_id,
        one.base_id,
        one.family as base_family,
        count(other.derivative_id) as n_family,
        count(*) filter (other.median_non_max_x_eps < one.median_non_max_x_eps) as n_quieter
    from structural_scar as one
    left join structural_scar as other
        on one.family = other.family and one.derivative_id <> other.derivative_id
    group by one.derivative_id, one.base_id, one.family
)

select
    found.repo,
    found.sha,
    found.night,
    found.family,
    found.base,
    found.base_sha,
    found.relation,
    found.model_ref,
    found.quantisation,
    found.licence,
    found.n_params,
    found.download_bytes,
    found.created_at,
    found.modified_at,
    found.found_at,
    found.state,
    found.reason,
    found.state_night,
    found.n_failed,
    found.noted_at,
    found.datasets,
    found.card_note,
    claimed.teacher_claims,
    placed.base_family,
    judged.structural_label,
    judged.functional_label,
    judged.label,
    summary.n_seeds,
    summary.min_non_max_x_eps,
    summary.median_non_max_x_eps,
    summary.max_non_max_x_eps,
    summary.structural_status,
    summary.n_prompts,
    summary.centroid_distance,
    summary.centroid_floor,
    summary.functional_status,
    placed.n_family,
    placed.n_quieter,
    case
        when judged.label = 'DISTILLED-LIKE' then 'look at the evidence of its verdict'
        when found.state = 'gated' then 'accept its terms on the hub, set HF_TOKEN, scan --retry'
        when found.state = 'failed' then 'see why it failed; scan --retry tries it again'
    end as needs
from stg_hub_model as found
left join claimed on found.repo = claimed.repo and found.sha = claimed.sha
left join judged
    on found.model_ref = judged.derivative_id
    and found.base || '@' || found.base_sha = judged.base_id
left join placed
    on found.model_ref = placed.derivative_id
    and found.base || '@' || found.base_sha = placed.base_id
left join summary
    on found.model_ref = summary.derivative_id
    and found.base || '@' || found.base_sha = summary.base_id
