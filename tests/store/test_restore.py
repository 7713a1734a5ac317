"""What comes back after a restart."""

import math
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from streamreid.engine.events import Comparisons, Outcome, TimeRecord, TransitionUpdate
from streamreid.errors import StoreError
from streamreid.store import Batch, gallery_rows, last_event_s, restore
from streamreid.store.restore import crops_of_other_weights
from tests.store.builders import (
    DOOR,
    HALL,
    crop_row,
    detection_rows,
    full_batch,
    open_writer,
    outcome,
)


def test_an_empty_store_restores_nothing(tmp_path: Path) -> None:
    with open_writer(tmp_path / "s.sqlite") as store:
        state = restore(store, since_s=0.0)
        assert (state.tracks, state.identities, state.decisions) == ((), (), ())
        assert state.next_identity_id == 1
        assert last_event_s(store) is None
        assert list(gallery_rows(store, since_s=0.0)) == []


def test_tracks_come_back_with_crops_and_their_last_decision(tmp_path: Path) -> None:
    with open_writer(tmp_path / "s.sqlite") as store:
        store.register_camera(DOOR, url="x", time_source="rtcp")
        old, new = full_batch(store, 1), full_batch(store, 50)
        store.commit(old)
        store.commit(new)
        late = crop_row(store, 60, track=50, at_s=155.0)
        update = TransitionUpdate(DOOR, HALL, b"h", 2.0, 9.0, b"p")
        store.commit(Batch(crops=(late,), outcome=Outcome(transitions=(update,))))
        for values in ((1.0,), (8.5, "hall", -0.25)):
            record = TimeRecord("watch:door", values, 9.0)
            store.commit(Batch(outcome=Outcome(records=(record,))))
        store.commit(Batch(outcome=outcome(new.crops[0].track, 77, revision=1)))
    with open_writer(tmp_path / "s.sqlite") as store:
        state = restore(store, since_s=150.0)
        (track,) = state.tracks
        assert (track.track, track.camera_id, track.ended) == (new.crops[0].track, DOOR, True)
        assert track.entry_ids == (new.crops[0].key, late.key)
        assert track.entry_times_s == (150.0, 155.0)
        assert (track.identity_id, track.revision, track.final) == (77, 1, False)
        assert track.time_source == "rtcp"
        assert [decision.revision for decision in state.decisions] == [0, 1]
        assert {identity.identity_id for identity in state.identities} == {77}
        assert state.transitions == (update,)
        assert state.records == (record,)
        assert state.next_identity_id == 78
        assert last_event_s(store) == 160.0
        assert len(restore(store, since_s=0.0).tracks) == 2


def test_when_an_undecided_track_was_seen_comes_back_by_the_second(tmp_path: Path) -> None:
    with open_writer(tmp_path / "s.sqlite") as store:
        batch = full_batch(store, 1)
        rows = (
            detection_rows(store, 80, at_s=100.0, count=25),
            detection_rows(store, 81, at_s=102.5, count=3),
        )
        store.commit(replace(batch, detections=rows))
        for final, expected in ((False, (100.9, 101.9, 102.7)), (True, ())):
            decided = outcome(batch.crops[0].track, revision=1 + final)
            row = replace(decided.decisions[0], final=final)
            store.commit(Batch(outcome=replace(decided, decisions=(row,))))
            (track,) = restore(store, since_s=0.0).tracks
            assert track.seen_times_s == pytest.approx(expected)


def test_whom_a_track_was_compared_with_comes_back(tmp_path: Path) -> None:
    """Compared with two others, with nobody, and never said."""
    with open_writer(tmp_path / "s.sqlite") as store:
        tracks = []
        for number in (1, 2, 3):
            batch = full_batch(store, number)
            store.commit(batch)
            tracks.append(batch.crops[0].track)
        one, other, last = tracks
        scores = ((other, -7.25), (last, 0.1))
        found = (Comparisons(one, scores), Comparisons(other, ()))
        store.commit(Batch(outcome=Outcome(comparisons=found)))
    with open_writer(tmp_path / "s.sqlite") as store:
        state = restore(store, since_s=0.0)
    assert {row.track: row.compared for row in state.tracks} == {one: scores, other: (), last: ()}


def test_crops_of_other_weights_stay_where_they_are(tmp_path: Path) -> None:
    """Their tracks and identities come back, without them and without whom they were like."""
    with open_writer(tmp_path / "s.sqlite") as store:
        batch = full_batch(store, 1)
        store.commit(batch)
        found = Comparisons(batch.crops[0].track, ((batch.crops[0].track, 1.0),))
        store.commit(Batch(outcome=Outcome(comparisons=(found,))))
        for digest, kept, other in (("weights", 1, 0), ("newer", 0, 1)):
            (track,) = restore(store, since_s=0.0, weights_digest=digest).tracks
            assert (len(track.entry_ids), len(track.compared)) == (kept, kept)
            assert track.identity_id == batch.outcome.decisions[0].identity_id
            rows = gallery_rows(store, since_s=0.0, weights_digest=digest)
            assert sum(map(len, rows)) == kept
            assert crops_of_other_weights(store, since_s=0.0, weights_digest=digest) == other


@pytest.mark.parametrize("data", [b"x" * 15, b"\x00" * 8 + struct.pack("<d", math.nan)])
def test_damaged_comparisons_are_refused_by_name(tmp_path: Path, data: bytes) -> None:
    with open_writer(tmp_path / "s.sqlite") as store:
        store.commit(full_batch(store, 1))
        store.connection.execute("UPDATE tracks SET compared = ?", (data,))
        with pytest.raises(StoreError, match=r"row 1 of table tracks: .* set it to NULL"):
            restore(store, since_s=0.0)


def test_what_an_operator_decided_about_an_identity_long_ago_still_counts(tmp_path: Path) -> None:
    """Its corrected track is too old to come back, but the identity lives on in a recent one."""
    with open_writer(tmp_path / "s.sqlite") as store:
        old, new, other = full_batch(store, 1), full_batch(store, 50), full_batch(store, 70)
        for batch in (old, new, other):
            store.commit(batch)
        by_operator = outcome(old.crops[0].track, 7, revision=1)
        row = replace(by_operator.decisions[0], actor="ana", reason="split", final=True)
        store.commit(Batch(outcome=replace(by_operator, decisions=(row,))))
        store.commit(Batch(outcome=outcome(new.crops[0].track, 7, revision=1)))
        store.commit(Batch(outcome=outcome(other.crops[0].track, 8, revision=1)))
        state = restore(store, since_s=140.0)
        assert old.crops[0].track not in {track.track for track in state.tracks}
        assert {identity.identity_id for identity in state.identities} == {7, 8}
        assert state.corrected == (7,)
        assert restore(store, since_s=165.0).corrected == ()


def test_open_and_undecided_tracks_always_come_back(tmp_path: Path) -> None:
    with open_writer(tmp_path / "s.sqlite") as store:
        store.commit(Batch(crops=(crop_row(store, 1),)))
        (track,) = restore(store, since_s=1e9).tracks
        assert (track.ended, track.identity_id, track.revision) == (False, None, -1)


def test_the_gallery_comes_back_in_batches_in_order(tmp_path: Path) -> None:
    with open_writer(tmp_path / "s.sqlite") as store:
        crops = [crop_row(store, seq, at_s=100.0 + seq % 3) for seq in range(1, 12)]
        store.commit(Batch(crops=tuple(crops)))
        batches = list(gallery_rows(store, since_s=101.0, batch_size=3))
    entries = [row for batch in batches for row in batch]
    expected = sorted(
        (crop.captured_at_s, crop.key) for crop in crops if crop.captured_at_s >= 101.0
    )
    assert [(row.captured_at_s, row.entry_id) for row in entries] == expected
    assert max(len(batch) for batch in batches) == 3
    assert entries[0].feature_map == b"m" * 32
    assert entries[0].camera_id == DOOR
