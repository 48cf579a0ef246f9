-- One row per category, crosscoder and other crosscoder over the same base, text, layer and settings: whether one pair has more latents of the category than the other.
-- Compares all latents that were annotated; 'any' is the four categories of reasoning together. Intervals are Newcombe's, 95 %.
-- base: what the base is called
-- distilled: what the model made of it is called
-- control: what the other model made of it is called
-- n: annotated latents of the pair
-- n_category: of them, latents of the category
-- share: n_category over n
-- n_control: annotated latents of the other pair
-- n_category_control: of them, latents of the category
-- share_control: n_category_control over n_control
-- difference: share minus share_control
-- ci_low_difference: 2.5 %
-- ci_high_difference: 97.5 %
-- answer: more, fewer or no difference, by that interval; not interpretable where a gate of either is closed
-- control_id: the other model's id
-- control_measurement_id: measurement of its crosscoder
with

labelled as (
    select measurement_id, category from latent where category is not null
    union all
    select measurement_id, 'any' as category from latent
    where category is not null and category <> 'other'
),

totals as (
    select measurement_id, count(category) as n from latent group by all
),

newest as (  -- of crosscoders that were asked for in the same words
    select * from stg_crosscode
    where method = 'crosscoder'
    qualify row_number() over (
        partition by base_id, distilled_id, text_sha256, options
        order by measured_at desc, measurement_id asc
    ) = 1
),

names as (
    select
        unnest(
            ['any', 'self-reflection', 'deductive', 'alternative', 'contrastive', 'other']
        ) as category
),

counted as (
    select
        pair.*,
        crosscoder_summary.is_interpretable,
        names.category,
        totals.n,
        count(labelled.category) as n_category
    from newest as pair
    inner join crosscoder_summary using (measurement_id)
    inner join totals using (measurement_id)
    cross join names
    left join labelled
        on pair.measurement_id = labelled.measurement_id and names.category = labelled.category
    where totals.n > 0
    group by all
),

shares as (
    select *, n_category / n as share from counted
),

bounds as (
    select
        *,
        (share + 1.9208 / n) / (1 + 3.8416 / n) as centre,
        1.96 * sqrt(share * (1 - share) / n + 0.9604 / n / n) / (1 + 3.8416 / n) as half
    from shares
),

compared as (
    select
        own.base_id,
        own.base,
        own.distilled_id,
        own.distilled,
        other.distilled_id as control_id,
        other.distilled as control,
        own.category,
        own.n,
        own.n_category,
        own.share,
        other.n as n_control,
        other.n_category as n_category_control,
        other.share as share_control,
        own.share - other.share as difference,
        own.share - other.share - sqrt(
            (own.share - (own.centre - own.half)) ** 2
            + ((other.centre + other.half) - other.share) ** 2
        ) as ci_low_difference,
        own.share - other.share + sqrt(
            ((own.centre + own.half) - own.share) ** 2
            + (other.share - (other.centre - other.half)) ** 2
        ) as ci_high_difference,
        own.is_interpretable and other.is_interpretable as is_interpretable,
        own.measurement_id,
        other.measurement_id as control_measurement_id
    from bounds as own
    inner join bounds as other
        on
            own.base_id = other.base_id
            and own.distilled_id <> other.distilled_id
            and own.text_sha256 = other.text_sha256
            and own.options = other.options
            and own.category = other.category
)

select
    *,
    case
        when not is_interpretable then 'not interpretable'
        when ci_low_difference > 0 then 'more'
        when ci_high_difference < 0 then 'fewer'
        else 'no difference'
    end as answer
from compared
