-- One row per ablation, steering or parallelogram whose numbers cannot be, or contradict each other.
select measurement_id, concat_ws(' ', filter_order, top_percent, side, pair) as record
from feature_ablation
where
    abs(d_logit - (logit_ablated - logit_clean)) > 1e-4 * (1 + abs(logit_clean))
    or norm_removed < 0
    or (n_features = 0 and d_logit <> 0)
union all
select measurement_id, concat_ws(' ', filter_order, top_percent, category) as record
from feature_ablation_verdict
where
    ci_low_d_distilled > ci_high_d_distilled
    or (label = 'distilled-causal' and not coalesce(ci_high_d_distilled < 0, false))
union all
select measurement_id, concat_ws(' ', direction, amplitude, problem_id) as record
from steering
where
    n_think_tokens > n_tokens or n_triggers < 0
    or not coalesce(repetition between 0 and 1, true)
    or starts_with(direction, 'random') <> (latent is null)
union all
select measurement_id, concat_ws(' ', direction, amplitude) as record
from steering_verdict
where
    ci_low_length_ratio > ci_high_length_ratio
    or (label = 'degenerate' and not coalesce(repetition > 0.3, false))
    or not coalesce(accuracy between 0 and 1, true)
union all
select measurement_id, concat_ws(' ', side, relation, n_axes) as record
from parallelogram
where
    mean_loss < 0 or not coalesce(area between 0 and 1, true)
    or (median_loss is null) <> (reason is not null)
    or is_structured <> (area > null_high_area)
union all
select measurement_id, concat_ws(' ', relation, n_axes) as record
from parallelogram_difference
where
    ci_low_d_area > ci_high_d_area
    or (change = 'no difference') <> (ci_low_d_area <= 0 and ci_high_d_area >= 0)
