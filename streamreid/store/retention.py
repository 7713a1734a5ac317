"""Forgetting: what is older than promised goes, in small steps, exactly on time and never early."""

from dataclasses import dataclass
from pathlib import Path

from streamreid.clock import Clock
from streamreid.store.connection import translated
from streamreid.store.writer import StoreWriter
from streamreid.types import CropKey, TrackKey

STEP_TRACKS = 100
STEP_CROPS = 200
"""A step ends after the track that reaches this many crops: they are the large part."""

STEP_PAGES = 2000
SHRINK_TO = 0.9
"""Once max_size is exceeded, tracks go until this share of it is used."""

_CLOCK_SLACK_S = 60.0


@dataclass(frozen=True, slots=True)
class Removed:
    """What one step took away.

    Attributes:
        tracks: Row ids of tracks that are gone.
        crops: Row ids of crops that are gone; they must leave the gallery too.
        more: True when another step has work to do.
    """

    tracks: tuple[TrackKey, ...] = ()
    crops: tuple[CropKey, ...] = ()
    more: bool = False


class Retention:
    """Deletes by age and by size; call `step` regularly, each call takes a few milliseconds.

    The age of a row counts from the moment it was stored here, not from its capture time: a
    recorded file from last year stays as long as a live camera's rows. A track goes, with all that
    belongs to it, `max_age_s` after it was last added to; a crop `max_age_s` after it was stored.

    Args:
        store: The open store.
        clock: Wall time; a forward jump of it while running deletes nothing early.
        max_age_s: What is older goes, seconds.
        max_size_bytes: The oldest closed tracks go when the file holds more; None is no limit.
    """

    def __init__(
        self, store: StoreWriter, *, clock: Clock, max_age_s: float, max_size_bytes: int | None
    ) -> None:
        self._store = store
        self._clock = clock
        self._max_age_s = max_age_s
        self._max_size_bytes = max_size_bytes
        self._shrinking = False
        self._began_s = clock.now_s()
        self._began_monotonic_s = clock.monotonic_s()

    @property
    def cutoff_s(self) -> float:
        """What was stored before this wall time may go, epoch seconds."""
        running_s = self._clock.monotonic_s() - self._began_monotonic_s
        # A clock set forward must not age everything at once; it is believed after the next start.
        now_s = min(self._clock.now_s(), self._began_s + running_s + _CLOCK_SLACK_S)
        return now_s - self._max_age_s

    def step(self) -> Removed:
        """Delete a little of what is due.

        Raises:
            StoreFullError: If even deleting needs room that is not there.
            StoreError: If SQLite failed otherwise.
        """
        cutoff_s = self.cutoff_s
        tracks = self._old_tracks(cutoff_s)
        if not tracks:
            tracks = self._oldest_when_too_large()
        gone, crops = self._delete(tracks, cutoff_s)
        self._vacuum()
        unfinished = len(gone) < len(tracks) or len(tracks) == STEP_TRACKS
        more = unfinished or len(crops) >= STEP_CROPS or self._shrinking
        return Removed(gone, crops, more)

    def forget_maps(self, before_s: float) -> int:
        """Drop feature maps that the gallery does not need any more; the vectors stay.

        Args:
            before_s: Maps of crops captured before this event time go, epoch seconds.

        Returns:
            How many were dropped; at most `STEP_CROPS`, so call again while it is that many.
        """
        with self._store.transaction():
            return self._store.connection.execute(
                "UPDATE crops SET feature_map = NULL WHERE id IN (SELECT id FROM crops "
                "WHERE feature_map IS NOT NULL AND captured_at < ? LIMIT ?)",
                (before_s, STEP_CROPS),
            ).rowcount

    def _old_tracks(self, cutoff_s: float) -> tuple[TrackKey, ...]:
        with translated(self._store.path):
            rows = self._store.connection.execute(
                "SELECT id FROM tracks WHERE stored_at < ? ORDER BY stored_at, id LIMIT ?",
                (cutoff_s, STEP_TRACKS),
            ).fetchall()
        return tuple(TrackKey(row[0]) for row in rows)

    def _oldest_when_too_large(self) -> tuple[TrackKey, ...]:
        if self._max_size_bytes is None:
            return ()
        limit = self._max_size_bytes * (SHRINK_TO if self._shrinking else 1.0)
        self._shrinking = used_bytes(self._store) > limit
        if not self._shrinking:
            return ()
        with translated(self._store.path):
            rows = self._store.connection.execute(
                "SELECT id FROM tracks WHERE ended_at IS NOT NULL ORDER BY stored_at, id LIMIT ?",
                (STEP_TRACKS // 10,),
            ).fetchall()
        self._shrinking = bool(rows)
        return tuple(TrackKey(row[0]) for row in rows)

    def _delete(
        self, tracks: tuple[TrackKey, ...], cutoff_s: float
    ) -> tuple[tuple[TrackKey, ...], tuple[CropKey, ...]]:
        execute = self._store.connection.execute
        crops: list[CropKey] = []
        gone: list[TrackKey] = []
        with self._store.transaction():
            for track in tracks:
                if len(crops) >= STEP_CROPS:
                    break
                gone.append(track)
                (identity,) = execute(
                    "SELECT identity_id FROM tracks WHERE id = ?", (track,)
                ).fetchone()
                rows = execute("SELECT id FROM crops WHERE track_id = ?", (track,))
                crops += [CropKey(row[0]) for row in rows]
                # Crops and detections follow the track; the ledger is not tied to it.
                execute("DELETE FROM tracks WHERE id = ?", (track,))
                execute("DELETE FROM decisions WHERE track_id = ?", (track,))
                execute(
                    "DELETE FROM identities WHERE id = ? "
                    "AND NOT EXISTS (SELECT 1 FROM tracks WHERE identity_id = identities.id)",
                    (identity,),
                )
            crops += self._delete_old_rows(cutoff_s)
        self._delete_artifacts(cutoff_s)
        return tuple(gone), tuple(crops)

    def _delete_old_rows(self, cutoff_s: float) -> list[CropKey]:
        execute = self._store.connection.execute
        rows = execute(
            "DELETE FROM crops WHERE id IN (SELECT id FROM crops WHERE stored_at < ? "
            "ORDER BY stored_at LIMIT ?) RETURNING id",
            (cutoff_s, STEP_CROPS),
        ).fetchall()
        execute("DELETE FROM events WHERE created_at < ?", (cutoff_s,))
        execute(
            "DELETE FROM receipts WHERE (camera_id, incarnation, kind) IN "
            "(SELECT camera_id, incarnation, kind FROM streams WHERE updated_at < ?)",
            (cutoff_s,),
        )
        return [CropKey(row[0]) for row in rows]

    def _delete_artifacts(self, cutoff_s: float) -> None:
        execute = self._store.connection.execute
        with translated(self._store.path):
            rows = execute(
                "SELECT id, path FROM artifacts WHERE created_at < ?", (cutoff_s,)
            ).fetchall()
        for row, path in rows:
            # The file first: a row without a file does no harm, a forgotten file does.
            Path(path).unlink(missing_ok=True)
            with self._store.transaction():
                execute("DELETE FROM artifacts WHERE id = ?", (row,))

    def _vacuum(self) -> None:
        with translated(self._store.path):
            (free,) = self._store.connection.execute("PRAGMA freelist_count").fetchone()
            if free > STEP_PAGES // 10:
                # `execute` would give back a single page per call.
                self._store.connection.executescript(f"PRAGMA incremental_vacuum({STEP_PAGES})")


def used_bytes(store: StoreWriter) -> int:
    """Bytes of the file that hold something, the write-ahead log left out."""
    with translated(store.path):
        values = [
            store.connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        ]
    pages, free, size = values
    return int((pages - free) * size)
