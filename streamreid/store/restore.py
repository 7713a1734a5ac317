"""What the store hands back on start, so that engine and gallery go on as if uninterrupted."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from streamreid.association.ledger import ENGINE
from streamreid.engine.events import (
    Decision,
    IdentityUpdate,
    RestoredState,
    RestoredTrack,
    TimeRecord,
    TransitionUpdate,
)
from streamreid.messages import Kind
from streamreid.store.connection import translated
from streamreid.store.rows import GalleryRow
from streamreid.store.scores import read_scores
from streamreid.store.writer import StoreWriter
from streamreid.types import CameraId, CropKey, IdentityId, TimeSource, TrackKey

Crops = dict[TrackKey, list[tuple[CropKey, float, float]]]


def last_event_s(store: StoreWriter) -> float | None:
    """Latest capture time in the store, epoch seconds; None when it holds no track."""
    with translated(store.path):
        (latest,) = store.connection.execute(
            "SELECT max(max(seen_at), max(coalesce(ended_at, seen_at))) FROM tracks"
        ).fetchone()
    return None if latest is None else float(latest)


def restore(
    store: StoreWriter, *, since_s: float, weights_digest: str | None = None
) -> RestoredState:
    """Rebuild what the engine needs.

    Args:
        store: The open store.
        since_s: Tracks that ended before this event time are left out, epoch seconds; open tracks
            are never left out.
        weights_digest: Crops of other weights are left out; None takes all.

    Returns:
        Tracks with their crops, identities, ledger rows, transitions and the next identity id.
    """
    with translated(store.path):
        tracks = _tracks(store, since_s, weights_digest)
        return RestoredState(
            tracks=tracks,
            identities=_identities(store, since_s),
            decisions=_decisions(store, since_s),
            transitions=_transitions(store),
            next_identity_id=_next_identity_id(store),
            records=_records(store),
            corrected=_corrected(store, since_s),
        )


def crops_of_other_weights(store: StoreWriter, *, since_s: float, weights_digest: str) -> int:
    """How many crops cannot be compared with those of these weights any more.

    Args:
        store: The open store.
        since_s: Crops captured before this do not count, epoch seconds.
        weights_digest: SHA-256 of the weights.
    """
    with translated(store.path):
        (count,) = store.connection.execute(
            "SELECT count(*) FROM crops WHERE feature_map IS NOT NULL AND captured_at >= ? "
            "AND weights_digest != ?",
            (since_s, weights_digest),
        ).fetchone()
    return int(count)


def gallery_rows(
    store: StoreWriter,
    *,
    since_s: float,
    weights_digest: str | None = None,
    batch_size: int = 256,
) -> Iterator[Sequence[GalleryRow]]:
    """The crops of the gallery with their features, oldest first.

    Args:
        store: The open store.
        since_s: Crops captured before this are left out, epoch seconds.
        weights_digest: Crops of other weights are left out; None takes all.
        batch_size: Rows per batch; bounds the memory.

    Yields:
        Batches of rows, ready for `Scorer.insert`.
    """
    names = _camera_names(store)
    after: tuple[float, int] = (since_s, -1)
    while True:
        with translated(store.path):
            rows = store.connection.execute(
                "SELECT id, camera_id, track_id, captured_at, feature_map, vector FROM crops "
                "WHERE feature_map IS NOT NULL AND vector IS NOT NULL "
                "AND (captured_at, id) > (?, ?) AND weights_digest = coalesce(?, weights_digest) "
                "ORDER BY captured_at, id LIMIT ?",
                (*after, weights_digest, batch_size),
            ).fetchall()
        if not rows:
            return
        after = (rows[-1][3], rows[-1][0])
        yield [
            GalleryRow(CropKey(key), names[camera], TrackKey(track), at, feature_map, vector)
            for key, camera, track, at, feature_map, vector in rows
        ]


def stored_seqs(
    store: StoreWriter, camera_id: CameraId, incarnation: int, kind: Kind
) -> frozenset[int]:
    """Sequence numbers of the messages that are stored, for checking what was acknowledged."""
    with translated(store.path):
        rows = store.connection.execute(
            "SELECT seq FROM receipts WHERE camera_id = ? AND incarnation = ? AND kind = ? "
            "AND disposition = 'stored'",
            (store.camera_row(camera_id), incarnation, kind),
        )
        return frozenset(row[0] for row in rows)


def _camera_names(store: StoreWriter) -> dict[int, CameraId]:
    rows = store.connection.execute("SELECT id, name FROM cameras")
    return {row: CameraId(name) for row, name in rows}


def _tracks(
    store: StoreWriter, since_s: float, weights_digest: str | None
) -> tuple[RestoredTrack, ...]:
    crops = _crops(store, since_s, weights_digest)
    seen = _seen_times(store, since_s)
    rows = store.connection.execute(
        "SELECT t.id, c.name, t.started_at, coalesce(t.ended_at, t.seen_at), "
        "t.ended_at IS NOT NULL, t.identity_id, coalesce(c.time_source, 'file'), "
        "coalesce(d.revision, -1), coalesce(d.final, 0), t.compared "
        "FROM tracks t JOIN cameras c ON c.id = t.camera_id "
        "LEFT JOIN decisions d ON d.track_id = t.id AND d.revision = "
        "(SELECT max(revision) FROM decisions WHERE track_id = t.id) "
        "WHERE coalesce(t.ended_at, t.seen_at) >= ? OR t.ended_at IS NULL "
        "ORDER BY t.started_at, t.id",
        (since_s,),
    ).fetchall()
    return tuple(_track(row, crops, seen) for row in rows)


def _track(
    row: tuple[int, str, float, float, int, int | None, TimeSource, int, int, bytes | None],
    crops: Crops,
    seen_times_s: dict[TrackKey, list[float]],
) -> RestoredTrack:
    key, camera, started, seen, ended, identity, time_source, revision, final, compared = row
    own = crops.get(TrackKey(key), [])
    return RestoredTrack(
        track=TrackKey(key),
        camera_id=CameraId(camera),
        started_at_s=started,
        seen_at_s=seen,
        ended=bool(ended),
        entry_ids=tuple(crop[0] for crop in own),
        entry_times_s=tuple(crop[1] for crop in own),
        entry_qualities=tuple(crop[2] for crop in own),
        identity_id=None if identity is None else IdentityId(identity),
        revision=revision,
        final=bool(final),
        time_source=time_source,
        compared=read_scores(TrackKey(key), compared) if own else (),
        seen_times_s=tuple(seen_times_s.get(TrackKey(key), ())),
    )


def _crops(store: StoreWriter, since_s: float, weights_digest: str | None) -> Crops:
    crops: Crops = defaultdict(list)
    rows = store.connection.execute(
        "SELECT c.track_id, c.id, c.captured_at, c.quality FROM crops c "
        "JOIN tracks t ON t.id = c.track_id WHERE c.feature_map IS NOT NULL "
        "AND (coalesce(t.ended_at, t.seen_at) >= ? OR t.ended_at IS NULL) "
        "AND c.weights_digest = coalesce(?, c.weights_digest) ORDER BY c.captured_at, c.id",
        (since_s, weights_digest),
    )
    for track, key, at, quality in rows:
        crops[TrackKey(track)].append((CropKey(key), at, quality))
    return crops


def _seen_times(store: StoreWriter, since_s: float) -> dict[TrackKey, list[float]]:
    """When tracks without a final decision were detected, the last time in every second."""
    rows = store.connection.execute(
        "SELECT d.track_id, max(d.captured_at) FROM tracks t "
        "JOIN detections d ON d.track_id = t.id "
        "WHERE (coalesce(t.ended_at, t.seen_at) >= ? OR t.ended_at IS NULL) AND NOT coalesce("
        "(SELECT final FROM decisions WHERE track_id = t.id ORDER BY revision DESC LIMIT 1), 0) "
        "GROUP BY d.track_id, CAST(d.captured_at AS INTEGER) ORDER BY 1, 2",
        (since_s,),
    )
    found: dict[TrackKey, list[float]] = defaultdict(list)
    for track, at_s in rows:
        found[TrackKey(track)].append(at_s)
    return found


def _identities(store: StoreWriter, since_s: float) -> tuple[IdentityUpdate, ...]:
    rows = store.connection.execute(
        "SELECT id, status, created_at, last_seen_at, merged_into FROM identities "
        "WHERE (status != 'merged' AND last_seen_at >= ?) OR id IN (SELECT identity_id FROM tracks "
        "WHERE coalesce(ended_at, seen_at) >= ? OR ended_at IS NULL) ORDER BY id",
        (since_s, since_s),
    )
    return tuple(
        IdentityUpdate(
            IdentityId(key), status, created, seen, None if into is None else IdentityId(into)
        )
        for key, status, created, seen, into in rows
    )


def _corrected(store: StoreWriter, since_s: float) -> tuple[IdentityId, ...]:
    """Identities of recent tracks that an operator decided about, however long ago."""
    rows = store.connection.execute(
        "SELECT DISTINCT identity_id FROM decisions WHERE actor != ? AND identity_id IN "
        "(SELECT identity_id FROM tracks WHERE coalesce(ended_at, seen_at) >= ? "
        "OR ended_at IS NULL) ORDER BY identity_id",
        (ENGINE, since_s),
    )
    return tuple(IdentityId(row[0]) for row in rows)


def _decisions(store: StoreWriter, since_s: float) -> tuple[Decision, ...]:
    rows = store.connection.execute(
        "SELECT d.track_id, d.revision, d.decided_at, d.identity_id, d.probability, d.appearance, "
        "d.cooccurrence, d.transition, d.runner_up_identity_id, d.runner_up_probability, "
        "d.reason, d.actor, d.final FROM decisions d JOIN tracks t ON t.id = d.track_id "
        "WHERE coalesce(t.ended_at, t.seen_at) >= ? OR t.ended_at IS NULL ORDER BY d.id",
        (since_s,),
    )
    return tuple(Decision(*(*row[:-1], bool(row[-1]))) for row in rows)


def _transitions(store: StoreWriter) -> tuple[TransitionUpdate, ...]:
    rows = store.connection.execute(
        "SELECT a.name, b.name, histogram, support, updated_at, passages FROM transitions "
        "JOIN cameras a ON a.id = from_camera_id JOIN cameras b ON b.id = to_camera_id "
        "ORDER BY from_camera_id, to_camera_id"
    )
    return tuple(
        TransitionUpdate(
            CameraId(origin), CameraId(target), histogram, support, updated, passages or b""
        )
        for origin, target, histogram, support, updated, passages in rows
    )


def _records(store: StoreWriter) -> tuple[TimeRecord, ...]:
    rows = store.connection.execute(
        "SELECT name, value, updated_at FROM time_records ORDER BY name"
    )
    return tuple(TimeRecord(name, tuple(json.loads(value)), at) for name, value, at in rows)


def _next_identity_id(store: StoreWriter) -> int:
    row = store.connection.execute(
        "SELECT seq FROM sqlite_sequence WHERE name = 'identities'"
    ).fetchone()
    return 1 if row is None else int(row[0]) + 1
