"""Tracks of one camera."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.tracking.tracker import CameraTracker
from streamreid.types import CameraId, Detections, TrackSummary
from tests.shared_data import shared_path

DOOR = CameraId("door")


def _at(*people: tuple[float, float], confidence: float = 0.9) -> Detections:
    boxes = np.array([[x, y, x + 40, y + 100] for x, y in people], np.float32).reshape(-1, 4)
    return Detections(boxes, np.full(len(boxes), confidence, np.float32))


def _tracker(fps: float = 5.0, lost_s: float = 2.0) -> CameraTracker:
    return CameraTracker(DOOR, detect_fps=fps, lost_s=lost_s)


def test_two_people_who_walk_keep_their_tracks() -> None:
    tracker = _tracker()
    for step in range(20):
        tracked = tracker.update(
            _at((10 + 8 * step, 20), (400 - 8 * step, 200)), captured_at_s=100 + step / 5
        )
        if step == 0:
            assert len(tracked) == 0
            continue
        assert tracked.track_id.tolist() == [1, 2]
        left = dict(zip(tracked.track_id.tolist(), tracked.boxes_xyxy[:, 0].tolist(), strict=True))
        assert set(left.values()) == {10 + 8 * step, 400 - 8 * step}
    assert tracker.open_tracks == 2
    assert [(t.track_id, t.reason, t.detection_count) for t in tracker.finish()] == [
        (1, "end", 19),
        (2, "end", 19),
    ]
    assert tracker.finish() == []


def test_a_single_false_detection_is_no_track() -> None:
    tracker = _tracker()
    tracker.update(_at((10, 20)), captured_at_s=0.0)
    for step in range(1, 20):
        assert len(tracker.update(Detections.empty(), captured_at_s=step / 5)) == 0
    assert tracker.finish() == []


@pytest.mark.parametrize("with_updates", [True, False], ids=["detector-ran", "gate-closed"])
def test_who_leaves_is_reported_after_the_lost_time(with_updates: bool) -> None:
    tracker = _tracker(lost_s=2.0)
    for step in range(5):
        tracker.update(_at((10, 20)), captured_at_s=step / 5)
    ended: list[tuple[float, TrackSummary]] = []
    for step in range(5, 30):
        if with_updates:
            tracker.update(Detections.empty(), captured_at_s=step / 5)
        else:
            tracker.advance(captured_at_s=step / 5)
        ended += [(step / 5, summary) for summary in tracker.take_ended()]
    ((when_s, summary),) = ended
    assert when_s == pytest.approx(3.0)
    assert (summary.started_at_s, summary.ended_at_s, summary.reason) == (0.2, 0.8, "left")
    assert summary.detection_count == 4
    assert tracker.open_tracks == 0


@pytest.mark.parametrize("fps", [1.0, 2.0, 5.0, 25.0])
def test_a_short_gap_is_survived_at_any_rate(fps: float) -> None:
    tracker = _tracker(fps=fps)
    ids: set[int] = set()
    for step in range(60):
        hidden = 1.0 <= step / fps - 3.0 < 2.5
        found = Detections.empty() if hidden else _at((100, 50))
        ids |= set(tracker.update(found, captured_at_s=step / fps).track_id.tolist())
    assert ids == {1}


def test_a_new_segment_ends_every_track_and_ids_are_never_reused() -> None:
    tracker = _tracker()
    for segment in range(3):
        for step in range(3):
            tracked = tracker.update(
                _at((10, 20)), captured_at_s=50.0 - segment + step / 5, segment=segment
            )
        assert tracked.track_id.tolist() == [segment + 1]
    assert [(t.track_id, t.reason) for t in tracker.take_ended()] == [
        (1, "segment"),
        (2, "segment"),
    ]


def test_trackers_share_no_ids() -> None:
    first, second = _tracker(), _tracker()
    for step in range(3):
        first.update(_at((10, 20), (200, 20)), captured_at_s=step / 5)
    for step in range(3):
        tracked = second.update(_at((10, 20)), captured_at_s=step / 5)
    assert tracked.track_id.tolist() == [1]


def test_weak_detections_prolong_tracks_but_start_none() -> None:
    tracker = _tracker()
    for step in range(4):
        weak = tracker.update(_at((10, 20), confidence=0.2), captured_at_s=step / 5)
    assert len(weak) == 0
    for step in range(4, 7):
        tracker.update(_at((10, 20)), captured_at_s=step / 5)
    tracked = tracker.update(_at((12, 20), confidence=0.2), captured_at_s=7 / 5)
    assert tracked.track_id.tolist() == [1]
    assert tracked.confidence.tolist() == pytest.approx([0.2])


def test_time_must_grow_inside_a_segment() -> None:
    tracker = _tracker()
    tracker.update(_at((10, 20)), captured_at_s=5.0)
    with pytest.raises(ValueError, match="must grow"):
        tracker.update(_at((10, 20)), captured_at_s=5.0)


def test_hostile_boxes_do_no_harm() -> None:
    tracker = _tracker()
    nan, inf = float("nan"), float("inf")
    boxes = np.array(
        [[nan, 0, 9, 9], [0, 0, inf, 9], [9, 9, 1, 1], [5, 5, 5, 5], [10, 20, 50, 120]], np.float32
    )
    for step in range(3):
        found = Detections(boxes, np.full(5, 0.9, np.float32))
        tracked = tracker.update(found, captured_at_s=step / 5)
    assert tracked.track_id.tolist() == [1]
    crowd = np.random.default_rng(0).uniform(0, 4000, (100_000, 2)).astype(np.float32)
    many = Detections(np.concatenate([crowd, crowd + 50], 1), np.full(100_000, 0.9, np.float32))
    assert len(tracker.update(many, captured_at_s=1.0)) <= 300


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 300), st.integers(0, 200)), max_size=4),
        min_size=1,
        max_size=20,
    )
)
def test_every_track_ends_once_and_counts_add_up(frames: list[list[tuple[int, int]]]) -> None:
    tracker = _tracker()
    seen: dict[int, int] = {}
    for step, people in enumerate(frames):
        tracked = tracker.update(_at(*people), captured_at_s=step / 2)
        assert len(set(tracked.track_id.tolist())) == len(tracked)
        for track_id in tracked.track_id.tolist():
            seen[track_id] = seen.get(track_id, 0) + 1
    ended = tracker.finish()
    assert {int(t.track_id): t.detection_count for t in ended} == seen
    assert sorted(seen) == list(range(1, len(seen) + 1))
    assert all(t.started_at_s <= t.ended_at_s for t in ended)


def test_a_real_sequence_keeps_most_people_in_one_track() -> None:
    rows = np.genfromtxt(shared_path("data/mot_text/TUD-Stadtmitte.gt.txt"), delimiter=",")
    tracker = _tracker()
    owners: dict[int, set[int]] = {}
    for number in range(1, int(rows[:, 0].max()) + 1, 5):
        people = rows[rows[:, 0] == number]
        boxes = np.concatenate([people[:, 2:4], people[:, 2:4] + people[:, 4:6]], 1)
        found = Detections(boxes.astype(np.float32), np.full(len(boxes), 0.9, np.float32))
        tracked = tracker.update(found, captured_at_s=number / 25)
        for track_id, box in zip(tracked.track_id.tolist(), tracked.boxes_xyxy, strict=True):
            person = int(people[np.abs(boxes - box).max(1).argmin(), 1])
            owners.setdefault(track_id, set()).add(person)
    assert all(len(people) == 1 for people in owners.values())
    assert len(owners) <= 12
    times = [summary.ended_at_s for summary in tracker.finish()]
    assert all(b >= 0 for b in times)
    assert list(pairwise(sorted(owners))) == [(i, i + 1) for i in range(1, len(owners))]
