"""Read-only questions to a store: who was where, why, what was counted; for reports and status."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from streamreid.association.ledger import Decision
from streamreid.messages import Kind
from streamreid.store.connection import connect_reader, translated
from streamreid.store.views import (
    CameraRow,
    CounterRow,
    CropPicture,
    DetectionRow,
    EventRow,
    IdentityRow,
    RunRow,
    TrackRow,
    TransitionRow,
)
from streamreid.types import CameraId, CropKey, IdentityId, TrackKey


def open_reader(path: Path) -> "StoreReader":
    """Open a store for reading, while a run writes to it or afterwards.

    Raises:
        StoreError: If there is no such file, or it is no store.
    """
    return StoreReader(path, connect_reader(path))


_TRACKS = """
    SELECT t.id, c.name, t.started_at, coalesce(t.ended_at, t.seen_at) AS until,
        t.ended_at IS NULL AS open, t.end_reason, t.detection_count, t.identity_id
    FROM tracks t JOIN cameras c ON c.id = t.camera_id
    WHERE (:camera IS NULL OR c.name = :camera)
        AND (:identity IS NULL OR t.identity_id = :identity)
        AND coalesce(t.ended_at, t.seen_at) >= :since AND t.started_at <= :until
    ORDER BY t.started_at, t.id
"""


class StoreReader:
    """Typed questions to a store; nothing can be written through it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    @property
    def path(self) -> Path:
        """The database file."""
        return self._path

    @property
    def connection(self) -> sqlite3.Connection:
        """The read-only connection, for the other parts of this package only."""
        return self._connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All questions inside see the store as it was at the first of them.

        Keep it short: while it lasts the writer's log cannot be folded into the file.
        """
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def runs(self) -> tuple[RunRow, ...]:
        """Every start of the matcher, oldest first."""
        rows = self._all("SELECT * FROM runs ORDER BY id")
        return tuple(
            RunRow(
                run_id=row["id"],
                started_at_s=row["started_at"],
                ended_at_s=row["ended_at"],
                config_digest=row["config_digest"],
                weights_digest=row["weights_digest"],
                versions=json.loads(row["versions"]),
                choices=json.loads(row["choices"]),
                exit_reason=row["exit_reason"],
            )
            for row in rows
        )

    def cameras(self) -> tuple[CameraRow, ...]:
        """Every camera, in the order in which they were first seen."""
        rows = self._all(
            "SELECT name, url, width, height, time_source, clock_state FROM cameras ORDER BY id"
        )
        return tuple(CameraRow(*row) for row in rows)

    def counters(self) -> tuple[CounterRow, ...]:
        """Messages per camera and kind, over all incarnations."""
        rows = self._all(
            "SELECT c.name, s.kind, s.produced, s.stored, s.dropped FROM streams s "
            "JOIN cameras c ON c.id = s.camera_id ORDER BY c.id, s.kind, s.incarnation"
        )
        sums: dict[tuple[CameraId, Kind], CounterRow] = {}
        for name, kind, produced, stored, text in rows:
            key = (CameraId(name), kind)
            old = sums.get(key, CounterRow(*key, 0, 0, {}, 0))
            dropped = dict(old.dropped)
            for reason, count in json.loads(text).items():
                dropped[reason] = dropped.get(reason, 0) + count
            sums[key] = CounterRow(
                *key, old.produced + produced, old.stored + stored, dropped, old.incarnations + 1
            )
        return tuple(sums.values())

    def time_span(self) -> tuple[float, float] | None:
        """First and last capture time of any track, epoch seconds; None when there is none."""
        (row,) = self._all("SELECT min(started_at), max(coalesce(ended_at, seen_at)) FROM tracks")
        return None if row[0] is None else (row[0], row[1])

    def tracks(
        self,
        *,
        camera_id: CameraId | None = None,
        identity_id: IdentityId | None = None,
        since_s: float = float("-inf"),
        until_s: float = float("inf"),
    ) -> tuple[TrackRow, ...]:
        """Tracks that touch a span of time, oldest first.

        Args:
            camera_id: Only of this camera.
            identity_id: Only of this identity.
            since_s: Start of the span, epoch seconds.
            until_s: End of the span, epoch seconds.
        """
        values = {"camera": camera_id, "identity": identity_id, "since": since_s, "until": until_s}
        return tuple(_track(row) for row in self._all(_TRACKS, values))

    def identities(self, *, with_merged: bool = False) -> tuple[IdentityRow, ...]:
        """Every identity with its tracks, oldest first.

        Args:
            with_merged: Whether to list those that became part of another one.
        """
        tracks: dict[int, list[TrackRow]] = {}
        for track in self.tracks():
            if track.identity_id is not None:
                tracks.setdefault(track.identity_id, []).append(track)
        rows = self._all(
            "SELECT id, status, created_at, last_seen_at, merged_into, label FROM identities "
            "WHERE :merged OR status != 'merged' ORDER BY id",
            {"merged": with_merged},
        )
        return tuple(IdentityRow(*(*row, tuple(tracks.get(row["id"], ())))) for row in rows)

    def best_crop(self, track: TrackKey) -> CropPicture | None:
        """The crop of highest quality of a track, None when it has none."""
        crops = self.crops(track, limit=1)
        return crops[0] if crops else None

    def crops(self, track: TrackKey, *, limit: int = 100) -> tuple[CropPicture, ...]:
        """Crops of a track, best first.

        Args:
            track: Row id of the track.
            limit: At most so many.
        """
        rows = self._all(
            "SELECT id, track_id, captured_at, quality, confidence, x1, y1, x2, y2, jpeg "
            "FROM crops WHERE track_id = ? ORDER BY quality DESC, id LIMIT ?",
            (track, limit),
        )
        return tuple(_crop(row) for row in rows)

    def crop(self, key: CropKey) -> CropPicture | None:
        """One crop by its row id, None when it is gone."""
        rows = self._all(
            "SELECT id, track_id, captured_at, quality, confidence, x1, y1, x2, y2, jpeg "
            "FROM crops WHERE id = ?",
            (key,),
        )
        return _crop(rows[0]) if rows else None

    def features(self, key: CropKey) -> tuple[bytes, bytes] | None:
        """Feature map and pooled vector of a crop, None when they are not kept any more."""
        rows = self._all("SELECT feature_map, vector FROM crops WHERE id = ?", (key,))
        if not rows or rows[0]["feature_map"] is None or rows[0]["vector"] is None:
            return None
        return rows[0]["feature_map"], rows[0]["vector"]

    def detections(self, track: TrackKey) -> tuple[DetectionRow, ...]:
        """Detections of a track, oldest first."""
        rows = self._all(
            "SELECT captured_at, x1, y1, x2, y2, confidence FROM detections "
            "WHERE track_id = ? ORDER BY captured_at",
            (track,),
        )
        return tuple(DetectionRow(row[0], (row[1], row[2], row[3], row[4]), row[5]) for row in rows)

    def decisions(self, track: TrackKey | None = None) -> tuple[Decision, ...]:
        """The ledger of one track, or of all, oldest first."""
        rows = self._all(
            "SELECT track_id, revision, decided_at, identity_id, probability, appearance, "
            "cooccurrence, transition, runner_up_identity_id, runner_up_probability, reason, "
            "actor, final FROM decisions WHERE :track IS NULL OR track_id = :track ORDER BY id",
            {"track": track},
        )
        return tuple(Decision(*(*row[:12], bool(row[12]))) for row in rows)

    def transitions(self) -> tuple[TransitionRow, ...]:
        """Learned transition times, by camera pair."""
        columns = {row["name"] for row in self._all("PRAGMA table_info(transitions)")}
        rows = self._all(
            "SELECT a.name AS source, b.name AS target, t.* FROM transitions t "
            "JOIN cameras a ON a.id = from_camera_id JOIN cameras b ON b.id = to_camera_id "
            "ORDER BY a.name, b.name"
        )
        return tuple(
            TransitionRow(
                row["source"],
                row["target"],
                row["histogram"],
                row["support"],
                row["updated_at"],
                # A store that no run of this version has opened yet lacks the column.
                (row["passages"] if "passages" in columns else None) or b"",
            )
            for row in rows
        )

    def events(self, *, after_id: int = 0, limit: int = 1000) -> tuple[EventRow, ...]:
        """Rows of the outbox after the last one that the listener has seen."""
        rows = self._all(
            "SELECT id, created_at, kind, payload FROM events WHERE id > ? ORDER BY id LIMIT ?",
            (after_id, limit),
        )
        return tuple(EventRow(row[0], row[1], row[2], json.loads(row[3])) for row in rows)

    def stored_of(
        self, camera_id: CameraId, incarnation: int, kind: Kind, seqs: tuple[int, ...]
    ) -> frozenset[int]:
        """Which of these sequence numbers are in the store; for checking what was acknowledged."""
        rows = self._all(
            "SELECT seq FROM receipts WHERE disposition = 'stored' AND incarnation = ? "
            "AND kind = ? AND camera_id = (SELECT id FROM cameras WHERE name = ?) "
            "AND seq IN (SELECT value FROM json_each(?))",
            (incarnation, kind, camera_id, json.dumps(seqs)),
        )
        return frozenset(row[0] for row in rows)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._connection.close()

    def _all(
        self, statement: str, values: tuple[object, ...] | Mapping[str, object] = ()
    ) -> list[sqlite3.Row]:
        with translated(self._path):
            return self._connection.execute(statement, values).fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _track(row: sqlite3.Row) -> TrackRow:
    return TrackRow(
        track=TrackKey(row["id"]),
        camera_id=CameraId(row["name"]),
        started_at_s=row["started_at"],
        ended_at_s=row["until"],
        open=bool(row["open"]),
        end_reason=row["end_reason"],
        detection_count=row["detection_count"],
        identity_id=row["identity_id"],
    )


def _crop(row: sqlite3.Row) -> CropPicture:
    return CropPicture(
        key=CropKey(row["id"]),
        track=TrackKey(row["track_id"]),
        captured_at_s=row["captured_at"],
        quality=row["quality"],
        confidence=row["confidence"],
        box_xyxy=(row["x1"], row["y1"], row["x2"], row["y2"]),
        jpeg=row["jpeg"],
    )
