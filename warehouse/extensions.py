"""DuckDB's extensions, loaded from their wheels: signed files, no network, never unsigned ones."""

import importlib.util
import logging
from pathlib import Path

import duckdb

from warehouse.location import LakeError

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,  # a Python variable never stands in for a missing table
    # A question reads a dozen small tables, and each asks the catalog: one thread answers those
    # three times as fast as two that wait for each other (measured on 2 cores), and leaves the
    # cores to the models.
    "threads": 1,
}
_INSTALL_NAMES = {"sqlite_scanner": "sqlite", "postgres_scanner": "postgres"}
_log = logging.getLogger(__name__)


def wheel_file(name: str) -> Path | None:
    """The extension's file inside its wheel, if that is installed for this version of DuckDB."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}"
    file = folder / f"{name}.duckdb_extension"
    return file if file.is_file() else None


def load(connection: duckdb.DuckDBPyConnection, *names: str) -> None:
    """Load each extension from its wheel.

    Without one, install it from DuckDB's server, and say so.
    """
    for name in names:
        file = wheel_file(name)
        if file is not None:
            connection.execute(f"load '{str(file).replace(chr(39), chr(39) * 2)}'")
            continue
        package = f"duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}"
        short = _INSTALL_NAMES.get(name, name)
        _log.warning("%s is not installed; fetching the extension from DuckDB's server", package)
        try:
            connection.execute(f"install {short}")
            connection.execute(f"load {short}")
        except duckdb.Error as error:
            raise LakeError(
                f"DuckDB {duckdb.__version__} has no extension '{name}' here, and it could not be "
                f"fetched; run: pip install {package}"
            ) from error
