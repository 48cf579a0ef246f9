-- One row per pair of the mart `provenance`, way of counting, position, outcome and label: the label's share there.
-- Of the distilled model's rollouts. Positions with fewer than 50 sentences of either outcome are left out.
-- counted_by: 'sentence' counts sentences from the first, 'share' cuts every rollout into 20 equal parts
-- place: number of the sentence, or of the part, from 0
-- is_correct: outcome of the rollouts
-- n_label: sentences with the label
-- n_all: sentences with any label
-- share: n_label / n_all, 0 to 1
-- ci_low_share: 95 % interval of Wilson, which takes sentences for independent
-- ci_high_share: its upper end
with

placed as (
    select
        measurement_id,
        is_correct,
        label4,
        unnest(['sentence', 'share']) as counted_by,
        unnest([j, least(floor(rel_pos * 20)::integer, 19)]) as place
    from provenance_sentence
    where rollouts_of = 'distilled' and label4 is not null and is_correct is not null
),

counted as (
    select
        measurement_id,
        counted_by,
        place,
        is_correct,
        count(*) as n_all
    from placed
    group by measurement_id, counted_by, place, is_correct
    qualify
        min(n_all) over (partition by measurement_id, counted_by, place) >= 50
        and count(*) over (partition by measurement_id, counted_by, place) = 2
),

labelled as (
    select
        counted.*,
        labels.label,
        (
            select count(*)
            from placed
            where
                placed.measurement_id = counted.measurement_id
                and placed.counted_by = counted.counted_by
                and placed.place = counted.place
                and placed.is_correct = counted.is_correct
                and placed.label4 = labels.label
        ) as n_label
    from counted
    cross join (select unnest(['Shared', 'Teacher', 'Student', 'Boosted']) as label) as labels
),

-- Wilson's interval with z = 1.959964.
spread as (
    select
        *,
        n_label / n_all as share,
        1 + 3.841459 / n_all as scale,
        1.959964
        * sqrt((n_label / n_all) * (1 - n_label / n_all) / n_all + 3.841459 / (4 * n_all * n_all))
            as half
    from labelled
)

select
    pair.family,
    pair.distilled_id,
    pair.distilled,
    pair.student_id,
    pair.student,
    pair.teacher_id,
    pair.teacher,
    pair.prompt_set,
    spread.counted_by,
    spread.place,
    spread.is_correct,
    spread.label,
    spread.n_label,
    spread.n_all,
    spread.share,
    greatest(0, (spread.share + 1.920729 / spread.n_all - spread.half) / spread.scale)
        as ci_low_share,
    least(1, (spread.share + 1.920729 / spread.n_all + spread.half) / spread.scale)
        as ci_high_share,
    pair.measurement_id,
    pair.measured_at
from spread
inner join provenance as pair using (measurement_id)
