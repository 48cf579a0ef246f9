-- What is known of the zoo's models: how each was made.
create table organism (
    model_id varchar not null,
    name varchar not null,
    method varchar not null,
    role varchar not null,
    is_distilled boolean not null,
    base_id varchar,
    teacher_id varchar,
    seed integer not null,
    is_shipped boolean not null,
    registered_at timestamp with time zone not null
);
