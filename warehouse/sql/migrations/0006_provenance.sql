-- Sentence provenance: rollouts, sentences under a model, labels and what they say; candidates for the teacher.
create table rollout (
    measurement_id varchar not null,
    problem_id varchar not null,
    sample integer not null,
    category varchar not null,
    problem varchar not null,
    gold varchar,
    text varchar not null,
    n_tokens integer,
    finish varchar not null,
    answer varchar,
    is_correct boolean,
    reason varchar
);

create table sentence_score (
    measurement_id varchar not null,
    problem_id varchar not null,
    sample integer not null,
    sentence integer not null,
    char_start integer not null,
    char_end integer not null,
    is_special boolean not null,
    n_tokens integer not null,
    sum_logprob double,
    span_tokens integer[] not null,
    span_logprobs double[],
    reason varchar
);

create table provenance_sentence (
    measurement_id varchar not null,
    rollouts_of varchar not null,
    problem_id varchar not null,
    sample integer not null,
    sentence integer not null,
    j integer,
    rel_pos double,
    char_start integer not null,
    char_end integer not null,
    is_special boolean not null,
    is_long boolean not null,
    is_repeat boolean not null,
    is_correct boolean,
    n_tokens_teacher integer not null,
    n_tokens_student integer not null,
    n_tokens_distilled integer not null,
    p_teacher double,
    p_student double,
    p_distilled double,
    label4 varchar,
    label3 varchar,
    boosted varchar,
    reason varchar
);

create table provenance_share (
    measurement_id varchar not null,
    rollouts_of varchar not null,
    label varchar not null,
    n_sentences integer not null,
    n_all integer not null,
    n_questions integer not null,
    share double,
    ci_low_share double,
    ci_high_share double
);

create table provenance_area (
    measurement_id varchar not null,
    label varchar not null,
    kind varchar not null,
    n_positions integer not null,
    n_questions integer not null,
    area double,
    ci_low_area double,
    ci_high_area double,
    reason varchar
);

create table provenance_summary (
    measurement_id varchar not null,
    alpha double not null,
    beta double not null,
    beta_source varchar not null,
    length_rule varchar not null,
    n_rollouts integer not null,
    n_correct integer not null,
    n_incorrect integer not null,
    n_unchecked integer not null,
    n_empty integer not null,
    n_sentences integer not null,
    n_special integer not null,
    n_repeats integer not null,
    n_unscored integer not null,
    teacher_minus_null double,
    ci_low_teacher_minus_null double,
    ci_high_teacher_minus_null double,
    teacher_minus_control double,
    ci_low_teacher_minus_control double,
    ci_high_teacher_minus_control double,
    least_kappa double,
    is_stable boolean,
    own_token_kappa double,
    n_masked integer not null,
    transfer varchar not null,
    transfer_reasons varchar not null,
    correctness varchar not null,
    correctness_reasons varchar not null
);

create table attribution_candidate (
    measurement_id varchar not null,
    role varchar not null,
    rank integer,
    n_questions integer not null,
    n_rollouts_distilled integer not null,
    n_rollouts_own integer not null,
    n_unscored integer not null,
    share double,
    ci_low_share double,
    ci_high_share double,
    null_share double not null,
    behind_first double,
    ci_low_behind_first double,
    ci_high_behind_first double,
    share_with_first double,
    is_sibling boolean,
    is_attributed boolean not null,
    gain_distilled double,
    ci_low_gain_distilled double,
    ci_high_gain_distilled double,
    learned double,
    ci_low_learned double,
    ci_high_learned double,
    alignment double,
    ci_low_alignment double,
    ci_high_alignment double,
    reason varchar
);

create table attribution (
    measurement_id varchar not null,
    attribution varchar not null,
    role varchar,
    attribution_reasons varchar not null,
    n_candidates integer not null,
    n_questions integer not null,
    own_gain double,
    ci_low_own_gain double,
    ci_high_own_gain double
);
