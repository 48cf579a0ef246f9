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
