-- The first tables.
create table schema_version (
    version integer not null,
    applied_at timestamp with time zone not null
);

create table model (
    model_id varchar not null,
    label varchar not null,
    source varchar not null,
    family varchar,
    architecture varchar,
    model_type varchar,
    n_params bigint,
    n_layers integer,
    hidden_size integer,
    vocab_size integer,
    weight_dtype varchar,
    tokenizer_sha256 varchar,
    registered_at timestamp with time zone not null
);

create table comparison (
    derivative_id varchar not null,
    role varchar not null,
    model_id varchar not null,
    declared_by varchar not null,
    declared_at timestamp with time zone not null
);

create table measurement (
    measurement_id varchar not null,
    method varchar not null,
    method_version integer not null,
    prompt_set varchar not null,
    prompt_set_sha256 varchar not null,
    seeds integer[] not null,
    dtype varchar not null,
    backend varchar not null,
    device_kind varchar not null,
    replicate integer not null,
    options varchar not null,
    text_sha256 varchar,
    n_units integer not null,
    batch_size integer not null,
    code_version varchar not null,
    library_versions varchar not null,
    planned_at timestamp with time zone not null
);

create table measurement_model (
    measurement_id varchar not null,
    role varchar not null,
    model_id varchar not null
);

create table unit (
    measurement_id varchar not null,
    unit varchar not null,
    n_rows bigint not null,
    duration_s double not null,
    committed_at timestamp with time zone not null
);

create table attempt (
    attempt_id varchar not null,
    attempt_number integer not null,
    measurement_id varchar,
    method varchar,
    model_ref varchar not null,
    host varchar not null,
    pid integer not null,
    device varchar not null,
    batch_size integer,
    started_at timestamp with time zone not null
);

create table attempt_end (
    attempt_id varchar not null,
    outcome varchar not null,
    reason varchar,
    ended_at timestamp with time zone not null
);

create table structural_tau (
    measurement_id varchar not null,
    seed integer not null,
    dim integer not null,
    prompt_id varchar not null,
    category varchar not null,
    site varchar not null,
    n_tokens integer,
    tau double,
    tau_rerun double,
    reason varchar
);

create table prompt_template (
    measurement_id varchar not null,
    mode varchar not null,
    prompt_id varchar not null,
    category varchar not null,
    n_prompt_tokens integer,
    n_tokens integer,
    beta_mean double,
    template double[],
    delta_norm_mean double,
    n_delta_norm integer,
    zero_gap_frac double,
    split_half_distance double,
    text varchar,
    text_sha256 varchar,
    reason varchar
);

create table template_distance (
    measurement_id varchar not null,
    mode varchar not null,
    role varchar not null,
    n_prompts integer not null,
    n_prompts_dropped integer not null,
    centroid_distance double,
    ci_low_centroid_distance double,
    ci_high_centroid_distance double,
    crp_distance double,
    ci_low_crp_distance double,
    ci_high_crp_distance double,
    self_baseline double,
    sign_flip_floor double,
    sign_flip_p double,
    crp_floor double,
    zero_gap_frac double,
    reason varchar
);
