"""Whole copies of a store: an online backup, and a clean copy for others."""

import os
import sqlite3
from pathlib import Path

from streamreid.errors import StoreError
from streamreid.store.connection import connect_reader, translated

_INTERNAL = ("receipts", "events")
_PICTURES = "UPDATE crops SET jpeg = NULL, vector = NULL, feature_map = NULL"


def backup(source: Path, target: Path) -> None:
    """Copy a store as it is, while a run may write to it; the copy is checked before it appears.

    Args:
        source: The store.
        target: The new file; it must not exist.

    Raises:
        StoreError: If the source is no store, the target exists or cannot be written, or the copy
            is not sound.
    """
    part = _part_of(target)
    reader = connect_reader(source)
    try:
        with translated(part):
            copy = sqlite3.connect(part)
            try:
                # All pages at once: a copy in steps would begin again at every commit of the run.
                reader.backup(copy, pages=-1)
            finally:
                copy.close()
        _finish(part, target)
    finally:
        reader.close()
        _remove(part)


def clean_copy(source: Path, target: Path, *, pictures: bool = True) -> None:
    """Write a compact copy for others: no feature maps, no receipts, no outbox, one plain file.

    Args:
        source: The store.
        target: The new file; it must not exist.
        pictures: False leaves out pictures and vectors of people.

    Raises:
        StoreError: As for `backup`.
    """
    part = _part_of(target)
    _remove(part)
    reader = connect_reader(source)
    try:
        with translated(part):
            # Reading stays reading; SQLite counts the new file as a write, so allow this one.
            reader.execute("PRAGMA query_only = OFF")
            reader.execute("VACUUM INTO ?", (str(part),))
            copy = sqlite3.connect(part, isolation_level=None)
            try:
                copy.execute("PRAGMA foreign_keys = OFF")
                for table in _INTERNAL:
                    copy.execute(f"DELETE FROM {table}")  # noqa: S608 - a constant
                copy.execute("UPDATE crops SET feature_map = NULL" if pictures else _PICTURES)
                copy.execute("VACUUM")
            finally:
                copy.close()
        _finish(part, target)
    finally:
        reader.close()
        _remove(part)


def _part_of(target: Path) -> Path:
    if target.exists():
        raise StoreError(f"{target} exists already; choose another name or delete it first")
    if not target.parent.is_dir():
        raise StoreError(f"the folder {target.parent} does not exist; create it first")
    part = target.with_name(f"{target.name}.part")
    try:
        # Pictures of people: nobody else may read the copy either.
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from error
    return part


def _finish(part: Path, target: Path) -> None:
    with translated(part):
        copy = sqlite3.connect(part)
        try:
            copy.execute("PRAGMA journal_mode = DELETE")
            (verdict,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        finally:
            copy.close()
    if verdict != "ok":
        raise StoreError(f"the copy of the store is not sound ({verdict}); the source is damaged")
    part.chmod(0o600)
    part.rename(target)


def _remove(part: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        part.with_name(part.name + suffix).unlink(missing_ok=True)
