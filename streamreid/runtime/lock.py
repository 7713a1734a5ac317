"""One run per run folder: a lock that ends with the process that holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamreid.errors import ControlError, StoreError


class RunInUseError(ControlError):
    """Another process holds the lock of this run folder."""


@contextmanager
def lock_run(run_dir: Path, holder: str) -> Iterator[None]:
    """Hold the lock of a run folder; the matcher's lock on the store itself is another one.

    Args:
        run_dir: Private folder of the run, made when missing.
        holder: What others are told, such as `streamreid run --cameras cams.yaml`.

    Raises:
        RunInUseError: Somebody else holds it; names them.
        StoreError: The folder or the lock file in it cannot be made.
    """
    path = run_dir / "lock"
    try:
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise StoreError(
            f"'{run_dir}' cannot be written ({exc.strerror}); choose another store.path, or run_dir"
        ) from exc
    try:
        _take(descriptor, run_dir)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{holder} (process {os.getpid()})\n".encode(), 0)
        yield
    finally:
        # the file stays: removing it could hand two processes two different locks
        os.close(descriptor)


def run_holder(run_dir: Path) -> str | None:
    """Who holds the lock of a run folder, or None."""
    try:
        descriptor = os.open(run_dir / "lock", os.O_RDONLY)
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


def _take(descriptor: int, run_dir: Path) -> None:
    """Take the lock or say who has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise RunInUseError(
            f"'{run_dir}' is in use by {_read_holder(descriptor)}: stop that one first "
            "(`streamreid stop`), or choose another store.path"
        ) from exc


def _read_holder(descriptor: int) -> str:
    """What the holder wrote about itself."""
    text = os.pread(descriptor, 400, 0).decode("utf-8", "replace").strip()
    return text or "another process"
