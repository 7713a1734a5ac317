"""Writes the workers' own counters into the store, so that they outlive the run folder."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from streamreid.errors import StoreError
from streamreid.messages import Kind
from streamreid.runtime.counter_rows import CounterRow, Counts, counter_paths, file_number, read_row
from streamreid.types import CameraId

_WORKER_REASONS = ("queue_full", "shutdown", "worker_crash")
"""Drops that only the worker, or the supervisor in its stead, knows of."""

_NOTHING: tuple[int, Mapping[str, int]] = (0, dict.fromkeys(_WORKER_REASONS, 0))


class BookStore(Protocol):
    """What is needed of the store's writer."""

    def register_stream(self, camera_id: CameraId, incarnation: int) -> None:
        """Make the rows of a worker."""

    def set_produced(
        self,
        camera_id: CameraId,
        incarnation: int,
        kind: Kind,
        produced: int,
        dropped: Mapping[str, int],
    ) -> None:
        """Write one worker's counters of one kind."""

    def settle_crashes(self) -> None:
        """Take back losses whose messages are there after all."""


class StreamBooks:
    """Brings the store's `streams` table up to date with the counter files.

    Args:
        run_dir: Private folder of the run.
        store: The store's writer.
    """

    def __init__(self, run_dir: Path, store: BookStore) -> None:
        self._run_dir = run_dir
        self._store = store
        self._written: dict[tuple[int, Kind], tuple[int, Mapping[str, int]]] = {}
        self._final: dict[Path, int] = {}

    def record(self) -> int:
        """Write what has changed since the last time; returns how many rows that were.

        The counters of the run before are written too, once: its workers may have been killed
        together with everybody else.
        """
        earlier = counter_paths(self._run_dir, earlier=True)
        count = self._record(earlier) + self._record(counter_paths(self._run_dir))
        self._store.settle_crashes()
        return count

    def _record(self, paths: Iterable[Path]) -> int:
        count = 0
        for path in paths:
            file = file_number(path)
            if self._final.get(path) == file:
                continue
            row = read_row(path)
            if row is None or file is None or row.role != "camera" or not row.consistent:
                continue
            written = self._write(row)
            if written is None:
                continue
            count += written
            if row.closed:
                self._final[path] = file
        return count

    def _write(self, row: CounterRow) -> int | None:
        """Write one worker; None while the store does not know its camera."""
        camera_id = CameraId(row.name)
        changed = [
            (kind, counts)
            for kind, counts in row.books.items()
            if self._written.get((row.incarnation, kind), _NOTHING) != _facts(counts)
        ]
        if not changed:
            return 0
        try:
            self._store.register_stream(camera_id, row.incarnation)
        except StoreError:
            return None
        for kind, counts in changed:
            produced, dropped = _facts(counts)
            self._store.set_produced(camera_id, row.incarnation, kind, produced, dropped)
            self._written[row.incarnation, kind] = (produced, dropped)
        return len(changed)


def _facts(counts: Counts) -> tuple[int, Mapping[str, int]]:
    """What the store does not know by itself."""
    return counts.produced, {reason: counts.dropped[reason] for reason in _WORKER_REASONS}
