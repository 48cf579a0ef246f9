"""`cicatrix backup`, `restore` and `move`: whole copies of the lake, history with them."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # argparse has no public name for what add_subparsers returns
    from warehouse.lake import Location

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]


def add_lake(commands: "Commands") -> None:
    """Backup, restoration, and the move to another kind of catalog."""
    backup = commands.add_parser(
        "backup",
        help="copy the lake, its history with it, while others go on writing",
        description="Copies catalog and data files into a folder, which is a lake itself: "
        "CICATRIX_CATALOG=FOLDER/catalog.sqlite opens it. Writers wait only while the catalog is "
        "copied. The folder holds no lake until all is there and each table is compared; one that "
        "was interrupted goes on by the same command.",
    )
    backup.add_argument("folder", type=Path, metavar="FOLDER", help="one without a lake")
    backup.set_defaults(run=_backup)
    restore = commands.add_parser(
        "restore",
        help="make the lake again from a backup",
        description="Copies a backup to where the lake is to be: to the home, or to what "
        "CICATRIX_CATALOG and CICATRIX_DATA name. A lake that is there is left alone: move it away "
        "first.",
    )
    restore.add_argument("folder", type=Path, metavar="FOLDER", help="a backup")
    restore.set_defaults(run=_restore)
    move = commands.add_parser(
        "move",
        help="move the lake from SQLite to PostgreSQL, or back",
        description="Moves the lake to another catalog: all rows, all snapshots. Its data files "
        "stay where they are unless --data names another folder. The old catalog is touched last, "
        "in one step, and refuses everybody from then on.",
    )
    move.add_argument(
        "catalog",
        metavar="CATALOG",
        help="as CICATRIX_CATALOG names it: a SQLite file, or 'postgres:dbname=... host=...'",
    )
    move.add_argument("--data", type=Path, metavar="FOLDER", help="copy the data files there")
    move.set_defaults(run=_move)


def _backup(given: argparse.Namespace) -> int:
    from warehouse import copying
    from warehouse.lake import Location

    copied = copying.copy(Location.from_env(), _in_folder(given.folder))
    sys.stdout.write(f"backed up {copied}\nrestore it by `cicatrix restore {given.folder}`\n")
    return 0


def _restore(given: argparse.Namespace) -> int:
    from measure.errors import BadInput
    from warehouse import copying
    from warehouse.lake import Location

    target = Location.from_env()
    if not target.data:
        raise BadInput("CICATRIX_DATA is not set: say which folder shall hold the restored data")
    copied = copying.copy(_in_folder(given.folder), target)
    sys.stdout.write(f"restored {copied}\nto {target.name}, data in '{target.data}'\n")
    return 0


def _move(given: argparse.Namespace) -> int:
    from warehouse import copying
    from warehouse.lake import Location

    source = copying.with_data(Location.from_env())
    data = str(given.data.expanduser().absolute()) if given.data else source.data
    target = replace(Location.from_env({"CICATRIX_CATALOG": given.catalog}), data=data)
    copied = copying.move(source, target)
    sys.stdout.write(f"moved {copied}\nfrom {source.name} to {target.name}; from now on set\n")
    catalog = "..." if target.is_postgres else target.catalog  # it may hold a password
    sys.stdout.write(f"  CICATRIX_CATALOG={catalog}\n  CICATRIX_DATA={target.data}\n")
    if target.catalog == Location.from_env({}).catalog and not given.data:
        sys.stdout.write("or neither: that is where this home looks by itself\n")
    return 0


def _in_folder(folder: Path) -> "Location":
    from warehouse.lake import Location

    place = folder.expanduser().absolute()
    return Location(str(place / "catalog.sqlite"), str(place / "data"), is_configured=True)


RUNS = (_backup, _restore, _move)
