"""Where the lake is: its catalog, its data files, and what is found there.

And the one kind of error it raises.
"""

import errno
import os
import re
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import platformdirs

CatalogState = Literal["absent", "blank", "lake", "moved", "foreign"]
MOVED = "moved_"  # before the names of tables of a catalog that was moved away

DISK_FULL_SIGNS = ("no space left", "database or disk is full", "disk full", "out of disk")
UNWRITABLE_SIGNS = (
    "permission denied",
    "read-only file system",
    "readonly database",
    "not a directory",
    "unable to open database",
    "operation not permitted",
)
_lakes_seen: set[tuple[int, int]] = set()  # device and inode of SQLite catalogs
NEARLY_FULL_BYTES = 64 * 1024  # under this, SQLite cannot even make its shared-memory file


class LakeError(Exception):
    """What went wrong with the lake, in one line: what was given, what was wanted, what to do."""


def home(env: Mapping[str, str] = os.environ) -> Path:
    """The folder of lake, cache and logs: CICATRIX_HOME, or the platform's user data folder."""
    given = env.get("CICATRIX_HOME", "")
    return Path(given).expanduser().absolute() if given else platformdirs.user_data_path("cicatrix")


@dataclass(frozen=True, slots=True)
class Location:
    """A lake's catalog (a SQLite file, or 'postgres:' and a libpq string) and its data folder."""

    catalog: str
    data: str  # folder or object-store prefix; "" means the one the catalog remembers
    is_configured: bool  # somebody named it, so it must exist

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Location":
        """CICATRIX_CATALOG and CICATRIX_DATA; without them, the folder `lake` in the home.

        Raises:
            LakeError: the catalog is of a kind that no lake has.
        """
        catalog, data = env.get("CICATRIX_CATALOG", ""), env.get("CICATRIX_DATA", "")
        if not catalog:
            folder = home(env) / "lake"
            return cls(str(folder / "catalog.sqlite"), data or str(folder / "data"), False)
        if catalog.startswith(("postgres:", "postgresql:")):
            rest = catalog.partition(":")[2]  # key=value pairs, or what follows the scheme of a URL
            libpq = f"postgresql:{rest}" if rest.startswith("//") else rest
            return cls(f"postgres:{libpq}", data, True)
        name = catalog.removeprefix("sqlite:")
        if kind := re.match(r"\w{2,}:", name):
            raise LakeError(
                f"a catalog of kind '{kind[0]}' cannot be: give a SQLite file, or 'postgres:' and "
                "what libpq connects by, such as 'postgres:dbname=lake host=db'"
            )
        file = Path(name).expanduser().absolute()
        return cls(str(file), data or str(file.parent / "data"), True)

    @property
    def is_postgres(self) -> bool:
        """Whether the catalog is a PostgreSQL database; else it is a SQLite file."""
        return self.catalog.startswith("postgres:")

    @property
    def libpq(self) -> str:
        """The connection string of a PostgreSQL catalog."""
        return self.catalog.removeprefix("postgres:")

    @property
    def name(self) -> str:
        """The catalog, fit to be shown: a PostgreSQL string may hold a password."""
        return "the PostgreSQL catalog" if self.is_postgres else f"'{self.catalog}'"

    @property
    def data_folder(self) -> Path | None:
        """The data folder, where it is a folder of this machine."""
        return Path(self.data) if self.data and "://" not in self.data else None

    def identity(self) -> object:
        """What tells this lake from a later one in its place; None while there is none."""
        if self.is_postgres:
            return self.catalog
        try:
            found = os.stat(self.catalog)
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if self.catalog_state() == "lake" else None

    def catalog_state(self) -> CatalogState:
        """What lies where the SQLite catalog should be.

        'blank' has no table yet (killed while made).
        """
        file = Path(self.catalog)
        try:
            found = file.stat()
            if not found.st_size:
                return "blank"
        except (FileNotFoundError, NotADirectoryError):
            return "absent"
        except OSError as error:
            raise explain(self, error, "open the lake") from error
        # DuckDB has an SQLite of its own. A second one in this process cannot see the first one's
        # locks, drops them when it closes, and cuts the memory that readers share: so a catalog
        # that was seen to be a lake, and may be open by now, is not looked into again.
        if (found.st_dev, found.st_ino) in _lakes_seen:
            return "lake"
        try:
            names = self._catalog_tables()
        except sqlite3.OperationalError as error:
            raise explain(self, error, "open the lake") from error
        except sqlite3.DatabaseError:
            return "foreign"
        if not names:
            return "blank"
        if f"{MOVED}ducklake_metadata" in names:
            return "moved"
        if "ducklake_metadata" not in names:
            return "foreign"
        _lakes_seen.add((found.st_dev, found.st_ino))
        return "lake"

    def forget(self) -> None:
        """Look into the SQLite catalog again when it is asked for next: it was replaced."""
        with suppress(OSError):
            found = os.stat(self.catalog)
            _lakes_seen.discard((found.st_dev, found.st_ino))

    def share_catalog(self) -> None:
        """Make the files that SQLite's readers share, for a reader that may not make them.

        Where they are missing nobody has the catalog open, this process neither.
        """
        if not self.is_postgres and not os.path.exists(self.catalog + "-shm"):
            with suppress(sqlite3.Error):  # whoever opens the lake says what is wrong with it
                self._catalog_tables()

    def _catalog_tables(self) -> set[str]:
        path = quote(self.catalog)
        catalog = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            return {row[0] for row in catalog.execute("select name from sqlite_master")}
        finally:
            catalog.close()


def explain(location: Location, error: Exception, doing: str) -> LakeError:
    """The error as one line, with what to do; `doing` is a verb phrase such as 'open the lake'."""
    text = " ".join(str(error).split("\n\n")[0].split())
    folder = _existing_folder(location)
    is_os_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if is_os_full or _names(text, DISK_FULL_SIGNS) or _is_full(folder):
        return LakeError(
            f"cannot {doing}: the disk that holds '{folder}' is full; what was committed before is "
            "safe. Free some space and run the command again"
        )
    if isinstance(error, PermissionError | NotADirectoryError) or _names(text, UNWRITABLE_SIGNS):
        return LakeError(
            f"cannot {doing}: '{folder}' cannot be written to ({text}). Make it writable, or set "
            "CICATRIX_HOME to a folder that is"
        )
    if location.is_postgres and location.libpq:
        text = text.replace(location.libpq, "...")
    return LakeError(f"cannot {doing} ({location.name}): {text}")


def _names(text: str, signs: tuple[str, ...]) -> bool:
    return any(sign in text.lower() for sign in signs)


def _existing_folder(location: Location) -> Path:
    """The deepest existing folder on the way to the lake: the one that refuses, or is full."""
    start = location.data_folder if location.is_postgres else Path(location.catalog)
    folder = start or Path.cwd()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < NEARLY_FULL_BYTES
    except OSError:
        return False
