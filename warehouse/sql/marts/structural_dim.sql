-- One row per compared pair, seed and dimension: how far two structural vectors lie apart there.
-- Both models were measured by the same protocol; of several, the pair's newest protocol of each kind of tau, and of that each model's newest run.
-- tau_kind: what tau is: resultant (the default; all other marts show it alone), gap or cv_cos
-- tau_from: tau of the model the distance starts at; a resultant length lies in 0 to 1
-- tau_other: tau of the other model
-- tau_rerun_from: the same weights again in another batch size and order
-- tau_rerun_other: the same weights again in another batch size and order
-- d: tau_from - tau_other
-- d2: its square
-- committed_at: when the later of the two measurements was complete
with

measured as (
    select
        member.model_id,
        measurement.protocol,
        json_extract_string(measurement.options, '$.tau') as tau_kind,
        unnest(measurement.seeds) as seed,
        measurement.measurement_id,
        measurement.committed_at
    from stg_measurement as measurement
    inner join measurement_model as member
        on measurement.measurement_id = member.measurement_id and member.role = 'model'
    where measurement.method = 'structural'
),

newest as (
    select model_id, protocol, tau_kind, seed, measurement_id, committed_at
    from measured
    qualify row_number() over (
        partition by model_id, protocol, seed
        order by committed_at desc, measurement_id asc
    ) = 1
),

candidate as (
    select
        pair.*,
        start.protocol,
        start.tau_kind,
        start.seed,
        start.measurement_id as from_measurement_id,
        finish.measurement_id as other_measurement_id,
        greatest(start.committed_at, finish.committed_at) as committed_at
    from stg_pair as pair
    inner join newest as start on pair.from_id = start.model_id
    inner join newest as finish
        on pair.other_id = finish.model_id
        and start.protocol = finish.protocol
        and start.seed = finish.seed
),

chosen as (
    select *
    from candidate
    qualify protocol = first_value(protocol) over (
        partition by derivative_id, role, from_id, other_id, tau_kind
        order by committed_at desc, protocol asc
    )
)

select
    chosen.derivative_id,
    chosen.derivative,
    chosen.source,
    chosen.family,
    chosen.role,
    chosen.from_id,
    chosen.from_model,
    chosen.other_id,
    chosen.other,
    chosen.tau_kind,
    chosen.protocol,
    chosen.seed,
    start.dim,
    start.prompt_id,
    start.category,
    start.site,
    start.tau as tau_from,
    finish.tau as tau_other,
    start.tau_rerun as tau_rerun_from,
    finish.tau_rerun as tau_rerun_other,
    start.tau - finish.tau as d,
    (start.tau - finish.tau) ** 2 as d2,
    chosen.committed_at
from chosen
inner join structural_tau as start
    on chosen.from_measurement_id = start.measurement_id and chosen.seed = start.seed
inner join structural_tau as finish
    on chosen.other_measurement_id = finish.measurement_id
    and chosen.seed = finish.seed
    and start.dim = finish.dim
