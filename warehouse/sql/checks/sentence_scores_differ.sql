-- One row per scored sentence whose spans do not add up, whose log probability is above 0, or that does not begin where the one before ended.
with

ordered as (
    select
        *,
        lag(char_end, 1, 0) over (
            partition by measurement_id, problem_id, sample
            order by sentence
        ) as end_before
    from sentence_score
)

select measurement_id, problem_id, sample, sentence
from ordered
where
    char_start <> end_before
    or char_end <= char_start
    or n_tokens <> list_sum(span_tokens)
    or (sum_logprob is null) <> (reason is not null)
    or (sum_logprob is null) <> (span_logprobs is null)
    or sum_logprob > 0
    or abs(sum_logprob - list_sum(span_logprobs)) > 1e-5 * (1 + abs(sum_logprob))
    or len(span_logprobs) <> len(span_tokens)
