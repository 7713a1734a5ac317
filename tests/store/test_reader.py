"""The read side: every question answered from a store that a run is writing to."""

import sqlite3
from pathlib import Path

import pytest

from streamreid.engine.events import Outcome, TransitionUpdate
from streamreid.errors import StoreError
from streamreid.store import Batch, Drop, OutboxEvent, open_reader
from streamreid.types import IdentityId, TrackKey
from tests.store.builders import (
    DOOR,
    HALL,
    INCARNATION,
    crop_row,
    full_batch,
    message,
    open_writer,
    outcome,
)


def test_everything_can_be_asked_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with open_writer(path) as store, open_reader(path) as reader:
        assert reader.time_span() is None
        batch = full_batch(store, 1)
        store.commit(batch)
        best = crop_row(store, 9, at_s=100.5, size=5)
        update = TransitionUpdate(DOOR, HALL, b"h", 2.0, 9.0, b"p")
        store.commit(
            Batch(
                crops=(best,),
                drops=(Drop(message(4), "stale"),),
                outcome=Outcome(transitions=(update,)),
                events=(OutboxEvent("new", {"identity_id": 2}),),
            )
        )
        store.set_produced(DOOR, INCARNATION, "crop", 12, {"queue_full": 1})
        (identity,) = reader.identities()
        assert (identity.identity_id, identity.status, identity.label) == (2, "provisional", None)
        (track,) = identity.tracks
        assert (track.camera_id, track.started_at_s, track.ended_at_s) == (DOOR, 99.0, 111.0)
        assert track.detection_count == 3
        assert reader.tracks(camera_id=HALL) == ()
        assert len(reader.crops(track.track)) == 2
        assert [round(row.captured_at_s, 3) for row in reader.detections(track.track)] == [
            101.0,
            101.1,
            101.2,
        ]
        assert [row.reason for row in reader.decisions(track.track)] == ["new"]
        assert reader.decisions(TrackKey(99)) == ()
        (transition,) = reader.transitions()
        assert (transition.from_camera_id, transition.support, transition.passages) == (
            DOOR,
            2.0,
            b"p",
        )
        (event,) = reader.events()
        assert reader.events(after_id=event.event_id) == ()
        counts = next(row for row in reader.counters() if row.kind == "crop")
        assert (counts.produced, counts.stored) == (12, 2)
        assert counts.dropped == {"stale": 1, "queue_full": 1}
        assert reader.stored_of(DOOR, INCARNATION, "crop", (1, 2, 4, 9)) == {1, 9}
        assert reader.runs()[0].choices == {"threads": 1}
        assert [camera.camera_id for camera in reader.cameras()] == [DOOR, HALL]
        assert reader.features(best.key) == (b"m" * 5, b"v" * 8)
        assert reader.time_span() == (99.0, 111.0)


@pytest.mark.parametrize(
    ("since_s", "until_s", "expected"),
    [(0, 98, 0), (0, 99, 3), (112, 900, 2), (113.5, 900, 0), (111, 111, 3)],
)
def test_tracks_of_a_span(tmp_path: Path, since_s: float, until_s: float, expected: int) -> None:
    path = tmp_path / "s.sqlite"
    with open_writer(path) as store, open_reader(path) as reader:
        for number in (1, 2, 3):
            store.commit(full_batch(store, number))
        assert len(reader.tracks(since_s=since_s, until_s=until_s)) == expected


def test_best_crop_is_the_one_of_highest_quality(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with open_writer(path) as store, open_reader(path) as reader:
        store.commit(Batch(crops=tuple(crop_row(store, seq, size=seq) for seq in (1, 2, 3))))
        store.connection.execute("UPDATE crops SET quality = 0.9 WHERE seq = 2")
        best = reader.best_crop(TrackKey(1))
        assert best is not None
        assert best.jpeg == b"jj"
        assert reader.crop(best.key) == best
        assert reader.best_crop(TrackKey(7)) is None


def test_merged_identities_are_listed_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with open_writer(path) as store, open_reader(path) as reader:
        batch = full_batch(store, 1)
        store.commit(batch)
        store.commit(Batch(outcome=outcome(batch.crops[0].track, 8, revision=1)))
        store.connection.execute("UPDATE identities SET status = 'merged' WHERE id = 2")
        assert [row.identity_id for row in reader.identities()] == [8]
        assert [row.identity_id for row in reader.identities(with_merged=True)] == [2, 8]
        assert len(reader.tracks(identity_id=IdentityId(8))) == 1


def test_nothing_can_be_written_through_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with open_writer(path), open_reader(path) as reader:
        for statement in ("DELETE FROM tracks", "DROP VIEW sightings", "PRAGMA user_version = 3"):
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader.connection.execute(statement)


def test_a_snapshot_does_not_move(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with open_writer(path) as store, open_reader(path) as reader:
        store.commit(full_batch(store, 1))
        with reader.snapshot():
            assert len(reader.tracks()) == 1
            store.commit(full_batch(store, 2))
            assert len(reader.tracks()) == 1
        assert len(reader.tracks()) == 2


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nothing\.sqlite does not exist"):
        open_reader(tmp_path / "nothing.sqlite")
    (tmp_path / "empty.sqlite").touch()
    with pytest.raises(StoreError, match="is empty"):
        open_reader(tmp_path / "empty.sqlite")
