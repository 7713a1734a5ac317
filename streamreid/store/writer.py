"""The one writer of a store: reserves row ids, commits whole batches, says what is a duplicate."""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from streamreid.clock import Clock
from streamreid.errors import StoreError, StoreFullError
from streamreid.messages import Disposition, Kind
from streamreid.store.connection import connect_writer, translated
from streamreid.store.insert import Inserter
from streamreid.store.keys import Keys
from streamreid.store.lock import StoreLock
from streamreid.store.receipts import find_receipt, prune_receipts
from streamreid.store.registry import CameraFacts, Registry
from streamreid.store.rows import Batch, MessageId, OpenTrack, RunInfo
from streamreid.store.runs import begin_run, check_after_crash, end_run
from streamreid.types import CameraId, CropKey, TrackId, TrackKey

_PRUNE_EVERY = 10_000


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a batch.

    Attributes:
        known: Messages that were decided about before, and what was decided (`stored`, `stale`
            and so on); nothing of them was written or counted again.
    """

    known: Mapping[MessageId, Disposition]

    @property
    def duplicates(self) -> frozenset[MessageId]:
        """The messages that were decided about before."""
        return frozenset(self.known)

    def disposition(self, message: MessageId, now: Disposition = "stored") -> Disposition:
        """What to acknowledge: what was decided first, however often a message comes.

        Args:
            message: The message.
            now: What this batch decided about it.
        """
        earlier = self.known.get(message)
        if earlier is None:
            return now
        return "duplicate" if earlier == "stored" else earlier


def open_store(
    path: Path, *, run: RunInfo, clock: Clock, durability: str = "normal", owner: str = "run"
) -> "StoreWriter":
    """Open a store for writing, create it if it is not there, and begin a run.

    Args:
        path: The database file.
        run: What to record about this run.
        clock: Wall time for `started_at`, `stored_at` and retention.
        durability: `normal` or `full`, see `StoreConfig`.
        owner: Who writes, named to whoever comes second.

    Returns:
        The writer; use it as a context manager.

    Raises:
        StoreError: If the file cannot be used, is damaged, newer, or in use by another writer.
    """
    if not path.parent.is_dir():
        raise StoreError(f"the folder {path.parent} does not exist; create it or change store.path")
    lock = StoreLock(path, owner=f"{owner}, process {os.getpid()}")
    try:
        connection = connect_writer(path, durability=durability)
        try:
            return StoreWriter(path, connection, lock, run=run, clock=clock)
        except BaseException:
            connection.close()
            raise
    except BaseException:
        lock.release()
        raise


class StoreWriter:
    """Writes everything; one per database file, used from one thread.

    Keys are reserved in memory before the commit, so that the matcher can embed and name crops
    first: `track_key` and `reserve_crop` cost no write, and a key that is never committed is lost.
    What a worker says when it comes or goes (`register_*`, `set_produced`) never fails for lack of
    room: it is written with the next commit that succeeds.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: StoreLock,
        *,
        run: RunInfo,
        clock: Clock,
    ) -> None:
        self._path = path
        self._connection = connection
        self._lock = lock
        self._clock = clock
        self._since_prune = 0
        check_after_crash(connection, path)
        with translated(path):
            self._registry = Registry(connection, self.transaction)
            self._keys = Keys(connection, self._registry.row)
        with self.transaction():
            self._run_id = begin_run(connection, run, now_s=clock.now_s())

    @property
    def path(self) -> Path:
        """The database file."""
        return self._path

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for the other parts of this package only."""
        return self._connection

    @property
    def run_id(self) -> int:
        """Row of this run in `runs`."""
        return self._run_id

    def register_camera(
        self,
        camera_id: CameraId,
        *,
        url: str,
        width: int = 0,
        height: int = 0,
        time_source: str | None = None,
        clock_state: str | None = None,
    ) -> int:
        """Add a camera or bring its row up to date; unknown values leave what is there.

        Args:
            camera_id: Its name.
            url: Its address; credentials are masked again here.
            width: Frame width in pixels, 0 while unknown.
            height: Frame height in pixels, 0 while unknown.
            time_source: Where its times come from.
            clock_state: What is known about its clock.

        Returns:
            Its row id.
        """
        facts = CameraFacts(url, width, height, time_source, clock_state)
        return self._registry.camera(camera_id, facts)

    def register_stream(self, camera_id: CameraId, incarnation: int) -> None:
        """Make the counters of a camera worker's three kinds of messages.

        Raises:
            StoreError: If the camera is not registered.
        """
        self._registry.stream(camera_id, incarnation)

    def camera_row(self, camera_id: CameraId) -> int:
        """Row id of a registered camera.

        Raises:
            StoreError: If it is not registered.
        """
        return self._registry.row(camera_id)

    def track_key(
        self, camera_id: CameraId, incarnation: int, track_id: TrackId, started_at_s: float
    ) -> TrackKey:
        """Row id of a track: the one it has, or a new one that its first commit will use.

        Args:
            camera_id: Camera of the track.
            incarnation: Incarnation of the camera's worker.
            track_id: Track inside that camera and incarnation.
            started_at_s: Capture time of its first detection, epoch seconds.
        """
        with translated(self._path):
            return self._keys.track((camera_id, incarnation, track_id), started_at_s)

    def reserve_crop(self) -> CropKey:
        """A new row id for a crop."""
        return self._keys.crop()

    def receipt(self, message: MessageId) -> Disposition | None:
        """What was decided about a message before; None when it is new."""
        with translated(self._path):
            return find_receipt(self._connection, self.camera_row(message.camera_id), message)

    def commit(self, batch: Batch) -> Committed:
        """Write a batch in one transaction; what this returns may be acknowledged.

        Messages that the store knows already are skipped, decisions likewise on (track, revision),
        so a batch may be committed again after any failure.

        Raises:
            StoreFullError: If there is no room; nothing of the batch was written.
            StoreError: If it failed otherwise; nothing of the batch was written.
        """
        insert = Inserter(
            self._connection,
            cameras=self._registry.cameras,
            origins=self._keys.origins,
            stored_at_s=self._clock.now_s(),
        )
        with self.transaction():
            self._registry.write_waiting()
            insert.write(batch)
        self._registry.written()
        self._keys.ended(end.track for end in batch.ends)
        self._since_prune += len(batch.crops) + len(batch.detections)
        if self._since_prune >= _PRUNE_EVERY:
            self._since_prune = 0
            with self.transaction():
                prune_receipts(self._connection)
        return Committed(insert.known)

    def set_produced(
        self,
        camera_id: CameraId,
        incarnation: int,
        kind: Kind,
        produced: int,
        dropped: Mapping[str, int],
    ) -> None:
        """Record a camera worker's own counters.

        Args:
            camera_id: The camera.
            incarnation: Incarnation of its worker.
            kind: Kind of message.
            produced: Messages made so far.
            dropped: Drops that only the worker knows of, such as `queue_full`; these reasons are
                overwritten (0 takes one out), those counted here (`stale`, `rejected`, `disk_full`)
                are kept.
        """
        self._registry.produced(camera_id, incarnation, kind, produced, dropped)

    def settle_crashes(self) -> None:
        """Take back losses of killed workers whose messages the store holds after all."""
        self._registry.settle_crashes()

    def audit(self, actor: str, action: str, detail: Mapping[str, str | int | None]) -> None:
        """Record who changed or looked up what through the control channel."""
        with self.transaction():
            self._connection.execute(
                "INSERT INTO audit (at, actor, action, detail) VALUES (?, ?, ?, ?)",
                (self._clock.now_s(), actor, action, json.dumps(dict(detail))),
            )

    def label_identity(self, identity_id: int, label: str | None) -> None:
        """Give an identity a name of the operator's choice, or take it away.

        Raises:
            StoreError: If there is no such identity.
        """
        with self.transaction():
            changed = self._connection.execute(
                "UPDATE identities SET label = ? WHERE id = ?", (label, identity_id)
            ).rowcount
        if not changed:
            raise StoreError(f"there is no identity {identity_id} in {self._path}")

    def open_tracks(self, camera_id: CameraId, *, except_incarnation: int) -> tuple[OpenTrack, ...]:
        """Tracks that a dead worker of this camera left open; the matcher ends them as `lost`."""
        with translated(self._path):
            rows = self._connection.execute(
                "SELECT id, incarnation, started_at, seen_at FROM tracks "
                "WHERE camera_id = ? AND ended_at IS NULL AND incarnation != ? ORDER BY id",
                (self.camera_row(camera_id), except_incarnation),
            ).fetchall()
        return tuple(
            OpenTrack(TrackKey(key), camera_id, incarnation, started, seen)
            for key, incarnation, started, seen in rows
        )

    def close(self, exit_reason: str = "done") -> None:
        """End the run, fold the write-ahead log into the file and close it; safe to call twice.

        On a full disk the run's end cannot be noted, and the next start will call it a crash;
        everything committed is safe all the same.
        """
        if self._lock.released:
            return
        try:
            with self.transaction():
                now_s = self._clock.now_s()
                end_run(self._connection, self._run_id, reason=exit_reason, now_s=now_s)
        except StoreFullError:
            # Nothing is lost but this note; an error now would hide how the run really ended.
            return
        finally:
            self._connection.close()
            self._lock.release()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction: committed at the end, rolled back on any error.

        Raises:
            StoreFullError: If there is no room.
            StoreError: If SQLite failed otherwise.
        """
        with translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk has rolled it back already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close("failed")
        except StoreError:
            # The first error is the one to tell.
            return
