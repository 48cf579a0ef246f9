-- One row per distance and model in it whose templates are of another PPP fit than the distance: they cannot be compared.
with

fitted as (
    select
        measurement_id,
        method,
        options,
        coalesce(json_extract_string(options, '$.ppp_fit'), 'ml') as ppp_fit
    from measurement
),

compared as (
    select
        measurement_id,
        ppp_fit,
        unnest(json_extract_string(options, '$.inputs.*')) as input_id
    from fitted
    where method = 'template_distance'
)

select distinct
    compared.measurement_id,
    compared.ppp_fit,
    compared.input_id,
    template.ppp_fit as ppp_fit_of_template
from compared
inner join fitted as template on compared.input_id = template.measurement_id
where template.ppp_fit <> compared.ppp_fit
