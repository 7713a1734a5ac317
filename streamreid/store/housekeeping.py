"""Everything a writer does besides writing: retention, disk space, reserve, size of the log."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamreid.clock import Clock
from streamreid.errors import StoreFullError
from streamreid.store.connection import WAL_LIMIT_BYTES, translated
from streamreid.store.retention import STEP_CROPS, Removed, Retention, used_bytes
from streamreid.store.writer import StoreWriter

Disk = Literal["ok", "low", "full"]
"""`low`: crops are refused as `disk_full`, the rest goes on; `full`: nothing can be written."""

RESERVE_BYTES = 64 * 2**20
_RECOVERED = 1.1
_FULL_FREE_BYTES = 2**20
_TURN_S = 0.05


@dataclass(frozen=True, slots=True)
class HousekeepingRules:
    """What is kept and how much room is left to others.

    Attributes:
        max_age_s: What was stored longer ago goes, seconds.
        max_size_bytes: Largest size of the database; None is no limit.
        gallery_age_s: Feature maps of crops captured longer ago go, seconds of event time.
        min_free_bytes: Below this much free space no crops are written.
        reserve_bytes: Size of a file kept only to be deleted when the disk is full.
    """

    max_age_s: float
    max_size_bytes: int | None = None
    gallery_age_s: float = 7200.0
    min_free_bytes: int = 500 * 10**6
    reserve_bytes: int = RESERVE_BYTES


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """What one turn found and did.

    Attributes:
        disk: Whether there is room.
        removed: What retention took away; its crops must leave the gallery.
        store_bytes: Bytes in use in the database.
        wal_bytes: Size of the write-ahead log.
        free_bytes: Free space on the disk.
    """

    disk: Disk
    removed: Removed
    store_bytes: int
    wal_bytes: int
    free_bytes: int


class Housekeeper:
    """Keeps a store in bounds; `turn` is called about once a second by whoever writes.

    Args:
        store: The open store.
        clock: Wall and monotonic time.
        rules: What is kept.
    """

    def __init__(self, store: StoreWriter, *, clock: Clock, rules: HousekeepingRules) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules
        self._retention = Retention(
            store, clock=clock, max_age_s=rules.max_age_s, max_size_bytes=rules.max_size_bytes
        )
        self._reserve = Reserve(
            store.path.with_name(f"{store.path.name}.reserve"), rules.reserve_bytes
        )
        self._low = False

    def turn(self, *, event_time_s: float) -> Housekeeping:
        """Forget what is due, measure, and say whether there is room.

        Args:
            event_time_s: How far the cameras have come, epoch seconds of capture time.

        Raises:
            StoreError: If the database failed for another reason than room.
        """
        free_bytes = self._measure_disk()
        removed = Removed()
        full = free_bytes < _FULL_FREE_BYTES
        if full:
            self._reserve.release()
        try:
            removed = self._forget(event_time_s)
            self._fold_log(force=full)
        except StoreFullError:
            # Deleting needs room as well: the reserve is what makes it possible.
            full = True
            self._reserve.release()
        # Taking the reserve must not itself make the disk look full.
        if not full and free_bytes >= self._rules.min_free_bytes + 2 * self._rules.reserve_bytes:
            self._reserve.take()
        return Housekeeping(
            disk="full" if full else "low" if self._low else "ok",
            removed=removed,
            store_bytes=used_bytes(self._store),
            wal_bytes=_size(self._store.path.with_name(f"{self._store.path.name}-wal")),
            free_bytes=free_bytes,
        )

    def _forget(self, event_time_s: float) -> Removed:
        """Retention for as long as a turn may take; what is left is for the next turn."""
        until_s = self._clock.monotonic_s() + _TURN_S
        removed = self._retention.step()
        tracks, crops = list(removed.tracks), list(removed.crops)
        while removed.more and self._clock.monotonic_s() < until_s:
            removed = self._retention.step()
            tracks += removed.tracks
            crops += removed.crops
        before_s = event_time_s - self._rules.gallery_age_s
        while self._retention.forget_maps(before_s) == STEP_CROPS:
            if self._clock.monotonic_s() >= until_s:
                break
        return Removed(tuple(tracks), tuple(crops), removed.more)

    def close(self) -> None:
        """Delete the reserve file; a stopped program needs none."""
        self._reserve.release()

    def _measure_disk(self) -> int:
        status = os.statvfs(self._store.path.parent)
        free_bytes = status.f_bavail * status.f_frsize
        # Two thresholds, so that the answer does not change with every row.
        limit = self._rules.min_free_bytes * (_RECOVERED if self._low else 1.0)
        self._low = free_bytes < limit
        return free_bytes

    def _fold_log(self, *, force: bool) -> None:
        path = self._store.path.with_name(f"{self._store.path.name}-wal")
        # Freed pages go back to the disk only when the log is folded into the file.
        if force or _size(path) > WAL_LIMIT_BYTES // 2:
            with translated(self._store.path):
                self._store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


class Reserve:
    """A file that takes up room now so that retention has some when the disk is full."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes

    def take(self) -> None:
        """Make the file unless it is there; without room for it nothing happens."""
        if not self._size_bytes or _size(self._path) >= self._size_bytes:
            return
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return
        try:
            os.posix_fallocate(descriptor, 0, self._size_bytes)
        except OSError:
            self.release()
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Delete the file; safe to call twice."""
        self._path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
