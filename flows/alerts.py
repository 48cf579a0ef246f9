"""Alerts: what the watchlist asks to be told of, to a file or a webhook, each once."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from flows.watchlist import Alert, Watchlist
from warehouse.lake import Lake

TIMEOUT_S = 15
NIGHTS = 7  # a night that was killed before it told is made up for within so many


def send(lake: Lake, watchlist: Watchlist, night: int) -> list[str]:
    """Tell what was not told yet; a line for each alert that did not arrive."""
    rows = lake.query("select * from night_model where state_night > ?", [night - NIGHTS])
    told = lake.query(
        "select repo, sha, rule, count(*) as n, bool_or(outcome = 'sent') as is_sent "
        "from alert group by all"
    )
    before = {(r["repo"], r["sha"], r["rule"]): r for r in told.iter_rows(named=True)}
    failures: list[str] = []
    for row in rows.sort("state_night", "repo").iter_rows(named=True):
        for rule in watchlist.alert:
            key = (row["repo"], row["sha"], rule.name)
            if not matches(rule, row) or before.get(key, {}).get("is_sent"):
                continue
            message = message_of(row)
            reason = _deliver(rule, watchlist, row, message)
            if reason is not None:
                failures.append(f"alert {rule.name!r} did not arrive: {reason}")
            attempt = {
                "repo": row["repo"], "sha": row["sha"], "rule": rule.name,
                "attempt": before.get(key, {}).get("n", 0) + 1, "night": night,
                "message": message, "outcome": "sent" if reason is None else "failed",
                "reason": reason, "sent_at": datetime.now(UTC),
            }  # fmt: skip
            lake.add_rows("alert", [attempt])
    return failures


def matches(rule: Alert, row: Mapping[str, Any]) -> bool:
    """Whether a rule is about a row of the mart `night_model`."""
    if rule.families and row["family"] not in rule.families:
        return False
    return row["state"] in rule.states or (row["label"] is not None and row["label"] in rule.labels)


def message_of(row: Mapping[str, Any]) -> str:
    """One line: what it is, what was found, what is only claimed."""
    said = row["label"] or row["state"]
    layers = [
        f"{layer} {row[f'{layer}_label']}"
        for layer in ("structural", "functional")
        if row[f"{layer}_label"]
    ]
    detail = "; ".join(layers) or row["reason"] or ""
    claims = ", ".join(row["teacher_claims"] or ())
    return (
        f"{said}: {row['repo']}@{row['sha'][:12]}, {row['relation']} of {row['base']}"
        + (f" ({detail})" if detail else "")
        + (f"; claimed, not measured: taught by {claims}" if claims else "")
    )


def _deliver(rule: Alert, watchlist: Watchlist, row: Mapping[str, Any], message: str) -> str | None:
    """Why it did not arrive, everywhere the rule says; None if it did."""
    body = {
        "text": message, "rule": rule.name, "repo": row["repo"], "sha": row["sha"],
        "base": row["base"], "relation": row["relation"], "state": row["state"],
        "label": row["label"], "structural": row["structural_label"],
        "functional": row["functional_label"], "teacher_claims": row["teacher_claims"] or [],
    }  # fmt: skip
    line = json.dumps(body, ensure_ascii=False)
    if rule.webhook is not None:
        request = Request(
            rule.webhook, line.encode(), {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urlopen(request, timeout=TIMEOUT_S):
                pass
        except (URLError, OSError, ValueError) as error:
            return f"the webhook: {type(error).__name__}: {' '.join(str(error).split())}"
    if rule.file is not None:
        try:
            with (watchlist.folder / rule.file).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            return f"file {str(rule.file)!r}: {error.strerror}"
    return None
