-- One row per teacher, student, distilled model and set of problems: what its sentences say, by the newest measurement.
select * exclude (is_newest) from stg_provenance where is_newest
