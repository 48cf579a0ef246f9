-- One row per base, model made of it, set of word pairs and set of problems that both answered alike: geometry gained on 20 axes, and accuracy gained.
-- Newest comparison of word pairs and newest rollouts. Intervals are 1.96 standard errors.
-- base: what the base is called
-- distilled: what the model made of it is called
-- words_sha256: hash of the word pairs
-- n_relations: relations that were measured in both models
-- d_area: mean over them of the area under the curve of losses, distilled minus base
-- ci_low_d_area: over relations; null of one
-- ci_high_d_area: above
-- problem_set: name of the problems
-- problem_set_sha256: their hash
-- sampling: how completions were drawn, as the rollouts' options and seeds
-- n_problems: problems that both have an answer to that could be checked
-- d_accuracy: share of right answers, distilled minus base, samples of a problem averaged first
-- ci_low_d_accuracy: over problems; null of one
-- ci_high_d_accuracy: above
with

geometry as (
    select
        asked.base_id,
        asked.base,
        asked.distilled_id,
        asked.distilled,
        asked.family,
        asked.text_sha256 as words_sha256,
        asked.measurement_id,
        count(*) as n_relations,
        avg(gain.d_area) as d_area,
        1.96 * stddev_samp(gain.d_area) / sqrt(count(*)) as half
    from stg_crosscode as asked
    inner join parallelogram_difference as gain using (measurement_id)
    where asked.is_newest and gain.n_axes = 20
    group by all
),

sampled as (
    select
        member.model_id,
        asked.measurement_id,
        asked.prompt_set,
        asked.prompt_set_sha256,
        concat_ws(' ', asked.options, asked.seeds, asked.dtype) as sampling
    from stg_measurement as asked
    inner join measurement_model as member using (measurement_id)
    where asked.method = 'rollout'
    qualify row_number() over (
        partition by member.model_id, asked.prompt_set_sha256, sampling
        order by asked.committed_at desc, asked.measurement_id asc
    ) = 1
),

answered as (
    select
        sampled.model_id,
        sampled.prompt_set,
        sampled.prompt_set_sha256,
        sampled.sampling,
        rollout.problem_id,
        avg(rollout.is_correct::integer) as accuracy
    from sampled
    inner join rollout using (measurement_id)
    where rollout.is_correct is not null
    group by all
),

gains as (
    select
        geometry.measurement_id,
        own.prompt_set as problem_set,
        own.prompt_set_sha256 as problem_set_sha256,
        own.sampling,
        count(*) as n_problems,
        avg(own.accuracy - base.accuracy) as d_accuracy,
        1.96 * stddev_samp(own.accuracy - base.accuracy) / sqrt(count(*)) as half
    from geometry
    inner join answered as own on geometry.distilled_id = own.model_id
    inner join answered as base
        on
            geometry.base_id = base.model_id
            and own.problem_id = base.problem_id
            and own.prompt_set_sha256 = base.prompt_set_sha256
            and own.sampling = base.sampling
    group by all
)

select
    geometry.base_id,
    geometry.base,
    geometry.distilled_id,
    geometry.distilled,
    geometry.family,
    geometry.words_sha256,
    geometry.n_relations,
    geometry.d_area,
    geometry.d_area - geometry.half as ci_low_d_area,
    geometry.d_area + geometry.half as ci_high_d_area,
    gains.problem_set,
    gains.problem_set_sha256,
    gains.sampling,
    gains.n_problems,
    gains.d_accuracy,
    gains.d_accuracy - gains.half as ci_low_d_accuracy,
    gains.d_accuracy + gains.half as ci_high_d_accuracy,
    geometry.measurement_id
from geometry
inner join gains using (measurement_id)
