-- One row per model, task, site, layer, head, label and metric: what a probe reads off, beside its control.
-- model: the model's label
-- task: name of the prompts
-- n_seeds: splits and trainings
-- mean_value: on held-out prompts, 0 to 1
-- least_value: of the seeds, the least
-- most_value: of the seeds, the most
-- mean_control: the same with permuted training labels
-- gain: mean_value less mean_control
-- ci_low_gain: 2.5 % by Student's t over the seeds
-- ci_high_gain: 97.5 %
select
    task.model_id,
    coalesce(model.label, task.model_id) as model,
    model.family,
    task.task,
    task.prompt_set_sha256,
    probe.site,
    probe.layer,
    probe.head,
    probe.read_at,
    probe.label,
    probe.metric,
    count(*)::integer as n_seeds,
    avg(probe.value) as mean_value,
    min(probe.value) as least_value,
    max(probe.value) as most_value,
    avg(probe.control) as mean_control,
    max(probe.baseline) as baseline,
    avg(probe.value - probe.control) as gain,
    -- 2.776: the 97.5 % quantile of Student's t for the 4 degrees of freedom of 5 seeds
    case
        when count(*) = 5
            then
                avg(probe.value - probe.control)
                - 2.776 * stddev_samp(probe.value - probe.control) / sqrt(5)
    end as ci_low_gain,
    case
        when count(*) = 5
            then
                avg(probe.value - probe.control)
                + 2.776 * stddev_samp(probe.value - probe.control) / sqrt(5)
    end as ci_high_gain,
    max(probe.n_classes) as n_classes,
    max(probe.n_train) as n_train,
    max(probe.n_test) as n_test,
    task.measurement_id
from stg_task_measurement as task
inner join probe_accuracy as probe using (measurement_id)
left join model on task.model_id = model.model_id
group by all
