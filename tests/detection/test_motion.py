"""Detector `motion` on drawn scenes."""

from dataclasses import replace

import numpy as np
import pytest

from streamreid.detection.motion import MotionDetector
from streamreid.types import CameraId
from tests.detection.scenes import walking_scene
from tests.video.clips import flat_frame


@pytest.mark.parametrize("size", [(320, 240), (960, 720)], ids=["small", "large"])
def test_a_walking_figure_is_found_where_it_is(size: tuple[int, int]) -> None:
    detector = MotionDetector()
    scale = size[0] / 320
    for index, frame in enumerate(walking_scene(40, size=size, speed=20.0 * scale)):
        (found,) = detector.detect([frame])
        if index < 15:
            assert len(found) == 0
            continue
        assert len(found) == 1
        left = 10 + 20.0 * scale * (index / 5 - 3.0)
        expected = [left, size[1] / 4, left + size[1] / 5, 0.75 * size[1]]
        assert np.abs(found.boxes_xyxy[0] - expected).max() <= 6 * scale
        assert 0.35 <= found.confidence[0] <= 1.0


def test_two_figures_are_two_people() -> None:
    detector = MotionDetector()
    counts = [len(detector.detect([frame])[0]) for frame in walking_scene(40, figures=2, speed=10)]
    assert counts[:15] == [0] * 15
    assert counts[15:].count(2) >= 23


def test_cameras_do_not_mix() -> None:
    detector = MotionDetector()
    empty = walking_scene(30, first_s=1e9, camera_id=CameraId("hall"))
    busy = walking_scene(30)
    found = [detector.detect([a, b]) for a, b in zip(empty, busy, strict=True)]
    assert all(len(one) == 0 for one, _ in found)
    assert len(found[-1][1]) == 1


def test_the_same_frames_give_the_same_boxes() -> None:
    runs = []
    for _ in range(2):
        detector = MotionDetector()
        found = [detector.detect([frame])[0].boxes_xyxy for frame in walking_scene(30)]
        runs.append(np.concatenate(found).tobytes())
    assert runs[0] == runs[1]


def test_light_switched_on_is_nobody() -> None:
    detector = MotionDetector()
    for frame in walking_scene(20, first_s=1e9):
        detector.detect([frame])
    bright = flat_frame(size=(320, 240), luma=220, captured_at_s=1004.0)
    assert len(detector.detect([bright])[0]) == 0


@pytest.mark.parametrize("away_s", [0.0, 3600.0])
def test_after_a_break_whoever_stands_there_is_seen_and_leaves_no_ghost(away_s: float) -> None:
    detector = MotionDetector()
    before, after = walking_scene(40)[:20], walking_scene(40)[20:]
    for frame in before:
        detector.detect([frame])
    counts = [
        len(detector.detect([replace(f, segment=1, captured_at_s=f.captured_at_s + away_s)])[0])
        for f in after
    ]
    assert counts == [1] * len(after)
    empty = walking_scene(10, first_s=1e9)
    for frame in empty:
        later_s = after[-1].captured_at_s + away_s + 1.0 + frame.index / 5
        (found,) = detector.detect([replace(frame, segment=2, captured_at_s=later_s)])
        assert len(found) == 0


def test_after_a_break_another_place_is_learned_anew() -> None:
    detector = MotionDetector()
    for frame in walking_scene(20):
        detector.detect([frame])
    for index in range(20):
        turned = flat_frame(
            size=(320, 240), luma=200, index=index, segment=1, captured_at_s=2000.0 + index / 5
        )
        assert len(detector.detect([turned])[0]) == 0


def test_whoever_stands_there_at_the_start_leaves_no_mark() -> None:
    """A process that is started again sees a person first: later ones are not torn there."""
    detector = MotionDetector()
    began = walking_scene(15, first_s=0.0, speed=0.0)
    empty = walking_scene(100, first_s=1e9)
    later = walking_scene(30, first_s=0.0)
    steps_s = [0.2] * len(began) + [2.0] * len(empty) + [0.2] * len(later)
    counts = []
    for frame, at_s in zip((*began, *empty, *later), np.cumsum(steps_s), strict=True):
        (found,) = detector.detect([replace(frame, captured_at_s=1e3 + float(at_s))])
        counts.append(len(found))
    ten_s_later = len(began) + 5
    assert counts[ten_s_later : -len(later)] == [0] * (len(empty) - 5)
    assert counts[-len(later) :] == [1] * len(later)


def test_no_frames_no_detections() -> None:
    assert MotionDetector().detect([]) == []
