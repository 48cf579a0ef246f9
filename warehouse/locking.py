"""The writer lock: one write transaction at a time, over all processes and machines of a lake.

DuckLake enforces no keys, so "is it there? then insert" must not be interleaved with another
writer's; and SQLite commits fail with "database is locked" when two of them meet. Readers never
take the lock.
"""

from types import TracebackType
from typing import Protocol

import duckdb
from filelock import FileLock, Timeout

from warehouse import extensions
from warehouse.location import LakeError, Location, explain

TIMEOUT_S = 120
ADVISORY_KEY = 0x0C1CA721  # any number, the same for all writers of a database


class WriterLock(Protocol):
    """A context manager that can be entered again and again, and closed in the end."""

    def __enter__(self) -> object: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def close(self) -> None:
        """Give up what the lock keeps open."""
        ...


class SqliteWriterLock:
    """A locked file next to the catalog; the system lets go of it when its process dies."""

    def __init__(self, location: Location) -> None:
        """Name the file; it is made when the lock is first taken."""
        self._location = location
        self._file = FileLock(location.catalog + ".lock", timeout=TIMEOUT_S)

    def __enter__(self) -> None:
        try:
            self._file.acquire()
        except Timeout as error:
            raise _waited(self._location) from error
        except OSError as error:
            raise explain(self._location, error, "lock the lake for writing") from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.release()

    def close(self) -> None:
        """Nothing is kept open."""


class PostgresWriterLock:
    """An advisory lock held by a transaction of its own, from before a write until after it.

    The transaction keeps one connection out of the extension's pool; the server drops the
    lock with the connection.
    """

    def __init__(self, location: Location) -> None:
        """Connect to the catalog's server."""
        self._location = location
        self._connection = duckdb.connect(config=extensions.CONFIG)
        try:
            extensions.load(self._connection, "postgres_scanner")
            dsn = location.libpq.replace("'", "''")
            self._connection.execute(f"attach '{dsn}' as catalog (type postgres)")
        except duckdb.Error as error:
            raise explain(location, error, "reach the catalog's server") from error

    def __enter__(self) -> None:
        try:
            self._connection.execute("begin")
            self._call(f"set local lock_timeout = '{TIMEOUT_S}s'")
            self._call(f"select pg_advisory_xact_lock({ADVISORY_KEY})")
        except duckdb.Error as error:
            self._release()
            if "lock timeout" in str(error):
                raise _waited(self._location) from error
            raise explain(self._location, error, "lock the lake for writing") from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    def close(self) -> None:
        """Close the connection to the server."""
        self._connection.close()

    def _call(self, sql: str) -> None:
        self._connection.execute("call postgres_execute('catalog', ?)", [sql])

    def _release(self) -> None:
        try:
            self._connection.execute("rollback")
        except duckdb.Error as error:  # a lost connection has lost the lock as well
            if "no transaction is active" not in str(error) and "connection" not in str(error):
                raise explain(self._location, error, "unlock the lake") from error


def writer_lock(location: Location) -> WriterLock:
    """The lock that all writers of this lake take."""
    return PostgresWriterLock(location) if location.is_postgres else SqliteWriterLock(location)


def _waited(location: Location) -> LakeError:
    return LakeError(
        f"waited {TIMEOUT_S} s for the writer lock of {location.name}, which another process "
        "holds; see what is measuring (`cicatrix doctor`), and run the command again"
    )
