-- One row per committed unit, complete measurement or not: the course of a measurement.
-- n_units_done: units of its measurement committed by then, itself among them
select
    measurement_id,
    unit,
    n_rows,
    duration_s,
    committed_at,
    row_number() over (
        partition by measurement_id
        order by committed_at asc, unit asc
    ) as n_units_done
from unit
