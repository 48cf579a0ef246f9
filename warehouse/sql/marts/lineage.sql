-- One row per derivative and base: whether the weights come from that base, and whether the skill comes from a teacher.
-- Two questions, never one: a model may have its weights from its base and its reasoning from somebody else.
-- derivative_id: the derivative
-- derivative: its label
-- family: base family of the base; the derivative's own when that is unknown
-- base_id: the model its weights are compared with
-- base: label of that base
-- weight_lineage: whether it was made from that base, by the rule of measure/lineage.py
-- weight_lineage_reasons: the comparisons that decided it, '; ' between them
-- weight_lineage_reason: why no weight could be read; null when they were
-- capability_lineage: the teacher, or several of a family, its reasoning comes from; null while that is not known
-- capability_lineage_reasons: the comparisons that decided it, '; ' between them; null if there were none
-- capability_lineage_reason: why it is not known; null when it is
-- n_layers: transformer blocks of the derivative
-- n_weights: matrices, embedding and head among them
-- n_compared: of these, those that the base has in the same shape
-- median_cosine: median over blocks of their median cosine
-- median_null_cosine: median over blocks of their median null
-- median_margin: median over blocks of their median margin above the null, aligned where needed
-- median_rel_displacement: median over blocks of the difference's norm over the base's
-- unchanged_frac: share of the compared entries of all blocks that are equal; median over blocks
-- measured_at: when the measurement was complete
with

per_pair as (
    select
        measurement_id,
        sum(n_weights)::bigint as n_weights,
        sum(n_compared)::bigint as n_compared,
        median(median_cosine) filter (layer is not null) as median_cosine,
        median(median_null_cosine) filter (layer is not null) as median_null_cosine,
        median(median_margin) filter (layer is not null) as median_margin,
        median(median_rel_displacement) filter (layer is not null) as median_rel_displacement,
        median(unchanged_frac) filter (layer is not null) as unchanged_frac
    from lineage_layer
    group by measurement_id
),

taught as (
    select
        distilled_id,
        student_id,
        attribution,
        attribution_reasons,
        string_agg(teacher, ', ' order by rank) filter (is_attributed) as teachers
    from teacher_attribution
    group by distilled_id, student_id, attribution, attribution_reasons
    -- Of several sets of problems the newest counts.
    qualify row_number() over (partition by distilled_id, student_id order by max(measured_at) desc) = 1
)

select
    pair.derivative_id,
    coalesce(derivative.label, pair.derivative_id) as derivative,
    coalesce(base.family, derivative.family) as family,
    pair.base_id,
    coalesce(base.label, pair.base_id) as base,
    pair.lineage_label as weight_lineage,
    pair.label_reasons as weight_lineage_reasons,
    pair.reason as weight_lineage_reason,
    taught.teachers as capability_lineage,
    taught.attribution_reasons as capability_lineage_reasons,
    case when taught.teachers is null then
        coalesce(taught.attribution || ': ' || taught.attribution_reasons, 'its sentences are not traced')
    end as capability_lineage_reason,
    pair.n_layers,
    pair.n_base_layers,
    pair.n_layers_related,
    coalesce(per_pair.n_weights, 0) as n_weights,
    coalesce(per_pair.n_compared, 0) as n_compared,
    per_pair.median_cosine,
    per_pair.median_null_cosine,
    per_pair.median_margin,
    per_pair.median_rel_displacement,
    per_pair.unchanged_frac,
    pair.measurement_id,
    pair.committed_at as measured_at
from stg_weight_lineage_pair as pair
left join per_pair using (measurement_id)
left join taught
    on pair.derivative_id = taught.distilled_id and pair.base_id = taught.student_id
left join model as derivative on pair.derivative_id = derivative.model_id
left join model as base on pair.base_id = base.model_id
