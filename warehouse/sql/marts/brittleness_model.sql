-- One row per model and task: whether it does the task, and what losing a component costs it.
-- model: its label
-- role: of an embedded or declared model, 'base', 'teacher', ...; null where it is not known
-- task: name of the prompts
-- reason: why drops are null: the model cannot do the task; null when it can
-- measured_at: when its measurement was complete
select
    task.model_id,
    coalesce(model.label, task.model_id) as model,
    model.family,
    organism.role,
    model.n_params,
    task.task,
    task.prompt_set_sha256,
    baseline.n_prompts,
    baseline.mean_ld,
    baseline.ci_low_mean_ld,
    baseline.ci_high_mean_ld,
    baseline.answer_share,
    brittleness.n_components,
    brittleness.mean_drop_pct,
    brittleness.ci_low_mean_drop_pct,
    brittleness.ci_high_mean_drop_pct,
    brittleness.prompt_ci_low_mean_drop_pct,
    brittleness.prompt_ci_high_mean_drop_pct,
    brittleness.floor_mean_drop_pct,
    brittleness.top5_drop_pct,
    brittleness.ci_low_top5_drop_pct,
    brittleness.ci_high_top5_drop_pct,
    brittleness.gini_drop,
    brittleness.ci_low_gini_drop,
    brittleness.ci_high_gini_drop,
    brittleness.tail_score,
    brittleness.share_over_10_pct,
    brittleness.share_over_20_pct,
    brittleness.reason,
    task.measurement_id,
    task.committed_at as measured_at
from stg_task_measurement as task
inner join task_baseline as baseline using (measurement_id)
inner join brittleness using (measurement_id)
left join model on task.model_id = model.model_id
left join organism on task.model_id = organism.model_id
