"""One writer per database: an advisory lock that the system releases when its owner dies."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from streamreid.errors import StoreError

_MAX_OWNER_BYTES = 200


class StoreLock:
    """Holds `<database>.writer`; the file stays, only the lock on it comes and goes."""

    def __init__(self, store_path: Path, *, owner: str) -> None:
        """Take the lock.

        Args:
            store_path: The database file.
            owner: Who holds it, shown to whoever comes second, such as `run, process 4711`.

        Raises:
            StoreError: If another process holds it; the message names that process.
        """
        path = store_path.with_name(f"{store_path.name}.writer")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, _MAX_OWNER_BYTES).decode("utf-8", "replace").strip()
            os.close(self._descriptor)
            raise StoreError(
                f"{store_path} is in use by {holder or 'another process'}; stop it first, or use "
                "another store.path"
            ) from error
        self._write_owner(owner)

    def _write_owner(self, owner: str) -> None:
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, owner.encode()[:_MAX_OWNER_BYTES], 0)
        except OSError:
            # A full disk must not keep the store from being opened; only the name is missing then.
            return

    @property
    def released(self) -> bool:
        """Whether it was given back."""
        return self._descriptor < 0

    def release(self) -> None:
        """Give the lock back; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
