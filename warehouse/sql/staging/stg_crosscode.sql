-- One row per complete measurement of a base and what was made of it: a crosscoder, its latents in use, or word pairs.
-- method: crosscoder, feature_ablation, steering or parallelogram
-- crosscoder_id: of latents in use, measurement of their crosscoder
-- base: what the base is called
-- distilled: what the model made of it is called
-- family: base family of the pair
-- n_params: parameters of the distilled model
-- sparsity: of a crosscoder, batchtopk or l1
-- k: latents kept on a token, of batchtopk
-- seed: of initial weights and shuffling
-- text: name of the text that was harvested
-- text_sha256: its hash
-- measured_at: when it was complete
-- is_newest: no later one over this pair; of latents in use, none of their crosscoder
with

asked as (
    select
        *,
        case
            when method in ('feature_ablation', 'steering')
                then json_extract_string(options, '$.inputs.crosscoder')
        end as crosscoder_id
    from stg_measurement
    where method in ('crosscoder', 'feature_ablation', 'steering', 'parallelogram')
)

select
    asked.measurement_id,
    asked.method,
    asked.crosscoder_id,
    base_of.model_id as base_id,
    coalesce(base.label, base_of.model_id) as base,
    distilled_of.model_id as distilled_id,
    coalesce(distilled.label, distilled_of.model_id) as distilled,
    distilled.family,
    distilled.n_params,
    json_extract_string(asked.options, '$.settings.sparsity') as sparsity,
    json_extract(asked.options, '$.settings.k')::integer as k,
    asked.seeds[1] as seed,
    asked.prompt_set as text,
    asked.prompt_set_sha256 as text_sha256,
    asked.options,
    asked.committed_at as measured_at,
    row_number() over (
        partition by asked.method, base_of.model_id, distilled_of.model_id, asked.crosscoder_id
        order by asked.committed_at desc, asked.measurement_id asc
    ) = 1 as is_newest
from asked
inner join measurement_model as base_of
    on asked.measurement_id = base_of.measurement_id and base_of.role = 'base'
inner join measurement_model as distilled_of
    on asked.measurement_id = distilled_of.measurement_id and distilled_of.role = 'distilled'
left join model as base on base_of.model_id = base.model_id
left join model as distilled on distilled_of.model_id = distilled.model_id
