"""The tables of nightly scans: what was found on the hub, in which state it is, what is claimed."""

from warehouse.declaring import INSTANT, Column, Table, bigint, boolean, instant, integer, text

_NIGHT = integer("night", "number of the scan, from 1")
_REPO = text("repo", "repository on the hub, 'org/name'")
_SHA = text("sha", "its commit")
STATES = (
    "seen",
    "queued",
    "gated",
    "too large",
    "unsupported",
    "no safetensors",
    "failed",
    "measured",
)
_RELATION = text(
    "relation",
    "what the hub's tags say it is of its base",
    values=("finetune", "quantized", "adapter", "merge"),
)

HUB_SCAN = Table(
    "hub_scan",
    "scan of the hub",
    ("night",),
    (
        _NIGHT,
        text("watchlist_sha256", "hash of the watchlist it followed"),
        bigint("byte_budget", "bytes it might download at most"),
        text("host", "name of the machine"),
        text("code_version", "version of the code that scanned"),
        instant("started_at", "when it began"),
    ),
)

HUB_SCAN_END = Table(
    "hub_scan_end",
    "scan that ended and could say so; a killed one has no row",
    ("night",),
    (
        _NIGHT,
        text("outcome", "how it ended", values=("done", "failed", "interrupted")),
        text("reason", "what went wrong; null when nothing did", null=True),
        instant("ended_at", "when it ended"),
    ),
)

HUB_LISTING = Table(
    "hub_listing",
    "scan, base, relation and order: a listing taken up whole",
    ("night", "base", "relation", "sorted_by"),
    (
        _NIGHT,
        text("base", "watched repository"),
        text("base_sha", "commit of it that derivatives are compared with"),
        _RELATION,
        text("sorted_by", "instant it is sorted by", values=("created_at", "last_modified")),
        integer("n_listed", "repositories that it named, up to the watermark before"),
        integer("n_new", "of these, repositories at a commit not in the ledger before"),
        Column(
            "watermark_at",
            INSTANT,
            "newest such instant it named, by the hub's clock, none after this scan's own; "
            "null while it never named one",
            is_nullable=True,
        ),
    ),
)

HUB_MODEL = Table(
    "hub_model",
    "repository at a commit that a scan found",
    ("repo", "sha"),
    (
        _REPO,
        _SHA,
        integer("night", "the scan that found it"),
        text("family", "family of the watchlist under which its base is watched"),
        text("base", "watched repository it is tagged as made from"),
        text("base_sha", "commit of the base it is compared with"),
        _RELATION,
        text(
            "model_ref", "what it is measured as: 'org/name@<commit>', of an adapter '+' its base"
        ),
        Column("created_at", INSTANT, "when the repository was made, by the hub", True),
        Column("modified_at", INSTANT, "its last commit, by the hub", True),
        boolean("is_gated", "whether its terms have to be accepted"),
        text("licence", "as its card names it; null if it does not", null=True),
        bigint("n_params", "parameters; null if not known before the download", null=True),
        bigint("download_bytes", "of its weights, configuration and tokenizer"),
        text(
            "quantisation",
            "how its stored weights are quantised, by its configuration; null if they are not",
            null=True,
        ),
        text("files_sha256", "hash of names and hashes of its weight files", null=True),
        Column("datasets", "VARCHAR[]", "data sets that its card names"),
        text("card_note", "beginning of its card's text; null without a card", null=True),
        instant("found_at", "when it was found"),
    ),
)

HUB_STATE = Table(
    "hub_state",
    "repository at a commit and change: a state it came to; the last change counts",
    ("repo", "sha", "change"),
    (
        _REPO,
        _SHA,
        integer("change", "from 1; clocks may jump, this does not"),
        _NIGHT,
        text("state", "what became of it", values=STATES),
        text("reason", "why; null where the state says it all", null=True),
        instant("noted_at", "when this was noted"),
    ),
)

TEACHER_CLAIM = Table(
    "teacher_claim",
    "repository at a commit, teacher and where it is named: a claim, never a result",
    ("repo", "sha", "teacher", "read_in"),
    (
        _REPO,
        _SHA,
        text("teacher", "the teacher that is claimed, e.g. 'DeepSeek-R1'"),
        text("read_in", "where", values=("card", "dataset", "name", "tag")),
        text("quote", "the words it was read from"),
    ),
)

ALERT = Table(
    "alert",
    "repository at a commit, rule and attempt: an alert that was sent, or could not be",
    ("repo", "sha", "rule", "attempt"),
    (
        _REPO,
        _SHA,
        text("rule", "name of the watchlist's rule"),
        integer("attempt", "from 1"),
        _NIGHT,
        text("message", "what was told"),
        text("outcome", "whether it arrived", values=("sent", "failed")),
        text("reason", "why it did not; null when sent", null=True),
        instant("sent_at", "when it was tried"),
    ),
)

TABLES = (HUB_SCAN, HUB_SCAN_END, HUB_LISTING, HUB_MODEL, HUB_STATE, TEACHER_CLAIM, ALERT)
