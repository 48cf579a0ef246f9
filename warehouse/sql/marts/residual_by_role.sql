-- One row per model, task, part, layer and token: what the part writes there towards the answer.
-- model: the model's label
-- task: name of the prompts
-- n_prompts: prompts of the mean
-- mean_attribution: logits towards the answer and away from the foil
-- ci_low_mean_attribution: mean less 1.96 standard errors over the prompts; null of one prompt
-- ci_high_mean_attribution: mean and 1.96 standard errors
select
    task.model_id,
    coalesce(model.label, task.model_id) as model,
    model.family,
    task.task,
    task.prompt_set_sha256,
    written.part,
    written.layer,
    written.position,
    written.role,
    count(*)::integer as n_prompts,
    avg(written.attribution) as mean_attribution,
    avg(written.attribution) - 1.96 * stddev_samp(written.attribution) / sqrt(count(*))
        as ci_low_mean_attribution,
    avg(written.attribution) + 1.96 * stddev_samp(written.attribution) / sqrt(count(*))
        as ci_high_mean_attribution,
    task.measurement_id
from stg_task_measurement as task
inner join residual_attribution as written using (measurement_id)
left join model on task.model_id = model.model_id
group by all
