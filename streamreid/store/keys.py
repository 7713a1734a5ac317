"""Row ids in memory: reserved before anything is written, never used twice, found again later."""

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable

from streamreid.store.insert import TrackOrigin
from streamreid.types import CameraId, CropKey, TrackId, TrackKey

_ENDED_TRACKS_KEPT = 10_000

_Name = tuple[CameraId, int, TrackId]


def next_id(connection: sqlite3.Connection, table: str) -> int:
    """First row id of a table that was never used.

    Args:
        connection: The open database.
        table: A table with AUTOINCREMENT: SQLite remembers the ids of deleted rows.
    """
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return 1 if row is None else int(row[0]) + 1


class Keys:
    """Gives tracks and crops their row ids.

    Args:
        connection: The open database.
        camera_row: Row id of a camera by its name.

    Attributes:
        origins: Where every track that was named lately comes from, for its first row.
    """

    def __init__(
        self, connection: sqlite3.Connection, camera_row: Callable[[CameraId], int]
    ) -> None:
        self._connection = connection
        self._camera_row = camera_row
        self._next_track = next_id(connection, "tracks")
        self._next_crop = next_id(connection, "crops")
        self._tracks: dict[_Name, TrackKey] = {}
        self._names: dict[TrackKey, _Name] = {}
        self._ended: deque[TrackKey] = deque()
        self.origins: dict[TrackKey, TrackOrigin] = {}

    def track(self, name: _Name, started_at_s: float) -> TrackKey:
        """The row id that a track has, or a new one.

        Args:
            name: Camera, incarnation of its worker, track inside them.
            started_at_s: Capture time of the first detection, epoch seconds.
        """
        key = self._tracks.get(name)
        if key is None:
            key = self._find(name)
            if key is None:
                key = TrackKey(self._next_track)
                self._next_track += 1
            self._tracks[name] = key
            self._names[key] = name
            self.origins[key] = TrackOrigin(
                self._camera_row(name[0]), name[1], name[2], started_at_s
            )
        return key

    def crop(self) -> CropKey:
        """A new row id for a crop."""
        key = CropKey(self._next_crop)
        self._next_crop += 1
        return key

    def ended(self, tracks: Iterable[TrackKey]) -> None:
        """These tracks have ended; their names are forgotten after many others have."""
        self._ended.extend(tracks)
        # Not at once: a crop of an ended track may still be on its way to the network.
        while len(self._ended) > _ENDED_TRACKS_KEPT:
            key = self._ended.popleft()
            name = self._names.pop(key, None)
            self.origins.pop(key, None)
            if name is not None:
                self._tracks.pop(name, None)

    def _find(self, name: _Name) -> TrackKey | None:
        camera_id, incarnation, track_id = name
        row = self._connection.execute(
            "SELECT id FROM tracks WHERE camera_id = ? AND incarnation = ? AND camera_track_id = ?",
            (self._camera_row(camera_id), incarnation, track_id),
        ).fetchone()
        return None if row is None else TrackKey(row[0])
