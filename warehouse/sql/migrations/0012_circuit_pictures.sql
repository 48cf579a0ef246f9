-- Pictures of circuits: their edges, where heads look and what they say, MLPs side by side.
create table circuit_edge (
    measurement_id varchar not null,
    budget double not null,
    source varchar not null,
    destination varchar not null,
    reader varchar not null,
    n_prompts integer not null,
    delta_p_edge double not null,
    ci_low_delta_p_edge double not null,
    ci_high_delta_p_edge double not null,
    is_kept boolean not null
);

create table attention_pattern (
    measurement_id varchar not null,
    prompt_id varchar not null,
    layer integer not null,
    head integer not null,
    position integer not null,
    token varchar not null,
    role varchar,
    weights double[] not null
);

create table ov_token (
    measurement_id varchar not null,
    layer integer not null,
    head integer not null,
    rank integer not null,
    token varchar not null,
    n_prompts integer not null,
    n_first integer not null
);

create table mlp_similarity (
    measurement_id varchar not null,
    layer_teacher integer not null,
    layer_student integer not null,
    n_prompts integer not null,
    similarity double not null,
    method varchar not null,
    chance double
);

create table mlp_projection (
    measurement_id varchar not null,
    layer_teacher integer not null,
    layer_student integer not null,
    whose varchar not null,
    prompt_id varchar not null,
    tokens varchar[] not null,
    first double[] not null,
    second double[] not null,
    share_first double not null,
    share_second double not null
);
