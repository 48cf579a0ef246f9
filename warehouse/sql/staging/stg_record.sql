-- One row per record of any measurement.
-- measurement_id: the measurement it belongs to
select measurement_id from structural_tau
union all
select measurement_id from prompt_template
union all
select measurement_id from template_distance
union all
select measurement_id from winner_gap_pair
union all
select measurement_id from winner_gap_prompt
union all
select measurement_id from model_stiffness
union all
select measurement_id from fisher_curvature
union all
select measurement_id from fisher_summary
union all
select measurement_id from weight_lineage
union all
select measurement_id from weight_lineage_pair
union all
select measurement_id from rollout
union all
select measurement_id from sentence_score
union all
select measurement_id from provenance_sentence
union all
select measurement_id from provenance_share
union all
select measurement_id from provenance_area
union all
select measurement_id from provenance_summary
union all
select measurement_id from attribution_candidate
union all
select measurement_id from attribution
union all
select measurement_id from task_prompt
union all
select measurement_id from ablation_effect
union all
select measurement_id from attribution_effect
union all
select measurement_id from task_baseline
union all
select measurement_id from component
union all
select measurement_id from brittleness
union all
select measurement_id from brittleness_difference
union all
select measurement_id from alignment
union all
select measurement_id from component_match
union all
select measurement_id from circuit_size
union all
select measurement_id from circuit_node
union all
select measurement_id from patching_effect
union all
select measurement_id from residual_attribution
union all
select measurement_id from probe_accuracy
union all
select measurement_id from ov_score
union all
select measurement_id from noise_point
union all
select measurement_id from ranked_student
union all
select measurement_id from patched_cell
union all
select measurement_id from noise_verdict
union all
select measurement_id from circuit_edge
union all
select measurement_id from attention_pattern
union all
select measurement_id from ov_token
union all
select measurement_id from mlp_similarity
union all
select measurement_id from mlp_projection
union all
select measurement_id from stability_region
union all
select measurement_id from stability_limit
union all
select measurement_id from step_burden
union all
select measurement_id from trajectory_stability
union all
select measurement_id from stability_profile
union all
select measurement_id from coupling_point
union all
select measurement_id from hypothesis
union all
select measurement_id from crosscoder_step
union all
select measurement_id from crosscoder_summary
union all
select measurement_id from latent
union all
select measurement_id from latent_context
union all
select measurement_id from latent_category
union all
select measurement_id from feature_ablation
union all
select measurement_id from feature_ablation_verdict
union all
select measurement_id from steering
union all
select measurement_id from steering_verdict
union all
select measurement_id from parallelogram
union all
select measurement_id from parallelogram_difference
