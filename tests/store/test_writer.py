"""The writer: everything once, ids reserved before the commit and never used twice."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from streamreid.engine.events import IdentityUpdate, Outcome, TransitionUpdate
from streamreid.errors import StoreError, StoreFullError
from streamreid.store import Batch, Drop, OutboxEvent, TrackEnd, stored_seqs
from streamreid.types import CameraId, IdentityId, TrackId
from tests.store.builders import (
    DOOR,
    HALL,
    INCARNATION,
    ManualClock,
    crop_row,
    detection_rows,
    full_batch,
    message,
    open_writer,
    outcome,
    track_end,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_a_batch_arrives_in_all_tables(path: Path) -> None:
    with open_writer(path) as store:
        store.commit(full_batch(store, 1))
    assert rows(path, "SELECT identity_id, camera, from_at, to_at, track_id FROM sightings") == [
        (2, "door", 99.0, 111.0, 1)
    ]
    assert rows(path, "SELECT count(*) FROM detections") == [(3,)]
    assert rows(path, "SELECT detection_count, end_reason FROM tracks") == [(3, "left")]
    assert rows(path, "SELECT incarnation, seq, x2, quality, vector FROM crops") == [
        (INCARNATION, 1, 30.0, 0.75, b"v" * 8)
    ]
    assert rows(path, "SELECT track_id, revision, identity_id, final FROM decisions") == [
        (1, 0, 2, 0)
    ]


def test_committing_a_batch_again_changes_nothing(path: Path) -> None:
    with open_writer(path) as store:
        batch = full_batch(store, 1)
        assert store.commit(batch).duplicates == frozenset()
        before = list(store.connection.iterdump())
        again = store.commit(batch)
        assert again.duplicates == {message(1), message(1, "detections"), message(1, "track")}
        assert list(store.connection.iterdump()) == before


def test_counters_say_stored_and_dropped_by_reason(path: Path) -> None:
    with open_writer(path) as store:
        drops = (Drop(message(2), "stale"), Drop(message(3), "stale"), Drop(message(4), "rejected"))
        store.commit(Batch(crops=(crop_row(store, 1),), drops=drops))
        store.commit(Batch(drops=drops))
        store.set_produced(DOOR, INCARNATION, "crop", 9, {"queue_full": 5})
        assert store.receipt(message(3)) == "stale"
        assert store.receipt(message(1)) == "stored"
        assert store.receipt(message(5)) is None
        assert stored_seqs(store, DOOR, INCARNATION, "crop") == {1}
    (produced, stored, dropped, last), *_ = rows(
        path, "SELECT produced, stored, dropped, last_seq FROM streams WHERE kind = 'crop'"
    )
    reasons = json.loads(str(dropped))
    assert (produced, stored, last) == (9, 1, 4)
    assert reasons == {"stale": 2, "rejected": 1, "queue_full": 5}
    assert produced == 1 + sum(reasons.values())


@pytest.mark.parametrize(
    ("produced", "lost", "left"), [(5, 4, 3), (2, 4, 0), (6, 4, 4), (9, 2, 2), (3, 0, None)]
)
def test_a_killed_worker_lost_nothing_that_is_stored(
    path: Path, produced: int, lost: int, left: int | None
) -> None:
    """The store holds one crop and refused one; only what is proved to be there is taken back."""
    with open_writer(path) as store:
        drops = (Drop(message(2), "stale"),)
        store.commit(Batch(crops=(crop_row(store, 1),), drops=drops))
        store.set_produced(DOOR, INCARNATION, "crop", produced, {"worker_crash": lost})
        store.settle_crashes()
        store.settle_crashes()
    (dropped,), *_ = rows(path, "SELECT dropped FROM streams WHERE kind = 'crop'")
    reasons = json.loads(str(dropped))
    assert reasons.pop("stale") == 1
    assert reasons == ({} if left is None else {"worker_crash": left})


def test_what_was_decided_first_is_what_is_acknowledged(path: Path) -> None:
    with open_writer(path) as store:
        row = crop_row(store, 1)
        store.commit(Batch(crops=(row,), drops=(Drop(message(2), "stale"),)))
        again = store.commit(
            Batch(
                crops=(crop_row(store, 2), crop_row(store, 3)), drops=(Drop(message(1), "stale"),)
            )
        )
        assert again.known == {message(1): "stored", message(2): "stale"}
        assert again.disposition(message(1), "stale") == "duplicate"
        assert again.disposition(message(2)) == "stale"
        assert again.disposition(message(3)) == "stored"
        assert again.disposition(message(4), "disk_full") == "disk_full"
        assert stored_seqs(store, DOOR, INCARNATION, "crop") == {1, 3}


def test_a_failing_batch_leaves_nothing_and_may_be_repeated(path: Path) -> None:
    with open_writer(path) as store:
        good = crop_row(store, 1)
        unknown = Drop(message(1, camera=CameraId("nowhere")), "stale")
        before = list(store.connection.iterdump())
        with pytest.raises(StoreError, match="nowhere"):
            store.commit(Batch(crops=(good,), drops=(unknown,)))
        assert list(store.connection.iterdump()) == before
        store.commit(Batch(crops=(good,)))
        assert stored_seqs(store, DOOR, INCARNATION, "crop") == {1}


def test_keys_survive_a_restart_and_are_never_reused(path: Path) -> None:
    with open_writer(path) as store:
        batch = full_batch(store, 1)
        store.commit(batch)
        first = batch.crops[0]
        store.connection.execute("DELETE FROM crops")
        store.connection.execute("DELETE FROM identities")
    with open_writer(path) as store:
        assert store.track_key(DOOR, INCARNATION, TrackId(1), 99.0) == first.track
        assert store.reserve_crop() > first.key
        assert store.track_key(HALL, INCARNATION, TrackId(1), 99.0) > first.track
        assert store.track_key(DOOR, INCARNATION + 1, TrackId(1), 99.0) > first.track


def test_a_track_reserved_and_never_stored_leaves_no_row(path: Path) -> None:
    with open_writer(path) as store:
        key = store.track_key(DOOR, INCARNATION, TrackId(5), 99.0)
        assert store.track_key(DOOR, INCARNATION, TrackId(5), 99.0) == key
        store.commit(Batch())
    assert rows(path, "SELECT count(*) FROM tracks") == [(0,)]


def test_a_late_crop_of_an_ended_track_is_kept(path: Path) -> None:
    with open_writer(path) as store:
        late = crop_row(store, 2, at_s=109.0)
        store.commit(Batch(crops=(crop_row(store, 1),), ends=(track_end(store, 1),)))
        store.commit(Batch(crops=(late,)))
    assert rows(path, "SELECT ended_at FROM tracks") == [(110.0,)]
    assert rows(path, "SELECT count(*) FROM crops") == [(2,)]


def test_a_second_decision_moves_the_track_and_keeps_the_first(path: Path) -> None:
    with open_writer(path) as store:
        batch = full_batch(store, 1)
        store.commit(batch)
        track = batch.crops[0].track
        store.commit(Batch(outcome=outcome(track, 9, revision=1)))
        store.commit(Batch(outcome=outcome(track, 5, revision=0)))
    assert rows(path, "SELECT revision, identity_id FROM decisions ORDER BY id") == [(0, 2), (1, 9)]
    assert rows(path, "SELECT identity_id FROM tracks") == [(9,)]


def test_decisions_about_a_deleted_track_are_ignored(path: Path) -> None:
    with open_writer(path) as store:
        batch = full_batch(store, 1)
        store.commit(batch)
        store.connection.execute("DELETE FROM tracks")
        store.commit(Batch(outcome=outcome(batch.crops[0].track, 3, revision=1)))
    assert rows(path, "SELECT count(*) FROM decisions WHERE revision = 1") == [(0,)]


def test_labels_survive_what_the_engine_says(path: Path) -> None:
    update = IdentityUpdate(IdentityId(2), "merged", 99.0, 120.0, IdentityId(1))
    with open_writer(path) as store:
        store.commit(full_batch(store, 1))
        store.label_identity(2, "the man in red")
        store.commit(Batch(outcome=Outcome(identities=(update,))))
        with pytest.raises(StoreError, match="no identity 77"):
            store.label_identity(77, "x")
    assert rows(path, "SELECT status, merged_into, label FROM identities") == [
        ("merged", 1, "the man in red")
    ]


def test_tracks_of_a_dead_worker_are_found_and_ended(path: Path) -> None:
    with open_writer(path) as store:
        store.commit(Batch(crops=(crop_row(store, 1, at_s=105.0),)))
        assert store.open_tracks(DOOR, except_incarnation=INCARNATION) == ()
        (lost,) = store.open_tracks(DOOR, except_incarnation=INCARNATION + 1)
        assert (lost.started_at_s, lost.seen_at_s) == (99.0, 105.0)
        end = TrackEnd(None, lost.track, lost.started_at_s, lost.seen_at_s, "lost")
        store.commit(Batch(ends=(end,)))
        assert store.open_tracks(DOOR, except_incarnation=INCARNATION + 1) == ()
    assert rows(path, "SELECT ended_at, end_reason FROM tracks") == [(105.0, "lost")]


def test_transitions_and_events_are_kept(path: Path) -> None:
    first = TransitionUpdate(DOOR, HALL, b"old", 1.0, 100.0)
    second = TransitionUpdate(DOOR, HALL, b"new", 2.5, 101.0)
    with open_writer(path) as store:
        store.commit(Batch(outcome=Outcome(transitions=(first, second))))
        store.commit(Batch(events=(OutboxEvent("identity", {"identity_id": 3}),)))
    assert rows(path, "SELECT histogram, support FROM transitions") == [(b"new", 2.5)]
    assert rows(path, "SELECT kind, payload FROM events") == [("identity", '{"identity_id": 3}')]


def test_detections_with_equal_times_do_not_stop_a_batch(path: Path) -> None:
    with open_writer(path) as store:
        store.commit(Batch(detections=(detection_rows(store, 1), detection_rows(store, 2))))
    assert rows(path, "SELECT count(*) FROM detections") == [(3,)]


def test_credentials_never_reach_the_file(path: Path) -> None:
    with open_writer(path) as store:
        store.commit(full_batch(store, 1))
    assert b"secret" not in path.read_bytes()
    assert rows(path, "SELECT url FROM cameras WHERE name = 'door'") == [("rtsp://***@door/1",)]


def test_the_run_records_how_it_ended(path: Path) -> None:
    clock = ManualClock(50.0)
    with open_writer(path, clock) as store:
        clock.advance(9.0)
        store.close("stop")
        store.close()
    with pytest.raises(RuntimeError), open_writer(path, clock):
        raise RuntimeError
    assert rows(path, "SELECT started_at, ended_at, exit_reason, choices FROM runs") == [
        (50.0, 59.0, "stop", '{"threads": 1}'),
        (59.0, 59.0, "failed", '{"threads": 1}'),
    ]


def test_what_workers_say_while_the_disk_is_full_is_written_later(path: Path) -> None:
    late = CameraId("late")
    with open_writer(path) as store:
        (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
        store.connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreFullError):
            store.commit(Batch(crops=(crop_row(store, 1, size=50_000),)))
        # So large that there is surely no room for it.
        store.register_camera(late, url="x" * 100_000)
        store.register_camera(late, url="y" * 100_000)
        store.register_stream(late, 3)
        store.set_produced(late, 3, "crop", 5, {"queue_full": 2})
        assert store.connection.execute("SELECT count(*) FROM cameras").fetchone() == (2,)
        store.connection.execute("PRAGMA max_page_count = 100000")
        store.commit(Batch(crops=(crop_row(store, 1, camera=HALL),)))
        assert store.camera_row(late) == 3
    assert rows(path, "SELECT id, substr(url, 1, 1) FROM cameras WHERE name = 'late'") == [(3, "y")]
    assert rows(
        path, "SELECT produced, dropped FROM streams WHERE incarnation = 3 AND kind = 'crop'"
    ) == [(5, '{"queue_full":2}')]


def test_times_and_boxes_keep_their_precision(path: Path) -> None:
    at_s = 1_800_000_000.123456
    with open_writer(path) as store:
        store.commit(Batch(detections=(detection_rows(store, 1, at_s=at_s, count=1),)))
    ((stored, confidence),) = rows(path, "SELECT captured_at, confidence FROM detections")
    assert stored == at_s
    assert np.float32(str(confidence)) == np.float32(0.9)
