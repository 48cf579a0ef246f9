-- Nightly scans: what was found on the hub, in which state it is, what is claimed of it.
create table hub_scan (
    night integer not null,
    watchlist_sha256 varchar not null,
    byte_budget bigint not null,
    host varchar not null,
    code_version varchar not null,
    started_at timestamp with time zone not null
);

create table hub_scan_end (
    night integer not null,
    outcome varchar not null,
    reason varchar,
    ended_at timestamp with time zone not null
);

create table hub_listing (
    night integer not null,
    base varchar not null,
    base_sha varchar not null,
    relation varchar not null,
    sorted_by varchar not null,
    n_listed integer not null,
    n_new integer not null,
    watermark_at timestamp with time zone
);

create table hub_model (
    repo varchar not null,
    sha varchar not null,
    night integer not null,
    family varchar not null,
    base varchar not null,
    base_sha varchar not null,
    relation varchar not null,
    model_ref varchar not null,
    created_at timestamp with time zone,
    modified_at timestamp with time zone,
    is_gated boolean not null,
    licence varchar,
    n_params bigint,
    download_bytes bigint not null,
    quantisation varchar,
    files_sha256 varchar,
    datasets varchar[] not null,
    card_note varchar,
    found_at timestamp with time zone not null
);

create table hub_state (
    repo varchar not null,
    sha varchar not null,
    change integer not null,
    night integer not null,
    state varchar not null,
    reason varchar,
    noted_at timestamp with time zone not null
);

create table teacher_claim (
    repo varchar not null,
    sha varchar not null,
    teacher varchar not null,
    read_in varchar not null,
    quote varchar not null
);

create table alert (
    repo varchar not null,
    sha varchar not null,
    rule varchar not null,
    attempt integer not null,
    night integer not null,
    message varchar not null,
    outcome varchar not null,
    reason varchar,
    sent_at timestamp with time zone not null
);
