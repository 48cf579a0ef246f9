-- One row per template whose residuals do not balance as its PPP fit makes them, by more than rounding; log balances none.
with

weighed as (
    select
        measurement_id,
        prompt_id,
        json_extract_string(options, '$.ppp_fit') as ppp_fit,
        -- what measure/functional.py says to be 0: the sum of these
        [
            template[k] * case ppp_fit
                when 'ml' then k
                when 'tail2' then if(k = 1, 0, k)
                when 'sum' then 1
                when 'ols' then 1 / k
            end
            for k in range(1, 21)
        ] as terms
    from prompt_template
    inner join measurement using (measurement_id)
    where template is not null
)

select measurement_id, prompt_id, ppp_fit, list_sum(terms) as balance
from weighed
where abs(balance) > 1e-6 * list_sum([abs(term) for term in terms]) + 1e-9
