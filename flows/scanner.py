"""What a scan does before it measures: list, look at what is new, keep the ledger, plan the night.

Every repository at a commit is in the ledger once, whoever found it first; its states are changes
numbered from 1, so that a clock that jumps, or a scan started twice, neither loses nor doubles one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import polars as pl

from flows.watchlist import Family, Watchlist
from measure import candidates, hub
from measure.errors import BadInput
from warehouse.lake import Lake

BATCH = 50  # repositories between two commits to the ledger
ORDERS: tuple[hub.SortedBy, ...] = ("created_at", "last_modified")
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A repository at a commit that was not in the ledger: its rows."""

    model: dict[str, Any]
    state: str
    reason: str | None
    claims: list[dict[str, Any]]


@dataclass(slots=True)
class Finds:
    """What a scan found, base by base."""

    new: list[Found] = field(default_factory=list[Found])
    listings: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    troubles: list[str] = field(default_factory=list[str])  # bases that could not be listed whole


class Scanner:
    """One scan over one lake; `night` is None while nothing is written (a dry run)."""

    def __init__(self, lake: Lake, watchlist: Watchlist, night: int | None) -> None:
        self.lake = lake
        self.watchlist = watchlist
        self.night = night
        self._began = datetime.now(UTC)
        known = lake.query("select repo, sha from stg_hub_model")
        self._known = set(known.iter_rows())
        files = lake.query(
            "select base, files_sha256, repo || '@' || sha as ref from stg_hub_model "
            "where files_sha256 is not null and state in ('queued', 'measured')"
        )
        self._files = {(base, hashed): ref for base, hashed, ref in files.iter_rows()}

    def find(self, tell: Tell) -> Finds:
        """Look at everything new of every watched base; a base in trouble leaves the others."""
        finds = Finds()
        for family in self.watchlist.family:
            for base in family.bases:
                try:
                    self._find_of(family, base, finds)
                except (ConnectionError, BadInput) as error:
                    finds.troubles.append(f"{base}: {error}")
                    tell(f"not listed whole: {finds.troubles[-1]}")
        return finds

    def _find_of(self, family: Family, base: str, finds: Finds) -> None:
        repo, revision = hub.split(base)
        base_sha = self._base_sha(repo, revision)
        pending: list[Found] = []
        for relation, by in product(family.relations, ORDERS):
            marked = self._watermark(repo, relation, by)
            listed, n_new = 0, 0
            newest: datetime | None = None
            for one in self._since(repo, relation, by, marked):
                listed += 1
                at = _instant(one, by)
                newest = max(filter(None, (newest, at)), default=None)
                sha = one.sha or hub.commit_of(one.repo)
                if (one.repo, sha) in self._known:
                    continue
                pending.append(self._look(family, repo, base_sha, relation, one, sha))
                self._known.add((one.repo, sha))
                n_new += 1
                if len(pending) >= BATCH:
                    self._keep(pending, finds)
            self._keep(pending, finds)
            # A repository that says it is of the future must not hide those of tomorrow.
            reached = min(filter(None, (newest, self._began)), default=None) if newest else None
            marks = [mark for mark in (marked, reached) if mark is not None]
            listing = {
                "night": self.night, "base": repo, "base_sha": base_sha, "relation": relation,
                "sorted_by": by, "n_listed": listed, "n_new": n_new,
                "watermark_at": max(marks, default=None),
            }  # fmt: skip
            if self.night is not None:
                self.lake.add_rows("hub_listing", [listing])
            finds.listings.append(listing)

    def _since(
        self, repo: str, relation: hub.Relation, by: hub.SortedBy, marked: datetime | None
    ) -> Iterator[hub.Listed]:
        """The listing down to the overlap before the watermark."""
        night = self.watchlist.night
        if marked is None:
            until = self._began - timedelta(days=night.first_days)
        else:
            until = marked - timedelta(hours=night.overlap_hours)
        for one in hub.derivatives(repo, relation, by):
            at = _instant(one, by)
            if at is not None and at < until:
                return
            yield one

    def _base_sha(self, repo: str, revision: str | None) -> str:
        """The commit a base is compared at: the watchlist's revision, or as at the first scan."""
        if revision is not None:
            return hub.commit_of(f"{repo}@{revision}")
        before = self.lake.query(
            "select base_sha from hub_listing where base = ? order by night desc limit 1", [repo]
        )
        return before["base_sha"].item() if before.height else hub.commit_of(repo)

    def _watermark(self, repo: str, relation: str, by: str) -> datetime | None:
        found = self.lake.query(
            "select max(watermark_at) as at from hub_listing "
            "where base = ? and relation = ? and sorted_by = ?",
            [repo, relation, by],
        )
        return found["at"].item()

    def _look(
        self,
        family: Family,
        base: str,
        base_sha: str,
        relation: hub.Relation,
        listed: hub.Listed,
        sha: str,
    ) -> Found:
        """What a repository is; one that is gone since it was listed is a row that says so."""
        ref = f"{listed.repo}@{sha}"
        try:
            found = hub.repository(ref)
        except BadInput as error:
            found = hub.Repository(
                repo=listed.repo, sha=sha, created_at=listed.created_at,
                modified_at=listed.modified_at, is_gated=False, is_disabled=False, licence=None,
                datasets=(), tags=(), n_params=None, files=(),
            )  # fmt: skip
            return self._found(family, base, base_sha, relation, found, ("failed", str(error)))
        config, card, may_read = None, None, True
        try:
            name = "adapter_config.json" if relation == "adapter" else "config.json"
            config = hub.read_json(ref, name)
            card = hub.read_text(ref, "README.md")
        except hub.Gated:
            may_read = False
        except BadInput as error:
            return self._found(family, base, base_sha, relation, found, ("failed", str(error)))
        state, reason = candidates.state_of(
            found, relation, config, self.watchlist.limits_of_models(), may_read=may_read
        )
        hashed = candidates.files_sha256(found)
        if state == "queued" and hashed is not None:
            same = self._files.setdefault((base, hashed), ref)
            if same != ref:
                state, reason = "seen", f"its weights are those of {same}"
        return self._found(
            family, base, base_sha, relation, found, (state, reason), config, card, hashed
        )

    def _found(
        self,
        family: Family,
        base: str,
        base_sha: str,
        relation: hub.Relation,
        found: hub.Repository,
        judged: tuple[str, str | None],
        config: Any = None,
        card: str | None = None,
        hashed: str | None = None,
    ) -> Found:
        ref = f"{found.repo}@{found.sha}"
        model = {
            "repo": found.repo,
            "sha": found.sha,
            "night": self.night,
            "family": family.name,
            "base": base,
            "base_sha": base_sha,
            "relation": relation,
            "model_ref": f"{ref}+{base}@{base_sha}" if relation == "adapter" else ref,
            "created_at": found.created_at,
            "modified_at": found.modified_at,
            "is_gated": found.is_gated,
            "licence": found.licence,
            "n_params": candidates.parameters_of(found, config) if relation != "adapter" else None,
            "download_bytes": sum(file.size for file in found.model_files()),
            "quantisation": candidates.quantisation_of(config),
            "files_sha256": hashed,
            "datasets": list(found.datasets),
            "card_note": candidates.card_note(card),
            "found_at": datetime.now(UTC),
        }
        claims = [
            {
                "repo": found.repo, "sha": found.sha, "teacher": one.teacher,
                "read_in": one.read_in, "quote": one.quote,
            }
            for one in candidates.claims(found.repo, found.tags, found.datasets, card)
        ]  # fmt: skip
        return Found(model=model, state=judged[0], reason=judged[1], claims=claims)

    def _keep(self, pending: list[Found], finds: Finds) -> None:
        """Into the ledger; states last, as what has none is not seen there."""
        if self.night is not None and pending:
            self.lake.add_rows("hub_model", [one.model for one in pending])
            self.lake.add_rows("teacher_claim", [row for one in pending for row in one.claims])
            states = [
                _change(one.model["repo"], one.model["sha"], 1, self.night, one.state, one.reason)
                for one in pending
            ]
            self.lake.add_rows("hub_state", states)
        finds.new += pending
        pending.clear()


def _instant(listed: hub.Listed, by: hub.SortedBy) -> datetime | None:
    return listed.created_at if by == "created_at" else listed.modified_at


def _change(
    repo: str, sha: str, change: int, night: int, state: str, reason: str | None
) -> dict[str, Any]:
    return {
        "repo": repo, "sha": sha, "change": change, "night": night, "state": state,
        "reason": reason, "noted_at": datetime.now(UTC),
    }  # fmt: skip


def change_state(
    lake: Lake, row: dict[str, Any], night: int, state: str, reason: str | None = None
) -> bool:
    """Bring a row of the ledger into another state; False if somebody else changed it since."""
    change = _change(row["repo"], row["sha"], row["change"] + 1, night, state, reason)
    return lake.add_rows("hub_state", [change]) == 1


def open_night(lake: Lake, watchlist: Watchlist, host: str, code_version: str) -> int:
    """Number a scan; no two have the same number."""
    while True:
        number = int(
            lake.query("select coalesce(max(night), 0) + 1 as n from hub_scan")["n"].item()
        )
        row = {
            "night": number, "watchlist_sha256": watchlist.sha256,
            "byte_budget": watchlist.byte_budget, "host": host, "code_version": code_version,
            "started_at": datetime.now(UTC),
        }  # fmt: skip
        if lake.add_rows("hub_scan", [row]):
            return number


def end_night(lake: Lake, night: int, outcome: str, reason: str | None) -> None:
    """Say how a scan ended, once."""
    row = {"night": night, "outcome": outcome, "reason": reason, "ended_at": datetime.now(UTC)}
    lake.add_rows("hub_scan_end", [row])


def ledger(lake: Lake) -> pl.DataFrame:
    """Every repository at a commit, in its newest state."""
    return lake.query("select * from stg_hub_model")


def queue_again(lake: Lake, repos: Sequence[str], night: int) -> list[str]:
    """Queue what a person says is worth another try, at its newest commit; who was queued."""
    queued: list[str] = []
    for repo in repos:
        rows = ledger(lake).filter(repo=repo).sort("night", "found_at", descending=True)
        if rows.is_empty():
            raise BadInput(f"{repo!r} is not in the ledger: `cicatrix scan` finds it first")
        row = rows.row(0, named=True)
        if row["state"] not in ("queued", "measured"):
            change_state(lake, row, night, "queued", "asked for again")
            queued.append(repo)
    return queued
