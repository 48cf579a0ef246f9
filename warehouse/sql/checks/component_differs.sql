-- One row per measurement of components and component whose mean is not that of its ablations.
with

sources as (
    select
        measurement.measurement_id,
        json_extract_string(measurement.options, '$.inputs.model') as ablation_id
    from measurement
    where measurement.method = 'component'
),

means as (
    select
        measurement_id,
        component,
        avg(ld_ablated) as mean_ld
    from ablation_effect
    group by measurement_id, component
)

select
    component.measurement_id,
    component.component,
    component.mean_ld_ablated,
    means.mean_ld
from component
inner join sources using (measurement_id)
left join means
    on sources.ablation_id = means.measurement_id and component.component = means.component
where means.mean_ld is null or abs(means.mean_ld - component.mean_ld_ablated) > 1e-9
