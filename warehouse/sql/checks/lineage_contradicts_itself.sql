-- One row per model whose known lineage cannot be: made or taught by itself, taught yet not distilled, or of the zoo and half known.
select model_id, declared_by, is_distilled, base_id, teacher_id
from organism
where
    base_id = model_id
    or teacher_id = model_id
    or (teacher_id is not null and is_distilled is distinct from true)
    or (declared_by = 'zoo' and (is_distilled is null or seed is null))
