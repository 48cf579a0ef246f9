-- Constraint-coupled reasoning: steps and trajectories of a model, and what they say of a teacher.
create table stability_region (
    measurement_id varchar not null,
    n_trajectories integer not null,
    n_states integer not null,
    layer integer not null,
    n_axes integer,
    radius double,
    center double[],
    axes double[],
    variances double[],
    reason varchar
);

create table stability_limit (
    measurement_id varchar not null,
    decile integer not null,
    n_steps integer not null,
    reach integer not null,
    b_limit double not null,
    load_mean double not null,
    load_sd double not null
);

create table step_burden (
    measurement_id varchar not null,
    problem_id varchar not null,
    sample integer not null,
    t integer not null,
    n_states integer not null,
    decile integer not null,
    char_start integer not null,
    char_end integer not null,
    b double,
    b_rel double,
    d_entropy_nats double,
    attn_conc double,
    b_limit double not null,
    is_violation boolean,
    path_load double,
    distance double,
    radius double,
    is_outside boolean,
    reason varchar
);

create table trajectory_stability (
    measurement_id varchar not null,
    problem_id varchar not null,
    sample integer not null,
    story varchar not null,
    horizon varchar not null,
    condition varchar not null,
    is_correct boolean,
    answer varchar,
    n_states integer not null,
    mean_b double,
    path_load double,
    n_violations integer,
    n_outside integer,
    n_both integer,
    v_rate double,
    f_rate double,
    reason varchar
);

create table stability_profile (
    measurement_id varchar not null,
    role varchar not null,
    kind varchar not null,
    component varchar not null,
    value double,
    ci_low_value double,
    ci_high_value double,
    null_value double,
    n_problems integer not null,
    n_values integer not null,
    reason varchar
);

create table coupling_point (
    measurement_id varchar not null,
    role varchar not null,
    teacher_role varchar not null,
    is_output_only boolean not null,
    n_problems integer not null,
    components varchar not null,
    delta_k double,
    ci_low_delta_k double,
    ci_high_delta_k double,
    delta_k_plus double,
    ci_low_delta_k_plus double,
    ci_high_delta_k_plus double,
    delta_r double,
    ci_low_delta_r double,
    ci_high_delta_r double,
    noise_r double,
    load_ratio double,
    ci_low_load_ratio double,
    ci_high_load_ratio double,
    envelope_r double,
    asymmetry varchar not null,
    asymmetry_reasons varchar not null,
    has_capability_gap boolean,
    has_stability_gap boolean,
    has_hidden_burden boolean,
    proposition varchar not null,
    reason varchar
);

create table hypothesis (
    measurement_id varchar not null,
    hypothesis varchar not null,
    outcome varchar not null,
    estimate double,
    ci_low_estimate double,
    ci_high_estimate double,
    n_problems integer not null,
    n_students integer not null,
    n_plain_students integer not null,
    reasons varchar not null
);
