-- Verdicts: answers with their reasons, kept when they change.
create table verdict (
    derivative_id varchar not null,
    base_id varchar not null,
    layer varchar not null,
    question varchar not null,
    statement varchar,
    label varchar not null,
    reasons varchar[] not null,
    missing varchar[] not null,
    p double,
    p_least double,
    n_null integer,
    numbers varchar not null,
    thresholds varchar not null,
    code_version varchar not null,
    judged_at timestamp with time zone not null
);
