"""Command line: `python -m measure.zoo list`, `python -m measure.zoo build [--only NAME ...]`."""

import argparse
import os
import sys
import time
from pathlib import Path

from measure import zoo


def _list() -> None:
    """Write the shipped members, derivatives indented under their base."""
    for m in zoo.members():
        name = f"  {m.name}" if m.base else m.name
        sys.stdout.write(
            f"{name:20} {m.kind:11} {m.model_class:17} {m.n_params / 1e6:.2f} M parameters, "
            f"{m.held_out_accuracy:4.0%} of {m.held_out_n} held-out problems right, "
            f"{m.held_out_think_frac:4.0%} reasoned\n"
        )


def _build(out: Path, only: list[str], jobs: int) -> None:
    """Build what is missing and say what was done."""
    from measure.zoo.build import build  # torch: seconds to import, and `list` needs none

    began = time.perf_counter()
    trained = build(out, only, jobs)
    said = f"trained {', '.join(trained)}" if trained else "everything is built already"
    sys.stdout.write(f"{said} ({time.perf_counter() - began:.0f} s)\n")


def main() -> None:
    """Read the command and do it."""
    parser = argparse.ArgumentParser(prog="python -m measure.zoo", description=zoo.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="show the shipped members and what was measured of them")
    build = commands.add_parser("build", help="train what is missing (about 20 minutes in all)")
    build.add_argument("--only", nargs="+", default=[], metavar="NAME", help="and what they need")
    build.add_argument("--out", type=Path, default=zoo.WEIGHTS.parent, metavar="DIR")
    build.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="models at a time")
    given = parser.parse_args()
    if given.command == "list":
        _list()
    else:
        _build(given.out, given.only, given.jobs)


if __name__ == "__main__":
    main()
