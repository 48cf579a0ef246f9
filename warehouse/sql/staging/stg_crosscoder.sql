-- One row per complete crosscoder: its pair, its text, and what it was trained with.
-- base: what the base is called
-- distilled: what the model made of it is called
-- family: base family of the pair
-- n_params: parameters of the distilled model
-- sparsity: batchtopk or l1
-- k: latents kept on a token, of batchtopk
-- seed: of initial weights and shuffling
-- text: name of the text that was harvested
-- text_sha256: its hash
-- measured_at: when it was described
-- is_newest: no later one over this pair
select
    measurement.measurement_id,
    base_of.model_id as base_id,
    coalesce(base.label, base_of.model_id) as base,
    distilled_of.model_id as distilled_id,
    coalesce(distilled.label, distilled_of.model_id) as distilled,
    distilled.family,
    distilled.n_params,
    json_extract_string(measurement.options, '$.settings.sparsity') as sparsity,
    json_extract(measurement.options, '$.settings.k')::integer as k,
    measurement.seeds[1] as seed,
    measurement.prompt_set as text,
    measurement.prompt_set_sha256 as text_sha256,
    measurement.committed_at as measured_at,
    row_number() over (
        partition by base_of.model_id, distilled_of.model_id
        order by measurement.committed_at desc, measurement.measurement_id asc
    ) = 1 as is_newest
from stg_measurement as measurement
inner join measurement_model as base_of
    on measurement.measurement_id = base_of.measurement_id and base_of.role = 'base'
inner join measurement_model as distilled_of
    on measurement.measurement_id = distilled_of.measurement_id and distilled_of.role = 'distilled'
left join model as base on base_of.model_id = base.model_id
left join model as distilled on distilled_of.model_id = distilled.model_id
where measurement.method = 'crosscoder'
