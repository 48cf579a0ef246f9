-- One row per labelled sentence with a probability outside 0 to 1, or without a label and without a reason.
select measurement_id, rollouts_of, problem_id, sample, sentence
from provenance_sentence
where
    (label4 is null) <> (reason is not null)
    or (label4 is null) <> (label3 is null)
    or (boosted is not null) <> coalesce(label4 = 'Boosted', false)
    or (
        label4 is not null
        and not coalesce(
            p_teacher between 0 and 1
            and p_student between 0 and 1
            and p_distilled between 0 and 1
            and n_tokens_teacher > 0
            and n_tokens_student > 0
            and n_tokens_distilled > 0,
            false
        )
    )
