-- One row per record that lacks its number and does not say why.
select measurement_id, 'structural_tau' as table_name, concat(seed, ' ', dim) as record
from structural_tau
where tau is null and reason is null
union all
select measurement_id, 'prompt_template' as table_name, prompt_id as record
from prompt_template
where template is null and reason is null
union all
select measurement_id, 'template_distance' as table_name, role as record
from template_distance
where (centroid_distance is null or crp_distance is null) and reason is null
union all
select measurement_id, 'winner_gap_pair' as table_name, 'difference' as record
from winner_gap_pair
where (g1_share is null or mean_signed_g1 is null) and reason is null
union all
select measurement_id, 'winner_gap_pair' as table_name, 'cv_effect' as record
from winner_gap_pair
where cv_effect is null and cv_reason is null
union all
select measurement_id, 'winner_gap_prompt' as table_name, prompt_id as record
from winner_gap_prompt
where (dominant_k is null or g1_share is null or is_signif is null) and reason is null
union all
select measurement_id, 'model_stiffness' as table_name, 'stiffness' as record
from model_stiffness
where
    (stiffness is null or stiffness_o is null or tied is null or n_rows is null)
    and reason is null
union all
select measurement_id, 'fisher_curvature' as table_name, concat(seed, ' ', prompt_id) as record
from fisher_curvature
where (kappa is null or state_norm is null) and reason is null
union all
select measurement_id, 'fisher_summary' as table_name, 'kappa_f' as record
from fisher_summary
where (kappa_f is null or ci_low_kappa_f is null or fisher_status is null) and reason is null
union all
select measurement_id, 'weight_lineage' as table_name, concat_ws(' ', layer, slot) as record
from weight_lineage
where (cosine is null or null_cosine is null or rel_displacement is null) and reason is null
union all
select measurement_id, 'weight_lineage_pair' as table_name, 'n_layers' as record
from weight_lineage_pair
where (n_layers is null or n_base_layers is null or n_layers_related is null) and reason is null
