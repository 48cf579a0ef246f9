-- One row per template that has not one value for each of the 20 gaps.
select measurement_id, prompt_id, len(template) as n_values
from prompt_template
where template is not null and len(template) <> 20
