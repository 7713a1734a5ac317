"""The crop picker: early, rare, good, and the same every time."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.pictures import crop_rgb
from streamreid.tracking.crops import CropPicker
from streamreid.types import Crop, Frame, TrackedDetections, TrackId
from tests.video.clips import flat_frame


def _frame(now_s: float) -> Frame:
    return flat_frame(size=(640, 480), captured_at_s=now_s, index=round(now_s * 5))


def _people(*rows: tuple[int, float, float, float, float]) -> TrackedDetections:
    return TrackedDetections(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1:] for row in rows], np.float32).reshape(-1, 4),
        np.full(len(rows), 0.8, np.float32),
    )


def _run(
    picker: CropPicker, heights: list[float], *, fps: float = 5.0, track: int = 1
) -> list[tuple[float, Crop]]:
    """Offer a person of these heights in pixels, frame by frame; (time sent, crop)."""
    sent = []
    for index, height in enumerate(heights):
        now_s = 100.0 + index / fps
        person = (track, 200.0, 50.0, 200.0 + height / 2.5, 50.0 + height)
        sent += [(now_s, crop) for crop in picker.offer(_frame(now_s), _people(person))]
    return sent


def test_one_crop_goes_out_within_the_first_two_offers() -> None:
    (sent_s, crop), *_ = _run(CropPicker(crop_rgb), [40.0] * 3)
    assert sent_s == pytest.approx(100.2)
    assert crop.track_id == TrackId(1)
    assert crop.track_started_at_s == 100.0
    assert crop.image.shape[0] == 40
    assert 0.0 < crop.quality < 1.0


def test_never_two_crops_of_a_track_within_a_second() -> None:
    rng = np.random.default_rng(0)
    sent = _run(CropPicker(crop_rgb), list(rng.uniform(30, 300, 200)))
    assert len(sent) > 5
    for (earlier_s, before), (later_s, after) in pairwise(sent):
        assert later_s - earlier_s >= 1.0 - 1e-9
        assert after.captured_at_s > before.captured_at_s


def test_the_best_of_a_window_is_sent() -> None:
    heights = [100.0] * 2 + [60.0] * 7 + [110.0] + [60.0] * 10
    sent = _run(CropPicker(crop_rgb), heights)
    assert [round(float(c.box_xyxy[3] - c.box_xyxy[1])) for _, c in sent][:2] == [100, 110]


def test_a_clearly_better_view_does_not_wait() -> None:
    heights = [40.0] * 10 + [200.0] * 2
    sent_s = [now_s for now_s, _ in _run(CropPicker(crop_rgb), heights)]
    assert 102.0 in [pytest.approx(s) for s in sent_s]


def test_somebody_who_stays_for_an_hour_is_sent_rarely() -> None:
    sent = _run(CropPicker(crop_rgb), [150.0] * 1200, fps=0.5)
    assert 2400 / 20 <= len(sent) <= 2400 / 14


def test_the_end_of_a_short_track_sends_what_was_never_sent() -> None:
    picker = CropPicker(crop_rgb)
    assert picker.offer(_frame(100.0), _people((7, 10, 10, 20, 40))) == []
    (crop,) = picker.end([TrackId(7)])
    assert crop.track_id == TrackId(7)
    assert picker.end([TrackId(7)]) == []
    assert picker.flush() == []


def test_boxes_outside_the_picture_are_never_sent() -> None:
    picker = CropPicker(crop_rgb)
    for index in range(10):
        frame = _frame(100.0 + index / 5)
        assert picker.offer(frame, _people((1, -90, -90, -10, -10), (2, 5, 5, 5, 90))) == []
    assert picker.flush() == []


def test_huge_boxes_make_bounded_crops() -> None:
    (_, crop), *_ = _run(CropPicker(crop_rgb), [10_000.0] * 3)
    assert crop.image.nbytes <= 1 << 20


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(1, 3),
                st.floats(-50, 600),
                st.floats(-50, 450),
                st.floats(1, 300),
                st.floats(1, 300),
            ),
            max_size=3,
            unique_by=lambda person: person[0],
        ),
        max_size=25,
    )
)
def test_order_rate_and_repeatability(
    frames: list[list[tuple[int, float, float, float, float]]],
) -> None:
    runs = []
    for _ in range(2):
        picker = CropPicker(crop_rgb)
        sent: list[Crop] = []
        for index, people in enumerate(frames):
            rows = [(t, x, y, x + w, y + h) for t, x, y, w, h in people]
            sent += picker.offer(_frame(100.0 + index / 4), _people(*rows))
        sent += picker.flush()
        runs.append([(c.track_id, c.captured_at_s, c.quality, c.image.tobytes()) for c in sent])
        for track_id in {crop.track_id for crop in sent}:
            times = [c.captured_at_s for c in sent if c.track_id == track_id]
            assert all(b > a for a, b in pairwise(times))
    assert runs[0] == runs[1]
