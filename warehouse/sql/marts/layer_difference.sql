-- One row per two derivatives of one base and block: how far each moved that block's matrices, and which block differs first.
-- a_id: the one derivative
-- a: its label
-- b_id: the other
-- b: its label
-- base_id: the base both are compared with
-- base: label of that base
-- layer: the block, from 0
-- displacement_a: median norm of the difference from the base's matrix over the base's, of the one
-- displacement_b: of the other
-- difference: of the one less the other
-- is_apart: whether they differ by more than a tenth of the larger
-- is_first: whether it is the lowest block that does
-- measured_at: when the newer of the two was measured
with

blocks as (
    select
        one.derivative_id as a_id,
        one.derivative as a,
        other.derivative_id as b_id,
        other.derivative as b,
        one.base_id,
        one.base,
        one.layer,
        one.median_rel_displacement as displacement_a,
        other.median_rel_displacement as displacement_b,
        one.median_rel_displacement - other.median_rel_displacement as difference,
        abs(one.median_rel_displacement - other.median_rel_displacement)
        > 0.1 * greatest(one.median_rel_displacement, other.median_rel_displacement) as is_apart,
        greatest(one.measured_at, other.measured_at) as measured_at
    from lineage_layer as one
    inner join lineage_layer as other
        on
            one.base_id = other.base_id
            and one.layer = other.layer
            and one.derivative_id <> other.derivative_id
)

select
    a_id,
    a,
    b_id,
    b,
    base_id,
    base,
    layer,
    displacement_a,
    displacement_b,
    difference,
    is_apart,
    coalesce(
        is_apart and layer = min(layer) filter (is_apart) over (partition by a_id, b_id, base_id),
        false
    ) as is_first,
    measured_at
from blocks
