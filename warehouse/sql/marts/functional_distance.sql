-- One row per compared pair and mode: the distance of a model's templates from the base's, with its floors.
-- Of several measurements of a pair the newest of PPP fit ml, the default; other fits are in functional_fit.
-- The base's distance to a teacher shows for each derivative that declares both.
select * exclude (ppp_fit)
from functional_fit
where ppp_fit = 'ml'
