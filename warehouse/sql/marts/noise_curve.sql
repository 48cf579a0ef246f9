-- One row per teacher, student, task, scale and sigma: alignment with noise in the student.
-- teacher: its label
-- student: its label
-- task: name of the prompts
-- n_seeds: draws of the noise
-- mean_alignment: A, 0 to 1; null where it is unknown at a seed
-- least_alignment: of the seeds, the least
-- most_alignment: of the seeds, the most
-- mean_null: of A with influences shuffled within a type
-- share_doing_task: seeds at which the student still does the task, 0 to 1
-- responds: whether alignment responds to noise on this scale, by all sigmas
-- verdict_reason: why that is unknown; null when it is known
select
    asked.teacher_id,
    asked.teacher,
    asked.student_id,
    asked.student,
    asked.task,
    asked.prompt_set_sha256,
    point.scale,
    point.sigma,
    count(*)::integer as n_seeds,
    max(point.n_prompts) as n_prompts,
    case when count(point.alignment) = count(*) then avg(point.alignment) end as mean_alignment,
    min(point.alignment) as least_alignment,
    max(point.alignment) as most_alignment,
    avg(point.mean_similarity) as mean_similarity,
    case
        when count(point.null_alignment) = count(*) then avg(point.null_alignment)
    end as mean_null,
    avg(point.mean_ld) as mean_ld,
    avg((point.reason is null)::integer) as share_doing_task,
    any_value(verdict.spearman) as spearman,
    any_value(verdict.responds) as responds,
    any_value(verdict.reason) as verdict_reason,
    asked.measurement_id
from stg_task_pair as asked
inner join noise_point as point using (measurement_id)
left join stg_task_pair as response
    on
        response.method = 'noise_response'
        and asked.teacher_id = response.teacher_id
        and asked.student_id = response.student_id
        and asked.prompt_set_sha256 = response.prompt_set_sha256
left join noise_verdict as verdict
    on response.measurement_id = verdict.measurement_id and point.scale = verdict.scale
group by all
