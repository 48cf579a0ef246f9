-- One row per complete comparison, role and gap: the role's mean template less the base's, over the prompts valid in all.
-- other_id: the model in that role
-- k: the gap, from 1
-- n_prompts: prompts of the mean
-- protocol: hash of everything two measurements must share for their numbers to be compared
-- shift: the role's mean residual of that gap less the base's, logits
-- shift_from_derivative: the role's less the derivative's, logits; null without a derivative
-- crp_from_derivative: mean per-prompt distance of the role's templates from the derivative's, logits
-- committed_at: when the comparison was complete
with

compared as (
    select
        measurement.measurement_id,
        measurement.committed_at,
        json_extract_string(measurement.options, '$.mode') as mode,
        member.role,
        member.model_id,
        json_extract_string(measurement.options, concat('$.inputs.', member.role)) as input_id
    from stg_measurement as measurement
    inner join measurement_model as member using (measurement_id)
    where measurement.method = 'template_distance'
),

scored as (
    select
        compared.measurement_id,
        compared.committed_at,
        compared.mode,
        compared.role,
        compared.model_id,
        template.protocol,
        template.prompt_id,
        template.template,
        -- a prompt counts only where every model of the comparison has a template
        bool_and(template.reason is null) over prompt
        and count(*) over prompt = count(distinct compared.role) over comparison as is_valid
    from compared
    inner join stg_prompt_template as template on compared.input_id = template.measurement_id
    window
        prompt as (partition by compared.measurement_id, template.prompt_id),
        comparison as (partition by compared.measurement_id)
),

against as (
    select
        other.measurement_id,
        other.committed_at,
        other.mode,
        other.role,
        other.model_id as other_id,
        other.protocol,
        other.prompt_id,
        other.template as other_template,
        base.template as base_template,
        derivative.template as derivative_template,
        list_distance(other.template, derivative.template) as from_derivative
    from scored as other
    inner join scored as base
        on other.measurement_id = base.measurement_id
        and other.prompt_id = base.prompt_id
        and base.role = 'base'
    left join scored as derivative
        on other.measurement_id = derivative.measurement_id
        and other.prompt_id = derivative.prompt_id
        and derivative.role = 'derivative'
    where other.is_valid and other.role <> 'base'
)

select
    measurement_id,
    committed_at,
    mode,
    role,
    other_id,
    protocol,
    gap.k::integer as k,
    count(*) as n_prompts,
    avg(other_template[gap.k] - base_template[gap.k]) as shift,
    avg(other_template[gap.k] - derivative_template[gap.k]) as shift_from_derivative,
    avg(from_derivative) as crp_from_derivative
from against
cross join range(1, 21) as gap (k)
group by measurement_id, committed_at, mode, role, other_id, protocol, gap.k
