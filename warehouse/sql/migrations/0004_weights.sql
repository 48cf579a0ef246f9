-- What weights tell without a pass: stiffness and lineage; and the Fisher curvature of tau.
create table model_stiffness (
    measurement_id varchar not null,
    gamma_mean double,
    gamma_rms double,
    sigma_w double,
    sigma_w_row_mean double,
    sigma_o double,
    stiffness double,
    stiffness_rms double,
    stiffness_row_mean double,
    stiffness_o double,
    tied boolean,
    n_rows integer,
    reason varchar
);

create table fisher_curvature (
    measurement_id varchar not null,
    seed integer not null,
    prompt_id varchar not null,
    category varchar not null,
    n_tokens integer not null,
    state_norm double,
    kappa double,
    reason varchar
);

create table fisher_summary (
    measurement_id varchar not null,
    n_prompts integer not null,
    kappa_f double,
    ci_low_kappa_f double,
    ci_high_kappa_f double,
    kappa_norm2_mean double,
    halves_ratio double,
    is_repeatable boolean,
    rho_f double,
    fisher_status varchar,
    reason varchar
);

create table weight_lineage (
    measurement_id varchar not null,
    layer integer,
    base_layer integer,
    slot varchar not null,
    kind varchar not null,
    is_matrix boolean not null,
    n_entries bigint not null,
    n_units_used integer,
    cosine double,
    null_cosine double,
    aligned_cosine double,
    null_cosine_aligned double,
    rel_displacement double,
    unchanged_frac double,
    effective_rank double,
    numerical_rank integer,
    sv_cosine double,
    reason varchar
);

create table weight_lineage_pair (
    measurement_id varchar not null,
    lineage_label varchar not null,
    label_reasons varchar not null,
    n_layers integer,
    n_base_layers integer,
    n_layers_related integer,
    reason varchar
);
