"""One writer per store: a lock that ends with the process that holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamreid.errors import ControlError


class StoreInUseError(ControlError):
    """Another process holds the lock of this store."""


@contextmanager
def lock_store(store_path: Path, holder: str) -> Iterator[None]:
    """Hold the lock of a store.

    Args:
        store_path: The database file; the lock is a file beside it, `NAME.lock`.
        holder: What others are told, such as `streamreid run --cameras cams.yaml`.

    Raises:
        StoreInUseError: Somebody else holds it; names them.
        ControlError: The lock file cannot be made.
    """
    path = store_path.with_name(store_path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise ControlError(f"cannot make the lock file '{path}': {exc.strerror}") from exc
    try:
        _take(descriptor, store_path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{holder} (process {os.getpid()})\n".encode(), 0)
        yield
    finally:
        # the file stays: removing it could hand two processes two different locks
        os.close(descriptor)


def lock_holder(store_path: Path) -> str | None:
    """Who holds the lock of a store, or None."""
    try:
        descriptor = os.open(store_path.with_name(store_path.name + ".lock"), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _take(descriptor: int, store_path: Path) -> None:
    """Take the lock or say who has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise StoreInUseError(
            f"store '{store_path}' is in use by {_read_holder(descriptor)}: stop that one first, "
            "or choose another store.path"
        ) from exc


def _read_holder(descriptor: int) -> str:
    """What the holder wrote about itself."""
    text = os.pread(descriptor, 400, 0).decode("utf-8", "replace").strip()
    return text or "another process"
