"""Handmade rows of two nights: one model measured, one gated, one that failed and was retried."""

from datetime import UTC, datetime, timedelta

from warehouse.lake import Lake

AT = datetime(2026, 3, 1, 1, tzinfo=UTC)
BASE, BASE_SHA = "org/base", "b" * 40


def sha(letter: str) -> str:
    return letter * 40


def model(repo: str, letter: str, night: int = 1, **over: object) -> dict[str, object]:
    return {
        "repo": repo, "sha": sha(letter), "night": night, "family": "Llama", "base": BASE,
        "base_sha": BASE_SHA, "relation": "finetune", "model_ref": f"{repo}@{sha(letter)}",
        "created_at": AT, "modified_at": AT, "is_gated": False, "licence": None,
        "n_params": 1000, "download_bytes": 2000, "quantisation": None, "files_sha256": letter,
        "datasets": [], "card_note": None, "found_at": AT, **over,
    }  # fmt: skip


def state(
    repo: str, letter: str, change: int, name: str, night: int = 1, reason: str | None = None
):
    # The clock jumps back with each change: the number of the change counts.
    return {
        "repo": repo, "sha": sha(letter), "change": change, "night": night, "state": name,
        "reason": reason, "noted_at": AT - timedelta(hours=change),
    }  # fmt: skip


def listing(night: int, n_listed: int, n_new: int) -> dict[str, object]:
    return {
        "night": night, "base": BASE, "base_sha": BASE_SHA, "relation": "finetune",
        "sorted_by": "created_at", "n_listed": n_listed, "n_new": n_new, "watermark_at": AT,
    }  # fmt: skip


def add_nights(lake: Lake) -> None:
    for night in (1, 2):
        lake.add_rows("hub_scan", [{
            "night": night, "watchlist_sha256": "w", "byte_budget": 10_000, "host": "h",
            "code_version": "0", "started_at": AT + timedelta(days=night),
        }])  # fmt: skip
    lake.add_rows("hub_scan_end", [{"night": 1, "outcome": "done", "reason": None, "ended_at": AT}])
    lake.add_rows("hub_listing", [listing(1, 3, 3), listing(2, 4, 0)])
    rows = [
        model("org/done", "d", quantisation="gptq 4-bit"),
        model("org/gated", "e", is_gated=True),
        model("org/torn", "f"),
    ]
    lake.add_rows("hub_model", rows)
    lake.add_rows("hub_state", [
        state("org/done", "d", 1, "queued"), state("org/done", "d", 2, "measured"),
        state("org/gated", "e", 1, "gated", reason="terms"),
        state("org/torn", "f", 1, "queued"),
        state("org/torn", "f", 2, "failed", reason="cut short"),
        state("org/torn", "f", 3, "failed", night=2, reason="<b>again</b> | torn"),
    ])  # fmt: skip
    lake.add_rows("teacher_claim", [
        {"repo": "org/done", "sha": sha("d"), "teacher": t, "read_in": where, "quote": "q"}
        for t, where in (("QwQ-32B", "name"), ("DeepSeek-R1", "name"), ("DeepSeek-R1", "card"))
    ])  # fmt: skip
    lake.add_rows("alert", [{
        "repo": "org/gated", "sha": sha("e"), "rule": "r", "attempt": 1, "night": 1,
        "message": "m", "outcome": "sent", "reason": None, "sent_at": AT,
    }])  # fmt: skip
