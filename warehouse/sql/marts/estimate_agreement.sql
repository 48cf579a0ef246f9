-- One row per model and task with estimates: how far attribution patching orders components as ablation does.
-- model: the model's label
-- task: name of the prompts
-- n_components: components that both know
-- spearman: rank correlation of estimated and measured effects, -1 to 1; null where either is constant
-- shared_top10: of the ten largest effects, those among the ten largest estimates, 0 to 1
with

ranked as (
    select
        model_id,
        model,
        task,
        prompt_set_sha256,
        effect,
        estimated_effect,
        rank() over (partition by measurement_id order by effect)
        + (count(*) over (partition by measurement_id, effect) - 1) / 2 as rank_effect,
        rank() over (partition by measurement_id order by estimated_effect)
        + (count(*) over (partition by measurement_id, estimated_effect) - 1)
        / 2 as rank_estimate,
        row_number() over (partition by measurement_id order by effect desc) as place,
        row_number() over (
            partition by measurement_id order by estimated_effect desc
        ) as estimated_place
    from component_effect
    where estimated_effect is not null
)

select
    model_id,
    model,
    task,
    prompt_set_sha256,
    count(*)::integer as n_components,
    corr(rank_effect, rank_estimate) as spearman,
    count(*) filter (place <= 10 and estimated_place <= 10)
    / least(10, count(*)) as shared_top10
from ranked
group by model_id, model, task, prompt_set_sha256
