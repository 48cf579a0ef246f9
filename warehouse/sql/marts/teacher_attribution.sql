-- One row per distilled model, student, set of problems and candidate teacher: the ranking by the newest measurement.
-- What the distilled model and the candidate have in common beyond the student; see measure/attribution.py.
select * exclude (is_newest) from stg_attribution where is_newest
