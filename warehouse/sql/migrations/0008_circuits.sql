-- Distilled circuits: ablations on a task, what they say of components, circuits, and two models side by side.
create table task_prompt (
    measurement_id varchar not null,
    prompt_id varchar not null,
    clean varchar not null,
    corrupted varchar not null,
    answer varchar not null,
    foil varchar not null,
    n_tokens integer not null,
    ld_clean double not null
);

create table ablation_effect (
    measurement_id varchar not null,
    prompt_id varchar not null,
    component varchar not null,
    layer integer not null,
    head integer,
    ld_ablated double not null
);

create table attribution_effect (
    measurement_id varchar not null,
    component varchar not null,
    layer integer not null,
    head integer,
    n_prompts integer not null,
    estimated_effect double not null,
    ci_low_estimated_effect double,
    ci_high_estimated_effect double
);

create table task_baseline (
    measurement_id varchar not null,
    n_prompts integer not null,
    mean_ld double,
    ci_low_mean_ld double,
    ci_high_mean_ld double,
    answer_share double,
    reason varchar
);

create table component (
    measurement_id varchar not null,
    component varchar not null,
    kind varchar not null,
    n_prompts integer not null,
    mean_ld_clean double not null,
    mean_ld_ablated double not null,
    effect double not null,
    ci_low_effect double,
    ci_high_effect double,
    influence_raw double not null,
    retained_pct double,
    delta_p_pct double,
    drop_pct double,
    ci_low_drop_pct double,
    ci_high_drop_pct double,
    influence_max double,
    influence_l1 double,
    influence_l2 double,
    reason varchar
);

create table brittleness (
    measurement_id varchar not null,
    n_components integer not null,
    n_prompts integer not null,
    mean_drop_pct double,
    ci_low_mean_drop_pct double,
    ci_high_mean_drop_pct double,
    prompt_ci_low_mean_drop_pct double,
    prompt_ci_high_mean_drop_pct double,
    floor_mean_drop_pct double,
    top5_drop_pct double,
    ci_low_top5_drop_pct double,
    ci_high_top5_drop_pct double,
    gini_drop double,
    ci_low_gini_drop double,
    ci_high_gini_drop double,
    tail_score double,
    ci_low_tail_score double,
    ci_high_tail_score double,
    share_over_10_pct double,
    ci_low_share_over_10_pct double,
    ci_high_share_over_10_pct double,
    share_over_20_pct double,
    ci_low_share_over_20_pct double,
    ci_high_share_over_20_pct double,
    reason varchar
);

create table brittleness_difference (
    measurement_id varchar not null,
    against varchar not null,
    is_paper_mode boolean not null,
    n_components_student integer not null,
    n_components_other integer not null,
    n_prompts integer,
    difference_pct double,
    ci_low_difference_pct double,
    ci_high_difference_pct double,
    prompt_ci_low_difference_pct double,
    prompt_ci_high_difference_pct double,
    compression double,
    beta double,
    ci_low_beta double,
    ci_high_beta double,
    per_tenth double,
    ci_low_per_tenth double,
    ci_high_per_tenth double,
    reason varchar
);

create table alignment (
    measurement_id varchar not null,
    mode varchar not null,
    normalisation varchar not null,
    matching varchar not null,
    n_prompts integer not null,
    n_components_teacher integer not null,
    n_components_student integer not null,
    n_pairs integer,
    alignment double,
    ci_low_alignment double,
    ci_high_alignment double,
    mean_similarity double,
    ci_low_mean_similarity double,
    ci_high_mean_similarity double,
    mean_abs_delta_influence double,
    ci_low_mean_abs_delta_influence double,
    ci_high_mean_abs_delta_influence double,
    null_alignment double,
    null_low double,
    null_high double,
    null_p double,
    gain double,
    ci_low_gain double,
    ci_high_gain double,
    chance_similarity_heads double,
    chance_similarity_mlps double,
    chance_similarity_mlps_reordered double,
    mlp_method varchar,
    mlp_reason varchar,
    reason varchar
);

create table component_match (
    measurement_id varchar not null,
    mode varchar not null,
    matching varchar not null,
    kind varchar not null,
    component_teacher varchar not null,
    component_student varchar not null,
    similarity double not null,
    similarity_reordered double,
    weight double not null,
    influence_teacher double,
    influence_student double,
    abs_delta_influence double,
    resample_share double
);

create table circuit_size (
    measurement_id varchar not null,
    budget double not null,
    n_heads integer not null,
    n_mlps integer not null,
    n_all_heads integer not null,
    n_all_mlps integer not null,
    n_prompts integer not null,
    n_sweeps integer not null,
    completeness_pct double not null,
    ci_low_completeness_pct double,
    ci_high_completeness_pct double,
    necessity_pct double not null,
    ci_low_necessity_pct double,
    ci_high_necessity_pct double
);

create table circuit_node (
    measurement_id varchar not null,
    budget double not null,
    component varchar not null,
    layer integer not null,
    head integer,
    delta_p_in_circuit double not null
);

create table patching_effect (
    measurement_id varchar not null,
    prompt_id varchar not null,
    layer integer not null,
    head integer,
    part varchar not null,
    role varchar not null,
    ld_clean double not null,
    ld_corrupted double not null,
    ld_patched double not null
);

create table residual_attribution (
    measurement_id varchar not null,
    prompt_id varchar not null,
    part varchar not null,
    layer integer,
    position integer not null,
    role varchar,
    attribution double not null
);

create table probe_accuracy (
    measurement_id varchar not null,
    site varchar not null,
    layer integer not null,
    head integer,
    read_at varchar not null,
    label varchar not null,
    metric varchar not null,
    seed integer not null,
    value double not null,
    control double not null,
    baseline double not null,
    n_classes integer not null,
    n_train integer not null,
    n_test integer not null
);

create table ov_score (
    measurement_id varchar not null,
    layer integer not null,
    head integer not null,
    n_prompts integer not null,
    n_successor integer not null,
    n_copy integer not null
);

create table noise_point (
    measurement_id varchar not null,
    scale varchar not null,
    sigma double not null,
    seed integer not null,
    n_prompts integer not null,
    mean_ld double not null,
    alignment double,
    mean_similarity double not null,
    mean_abs_delta_influence double,
    null_alignment double,
    reason varchar
);

create table ranked_student (
    measurement_id varchar not null,
    student varchar not null,
    n_prompts integer not null,
    accuracy double,
    ci_low_accuracy double,
    ci_high_accuracy double,
    accuracy_gap double,
    ci_low_accuracy_gap double,
    ci_high_accuracy_gap double,
    alignment double,
    ci_low_alignment double,
    ci_high_alignment double,
    rank integer,
    reason varchar
);

create table patched_cell (
    measurement_id varchar not null,
    layer integer not null,
    head integer,
    part varchar not null,
    role varchar not null,
    n_prompts integer not null,
    mean_effect double not null,
    ci_low_effect double,
    ci_high_effect double,
    recovery double,
    ci_low_recovery double,
    ci_high_recovery double,
    over_layer_mean double,
    z_in_layer double,
    reason varchar
);

create table noise_verdict (
    measurement_id varchar not null,
    scale varchar not null,
    n_sigmas integer not null,
    n_seeds integer not null,
    spearman double,
    alignment_at_0 double,
    alignment_at_largest double,
    responds boolean,
    n_sigmas_doing_task integer not null,
    spearman_doing_task double,
    reason varchar
);
