"""`cicatrix scan`: find newly released derivatives on the hub, measure them once."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # argparse has no public name for what add_subparsers returns
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]


def add_scan(commands: "Commands") -> None:
    """One night: list, plan, measure, report."""
    scan = commands.add_parser(
        "scan",
        help="find new derivatives of watched bases on the hub and measure them once",
        description="Asks the hub for derivatives of the bases that a watchlist names, keeps each "
        "repository at its commit in a ledger, prints the plan of the night, measures what is "
        "queued within the budget and reports. HF_ENDPOINT says where the hub is, HF_TOKEN who "
        "asks.",
    )
    scan.add_argument(
        "watchlist", nargs="?", type=Path, metavar="WATCHLIST",
        help="a TOML file (default: watchlist.toml in CICATRIX_HOME); the README has an example",
    )  # fmt: skip
    scan.add_argument(
        "--dry-run", action="store_true", help="print what is new and the plan, write nothing"
    )
    scan.add_argument("--ledger", action="store_true", help="print what was found before, and stop")
    scan.add_argument(
        "--retry", nargs="+", default=[], metavar="REPO", dest="again",
        help="queue these again first: gated ones whose terms were accepted, failed ones",
    )  # fmt: skip
    scan.set_defaults(run=_scan)


def _scan(given: argparse.Namespace) -> int:
    from flows import scan, watchlist

    if given.ledger:
        return scan.show_ledger()
    path = given.watchlist or watchlist.default_path()
    return scan.dry_run(path) if given.dry_run else scan.run(path, given.again)
