-- Lineage that a user declares, beside what is known of the zoo's models: not all of it is known.
-- A column that is never null cannot be added to a table that is there: the rows move to a new one.
alter table organism rename to organism_of_zoo;

create table organism (
    model_id varchar not null,
    name varchar not null,
    method varchar not null,
    role varchar not null,
    is_distilled boolean,
    base_id varchar,
    teacher_id varchar,
    seed integer,
    is_shipped boolean not null,
    registered_at timestamp with time zone not null,
    declared_by varchar not null
);

insert into organism select *, 'zoo' as declared_by from organism_of_zoo;

drop table organism_of_zoo;
