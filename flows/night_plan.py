"""A night's plan: which of the queued are measured, at what cost, and which wait."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from flows import estimating
from flows.report import console
from flows.watchlist import Watchlist
from measure import hub, models


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One derivative of a night: a row of the ledger and what it costs."""

    row: Mapping[str, Any]
    priority: int
    download_bytes: int  # its base's with it, where that is not here yet
    n_passes: int  # its own forward passes; the base's are counted once, with the first
    seconds: float | None  # None where its parameters are not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A night."""

    items: tuple[Planned, ...]
    waiting: tuple[Mapping[str, Any], ...]  # beyond the budget of this night
    byte_budget: int
    device: str

    def total_bytes(self) -> int:
        """Bytes that it downloads."""
        return sum(item.download_bytes for item in self.items)

    def line(self) -> str:
        """All of it in a line."""
        known = [item.seconds for item in self.items if item.seconds is not None]
        more = "" if len(known) == len(self.items) else " and what is of unknown size"
        return (
            f"tonight: {len(self.items)} to measure, "
            f"{sum(item.n_passes for item in self.items):,} forward passes, about "
            f"{estimating.duration(sum(known))}{more} on {self.device}; to download "
            f"{self.total_bytes() / 1e9:.3g} of {self.byte_budget / 1e9:.3g} GB; "
            f"{len(self.waiting)} wait for another night"
        )

    def show(self) -> None:
        """A line a derivative, in the order in which they are measured."""
        if not self.items:
            return
        table = Table(title="Plan of the night", title_justify="left")
        for name in ("family", "repository", "relation"):
            table.add_column(name, overflow="fold")
        for name in ("parameters", "download, MB", "passes", "time"):
            table.add_column(name, justify="right")
        for item in self.items:
            row = item.row
            n = row["n_params"]
            kind = row["relation"] + (f"\n{row['quantisation']}" if row["quantisation"] else "")
            table.add_row(
                Text(row["family"]),
                Text(f"{row['repo']}\n@{row['sha'][:12]}"),
                Text(kind),
                "-" if n is None else f"{n / 1e6:,.3g} M",
                f"{item.download_bytes / 1e6:,.3g}",
                f"{item.n_passes:,}",
                "-" if item.seconds is None else estimating.duration(item.seconds),
            )
        console().print(table)


def plan(
    rows: Sequence[Mapping[str, Any]], watchlist: Watchlist, device: str, spent_bytes: int = 0
) -> Plan:
    """The queued and the failed that may be tried again, by priority, then newest, within budget.

    One that does not fit into what is left of the budget lets smaller ones pass.
    """
    due = [row for row in rows if _is_due(row, watchlist)]
    due.sort(key=lambda row: (_by_age(row), row["repo"]), reverse=True)
    due.sort(key=lambda row: (-_priority(row, watchlist), row["n_failed"]))
    settings = watchlist.measure.settings(device)
    flops = estimating.EFFICIENCY * estimating.matmul_flops_per_s(device) if due else 1.0
    own_passes, _ = estimating.of_model(0, settings, 0, 0, flops)
    items: list[Planned] = []
    waiting: list[Mapping[str, Any]] = []
    left = watchlist.byte_budget - spent_bytes
    bases: set[tuple[str, str]] = set()
    for row in due:
        base = (row["base"], row["base_sha"])
        is_new_base = base not in bases
        n_bytes = 0 if is_here(row["repo"], row["sha"]) else row["download_bytes"]
        if is_new_base and not is_here(*base):
            n_bytes += _base_bytes(row)
        if n_bytes > left or len(items) >= watchlist.night.max_models:
            waiting.append(row)
            continue
        n_params = row["n_params"]
        passes, seconds = estimating.of_model(n_params or 0, settings, 1, 1, flops)
        if is_new_base:
            passes += own_passes
            bases.add(base)
        left -= n_bytes
        items.append(
            Planned(
                row=row, priority=_priority(row, watchlist), download_bytes=n_bytes,
                n_passes=passes, seconds=None if n_params is None else seconds,
            )
        )  # fmt: skip
    return Plan(
        items=tuple(items), waiting=tuple(waiting), byte_budget=watchlist.byte_budget, device=device
    )


def is_here(repo: str, sha: str) -> bool:
    """Whether a repository's files at a commit are in the cache; they are checked when used."""
    folder = hub.cache_dir() / f"models--{repo.replace('/', '--')}" / "snapshots" / sha
    return any(folder.glob("*.safetensors")) if folder.is_dir() else False


def pick_device(watchlist: Watchlist) -> str:
    """The watchlist's device, else the first GPU, else the CPU; refused if it is not here."""
    device = watchlist.measure.device or models.pick_device()
    models.check_device(device)
    return device


def _is_due(row: Mapping[str, Any], watchlist: Watchlist) -> bool:
    if watchlist.family_of(row["family"]) is None:
        return False
    may_retry = row["state"] == "failed" and row["n_failed"] < watchlist.night.attempts
    return row["state"] == "queued" or may_retry


def _priority(row: Mapping[str, Any], watchlist: Watchlist) -> int:
    family = watchlist.family_of(row["family"])
    return family.priority if family is not None else 0


def _by_age(row: Mapping[str, Any]) -> float:
    at = row["modified_at"] or row["created_at"]
    return at.timestamp() if at is not None else 0.0


def _base_bytes(row: Mapping[str, Any]) -> int:
    """Bytes of a base that is not here yet; 0 where the hub does not say, which fails later."""
    try:
        found = hub.repository(f"{row['base']}@{row['base_sha']}")
    except (hub.Absent, hub.Gated, ConnectionError):
        return 0
    return sum(file.size for file in found.model_files())
