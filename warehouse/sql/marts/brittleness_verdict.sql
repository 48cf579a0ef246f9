-- One row per teacher, student and task: whether the student is more brittle, and by which comparisons.
-- teacher: its label
-- student: its label
-- family: base family of the student
-- task: name of the prompts
-- student_prompts_sha256: of the student's prompts; other than the teacher's where the tokenizers differ
-- mean_drop_teacher: the teacher's mean drop, %; intervals here are over components
-- ci_low_mean_drop_teacher: 2.5 % of 10,000 resamples of the components
-- ci_high_mean_drop_teacher: 97.5 %
-- mean_drop_student: the student's mean drop, %
-- ci_low_mean_drop_student: 2.5 % of 10,000 resamples of the components
-- ci_high_mean_drop_student: 97.5 %
-- control_difference_pct: the student's mean drop less that of a model of its size, points; null without one
-- ci_low_control_difference_pct: 2.5 % of 10,000 resamples of the components
-- ci_high_control_difference_pct: 97.5 %
-- is_apart: the student's interval lies above the teacher's
-- is_above_zero: the interval of the difference lies above 0
-- is_beyond_control: that of the difference from the control lies above 0; null without one
-- verdict: as measure.circuit_verdicts.more_brittle gives it
-- measured_at: when its measurement was complete
with

asked as (
    select
        pair.measurement_id,
        ablation.prompt_set_sha256 as student_prompts_sha256
    from measurement as pair
    inner join measurement as ablation
        on json_extract_string(pair.options, '$.inputs.student') = ablation.measurement_id
    where pair.method = 'alignment'
),

compared as (
    select
        pair.teacher_id,
        pair.teacher,
        pair.student_id,
        pair.student,
        pair.family,
        pair.task,
        pair.prompt_set_sha256,
        asked.student_prompts_sha256,
        theirs.mean_drop_pct as mean_drop_teacher,
        theirs.ci_low_mean_drop_pct as ci_low_mean_drop_teacher,
        theirs.ci_high_mean_drop_pct as ci_high_mean_drop_teacher,
        ours.mean_drop_pct as mean_drop_student,
        ours.ci_low_mean_drop_pct as ci_low_mean_drop_student,
        ours.ci_high_mean_drop_pct as ci_high_mean_drop_student,
        pair.difference_pct,
        pair.ci_low_difference_pct,
        pair.ci_high_difference_pct,
        control.difference_pct as control_difference_pct,
        control.ci_low_difference_pct as ci_low_control_difference_pct,
        control.ci_high_difference_pct as ci_high_control_difference_pct,
        ours.ci_low_mean_drop_pct > theirs.ci_high_mean_drop_pct as is_apart,
        pair.ci_low_difference_pct > 0 as is_above_zero,
        control.ci_low_difference_pct > 0 as is_beyond_control,
        pair.measurement_id,
        pair.measured_at
    from brittleness_pair as pair
    left join asked using (measurement_id)
    left join brittleness_pair as control
        on
            pair.measurement_id = control.measurement_id
            and control.against = 'size-matched control'
            and not control.is_paper_mode
    left join brittleness_model as theirs
        on
            pair.teacher_id = theirs.model_id
            and pair.prompt_set_sha256 = theirs.prompt_set_sha256
    left join brittleness_model as ours
        on
            pair.student_id = ours.model_id
            and asked.student_prompts_sha256 = ours.prompt_set_sha256
    where pair.against = 'teacher' and not pair.is_paper_mode
)

select
    compared.* exclude (measurement_id, measured_at),
    case
        when not is_apart or not is_above_zero then 'not more brittle'
        when is_apart is null or is_above_zero is null then 'unknown'
        when not is_beyond_control then 'more brittle, by its size'
        else 'more brittle'
    end as verdict,
    measurement_id,
    measured_at
from compared
