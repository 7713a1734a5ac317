"""The statements of one commit, in the order that foreign keys ask for."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from streamreid.engine.events import (
    Comparisons,
    Decision,
    IdentityUpdate,
    Outcome,
    TimeRecord,
    TransitionUpdate,
)
from streamreid.errors import StoreError
from streamreid.messages import Disposition
from streamreid.store.rows import Batch, CropRow, DetectionRows, MessageId, OutboxEvent, TrackEnd
from streamreid.store.scores import pack_scores
from streamreid.types import CameraId, Float32Array, TrackKey

EVENTS_KEPT = 10_000
"""Rows of the outbox; a listener that is further behind reads the tables instead."""


@dataclass(frozen=True, slots=True)
class TrackOrigin:
    """Where a track comes from: all that is needed to write its first row."""

    camera: int
    incarnation: int
    camera_track_id: int
    started_at_s: float


@dataclass(slots=True)
class _TrackUse:
    seen_at_s: float
    detections: int = 0


class Inserter:
    """Writes one batch inside a transaction that somebody else begins and ends.

    Attributes:
        known: Messages of the batch that were decided about before, and what was decided.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        cameras: Mapping[CameraId, int],
        origins: Mapping[TrackKey, TrackOrigin],
        stored_at_s: float,
    ) -> None:
        self._connection = connection
        self._cameras = cameras
        self._origins = origins
        self._stored_at_s = stored_at_s
        self._counts: dict[tuple[int, int, str], Counter[str]] = {}
        self._last_seq: dict[tuple[int, int, str], int] = {}
        self.known: dict[MessageId, Disposition] = {}

    def write(self, batch: Batch) -> None:
        """Write everything of the batch that the store does not have yet."""
        crops = [row for row in batch.crops if self._is_new(row.message)]
        detections = [row for row in batch.detections if self._is_new(row.message)]
        ends = [row for row in batch.ends if row.message is None or self._is_new(row.message)]
        for drop in batch.drops:
            self._is_new(drop.message, drop.disposition)
        self._write_tracks(_track_use(crops, detections, ends))
        self._write_crops(crops)
        for rows in detections:
            self._write_detections(rows)
        self._write_ends(ends)
        self._write_outcome(batch.outcome)
        self._write_events(batch.events)
        self._write_counts()

    def _is_new(self, message: MessageId, disposition: Disposition = "stored") -> bool:
        stream = (self._camera(message.camera_id), message.incarnation, message.kind)
        cursor = self._connection.execute(
            "INSERT INTO receipts (camera_id, incarnation, kind, seq, disposition) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*stream, message.seq, disposition),
        )
        if cursor.rowcount == 0:
            (self.known[message],) = self._connection.execute(
                "SELECT disposition FROM receipts "
                "WHERE camera_id = ? AND incarnation = ? AND kind = ? AND seq = ?",
                (*stream, message.seq),
            ).fetchone()
            return False
        self._counts.setdefault(stream, Counter())[disposition] += 1
        self._last_seq[stream] = max(message.seq, self._last_seq.get(stream, -1))
        return True

    def _camera(self, camera_id: CameraId) -> int:
        if camera_id not in self._cameras:
            raise StoreError(f"camera {camera_id!r} is not registered")
        return self._cameras[camera_id]

    def _write_tracks(self, uses: Mapping[TrackKey, _TrackUse]) -> None:
        rows = []
        for key, use in uses.items():
            origin = self._origins.get(key)
            if origin is None:
                raise StoreError(f"track {key} was not reserved with track_key")
            start = (origin.camera, origin.incarnation, origin.camera_track_id, origin.started_at_s)
            seen_at_s = max(use.seen_at_s, origin.started_at_s)
            rows.append((key, *start, seen_at_s, use.detections, self._stored_at_s))
        self._connection.executemany(
            "INSERT INTO tracks (id, camera_id, incarnation, camera_track_id, started_at, seen_at, "
            "detection_count, stored_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET seen_at = max(seen_at, excluded.seen_at), "
            "detection_count = detection_count + excluded.detection_count, "
            "stored_at = max(stored_at, excluded.stored_at)",
            rows,
        )

    def _write_crops(self, crops: Iterable[CropRow]) -> None:
        self._connection.executemany(
            "INSERT INTO crops (id, track_id, camera_id, incarnation, seq, captured_at, x1, y1, "
            "x2, y2, confidence, quality, weights_digest, stored_at, vector, jpeg, feature_map) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(row.key, row.track, self._camera(row.message.camera_id)),
                    *(row.message.incarnation, row.message.seq, row.captured_at_s),
                    *_box(row.box_xyxy),
                    *(row.confidence, row.quality, row.weights_digest, self._stored_at_s),
                    *(row.vector, row.jpeg, row.feature_map),
                )
                for row in crops
            ],
        )

    def _write_detections(self, rows: DetectionRows) -> None:
        columns = np.column_stack((rows.captured_at_s, rows.boxes_xyxy, rows.confidence))
        self._connection.executemany(
            # A frame repeated after a reconnect may carry the time of the one before.
            "INSERT INTO detections (track_id, captured_at, x1, y1, x2, y2, confidence) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                (track, *values)
                for track, values in zip(rows.track.tolist(), columns.tolist(), strict=True)
            ],
        )

    def _write_ends(self, ends: Iterable[TrackEnd]) -> None:
        self._connection.executemany(
            "UPDATE tracks SET ended_at = ?, end_reason = ? WHERE id = ? AND ended_at IS NULL",
            [(end.ended_at_s, end.reason, end.track) for end in ends],
        )

    def _write_outcome(self, outcome: Outcome) -> None:
        self._write_identities(outcome.identities)
        self._write_decisions(outcome.decisions)
        self._write_transitions(outcome.transitions)
        self._write_records(outcome.records)
        self._write_comparisons(outcome.comparisons)

    def _write_identities(self, identities: Iterable[IdentityUpdate]) -> None:
        self._connection.executemany(
            "INSERT INTO identities (id, created_at, last_seen_at, status, merged_into) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "created_at = excluded.created_at, last_seen_at = excluded.last_seen_at, "
            "status = excluded.status, merged_into = excluded.merged_into",
            [
                (row.identity_id, row.created_at_s, row.last_seen_at_s, row.status, row.merged_into)
                for row in identities
            ],
        )

    def _write_decisions(self, decisions: Iterable[Decision]) -> None:
        for row in decisions:
            # Retention may have taken an identity that the engine still remembers.
            self._connection.execute(
                "INSERT INTO identities (id, created_at, last_seen_at, status) "
                "VALUES (?, ?, ?, 'provisional') ON CONFLICT DO NOTHING",
                (row.identity_id, row.decided_at_s, row.decided_at_s),
            )
            cursor = self._connection.execute(
                "INSERT INTO decisions (track_id, revision, decided_at, identity_id, probability, "
                "appearance, cooccurrence, transition, runner_up_identity_id, "
                "runner_up_probability, reason, actor, final) "
                "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? "
                "WHERE EXISTS (SELECT 1 FROM tracks WHERE id = ?) ON CONFLICT DO NOTHING",
                (
                    *(row.track, row.revision, row.decided_at_s, row.identity_id, row.probability),
                    *(row.appearance, row.cooccurrence, row.transition),
                    *(row.runner_up_identity_id, row.runner_up_probability),
                    *(row.reason, row.actor, int(row.final), row.track),
                ),
            )
            if cursor.rowcount:
                self._connection.execute(
                    "UPDATE tracks SET identity_id = ? WHERE id = ?", (row.identity_id, row.track)
                )

    def _write_transitions(self, transitions: Iterable[TransitionUpdate]) -> None:
        self._connection.executemany(
            "INSERT INTO transitions (from_camera_id, to_camera_id, histogram, support, "
            "updated_at, passages) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "histogram = excluded.histogram, support = excluded.support, "
            "updated_at = excluded.updated_at, passages = excluded.passages",
            [
                (
                    *(self._camera(row.from_camera_id), self._camera(row.to_camera_id)),
                    *(row.histogram, row.support, row.updated_at_s, row.passages or None),
                )
                for row in transitions
            ],
        )

    def _write_records(self, records: Iterable[TimeRecord]) -> None:
        self._connection.executemany(
            "INSERT INTO time_records (name, value, updated_at) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
            [(row.name, json.dumps(row.values), row.updated_at_s) for row in records],
        )

    def _write_comparisons(self, comparisons: Iterable[Comparisons]) -> None:
        self._connection.executemany(
            "UPDATE tracks SET compared = ? WHERE id = ?",
            [(pack_scores(row.scores), row.track) for row in comparisons],
        )

    def _write_events(self, events: Iterable[OutboxEvent]) -> None:
        rows = [
            (self._stored_at_s, event.kind, json.dumps(dict(event.payload))) for event in events
        ]
        if not rows:
            return
        self._connection.executemany(
            "INSERT INTO events (created_at, kind, payload) VALUES (?, ?, ?)", rows
        )
        self._connection.execute(
            "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (EVENTS_KEPT,)
        )

    def _write_counts(self) -> None:
        for stream, counts in self._counts.items():
            stored = counts.pop("stored", 0)
            (known,) = self._connection.execute(
                "SELECT dropped FROM streams WHERE camera_id = ? AND incarnation = ? AND kind = ?",
                stream,
            ).fetchone()
            dropped = Counter(json.loads(known))
            dropped.update(counts)
            self._connection.execute(
                "UPDATE streams SET stored = stored + ?, dropped = ?, last_seq = max(last_seq, ?), "
                "updated_at = ? WHERE camera_id = ? AND incarnation = ? AND kind = ?",
                (
                    *(stored, json.dumps(dropped), self._last_seq[stream], self._stored_at_s),
                    *stream,
                ),
            )


def _track_use(
    crops: Iterable[CropRow], detections: Iterable[DetectionRows], ends: Iterable[TrackEnd]
) -> dict[TrackKey, _TrackUse]:
    uses: dict[TrackKey, _TrackUse] = {}
    for crop in crops:
        use = uses.setdefault(crop.track, _TrackUse(crop.captured_at_s))
        use.seen_at_s = max(use.seen_at_s, crop.captured_at_s)
    for rows in detections:
        for key, seen_at_s in zip(rows.track.tolist(), rows.captured_at_s.tolist(), strict=True):
            use = uses.setdefault(TrackKey(key), _TrackUse(seen_at_s))
            use.seen_at_s = max(use.seen_at_s, seen_at_s)
            use.detections += 1
    for end in ends:
        if end.message is not None:
            uses.setdefault(end.track, _TrackUse(end.ended_at_s))
    return uses


def _box(box_xyxy: Float32Array) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box_xyxy.tolist()
    return x1, y1, x2, y2
