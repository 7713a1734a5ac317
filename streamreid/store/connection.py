"""Opens the database file: creation, pragmas, migrations, and one clear error for each failure."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlite_utils import Database

from streamreid.errors import StoreError, StoreFullError
from streamreid.store.schema import APPLICATION_ID, SET_NAME, migrations

BUSY_TIMEOUT_S = 5.0
WAL_LIMIT_BYTES = 64 * 2**20

_FULL = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE"}
_DAMAGED = {"SQLITE_CORRUPT", "SQLITE_NOTADB"}


def connect_writer(path: Path, *, durability: str = "normal") -> sqlite3.Connection:
    """Open the file for writing, creating and migrating it as needed.

    Args:
        path: The database file; its folder must exist.
        durability: `normal` (survives a crash of the process) or `full` (also a power cut).

    Returns:
        A connection in autocommit mode; transactions are begun explicitly.

    Raises:
        StoreError: If the file cannot be used; the message says why.
    """
    new = _prepare_file(path)
    with translated(path):
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        with translated(path):
            _check_is_ours(connection, path)
            if new:
                # Only an empty file takes this, and only before the journal mode.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            level = "FULL" if durability == "full" else "NORMAL"
            connection.execute(f"PRAGMA synchronous = {level}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
            connection.execute("PRAGMA trusted_schema = OFF")
            # ON (some systems' default) would write every freed page once more, which a full disk
            # does not allow; erasing a person sets it for that transaction.
            connection.execute("PRAGMA secure_delete = FAST")
            migrations().apply(Database(connection, recursive_triggers=False))
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the file so that nothing can be written through it.

    Args:
        path: The database file.

    Returns:
        A read-only connection whose rows are `sqlite3.Row`.

    Raises:
        StoreError: If it does not exist, is not ours, or is newer than this program.
    """
    if not path.is_file():
        raise StoreError(f"{path} does not exist; `streamreid run` writes it, or name another file")
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    with translated(path):
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
    try:
        with translated(path):
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            _check_is_ours(connection, path)
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise StoreError(f"{path} is empty; nothing has been written to it yet")
    except BaseException:
        connection.close()
        raise
    connection.row_factory = sqlite3.Row
    return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, with the file's name and what to do.

    Args:
        path: The database file, for the message.

    Raises:
        StoreFullError: If there is no room.
        StoreError: For everything else.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error, path) from error


def _translate(error: sqlite3.Error, path: Path) -> StoreError:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name in _FULL:
        return StoreFullError(
            f"{path} cannot grow: the disk or the quota is full; free space, lower store.retention "
            "or set store.max_size"
        )
    if name in _DAMAGED:
        return StoreError(
            f"{path} is damaged or not a database ({error}); restore a backup, or move it away to "
            "start afresh"
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(
            f"{path} is locked by another program; close whatever writes to it and try again"
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return StoreError(
            f"{path} cannot be written ({error}); check the rights of the file and its folder"
        )
    return StoreError(f"{path}: the database reports: {error}")


def _prepare_file(path: Path) -> bool:
    if not path.parent.is_dir():
        raise StoreError(f"the folder {path.parent} does not exist; create it or change store.path")
    if path.is_dir():
        raise StoreError(f"{path} is a folder; store.path must name a file")
    try:
        # Pictures of people: nobody else may read them. SQLite gives -wal and -shm the same rights.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        return path.stat().st_size == 0
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}; check the rights of it and its folder"
        ) from error


def _check_is_ours(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application_id == APPLICATION_ID:
        known = {step.name for step in migrations().pending(Database(memory=True))}
        applied = {
            row[0]
            for row in connection.execute(
                "SELECT name FROM _sqlite_migrations WHERE migration_set = ?", (SET_NAME,)
            )
        }
        if applied - known:
            raise StoreError(
                f"{path} was written by a newer streamreid (schema {max(applied)}); "
                "update streamreid, or use another file"
            )
    elif application_id or (tables and not _only_migrations(connection)):
        raise StoreError(f"{path} is a database of another program; choose another store.path")


def _only_migrations(connection: sqlite3.Connection) -> bool:
    # A crash between creating this table and the first migration leaves nothing else.
    names = {row[0] for row in connection.execute("SELECT tbl_name FROM sqlite_schema")}
    return names <= {"_sqlite_migrations", "sqlite_sequence"}
