"""Cutting tracks that come out of a crossing as somebody else."""

import numpy as np
import pytest

from streamreid.tracking.appearance import AppearanceGuard, band_colours
from streamreid.tracking.tracker import CameraTracker
from streamreid.types import CameraId, Detections, Float32Array, Frame
from tests.video.clips import rgb_frame

RED, BLUE, DARK_RED = (180, 40, 40), (40, 40, 180), (160, 35, 35)
Person = tuple[tuple[int, int, int], float]
"""Colour and left edge in pixels."""


def _frame(people: list[Person], now_s: float, light: float = 1.0) -> Frame:
    image = np.full((240, 640, 3), 110, np.uint8)
    for colour, left in people:
        image[60:180, int(left) : int(left) + 50] = colour
    return rgb_frame((image * light).astype(np.uint8), captured_at_s=now_s)


def _boxes(*lefts: float) -> Float32Array:
    return np.array([[left, 60, left + 50, 180] for left in lefts], np.float32).reshape(-1, 4)


def test_colours_of_the_parts() -> None:
    colours = band_colours(_frame([(RED, 100)], 0.0), _boxes(100)[0])
    assert colours is not None
    other = band_colours(_frame([(BLUE, 100)], 0.0), _boxes(100)[0])
    assert other is not None
    assert colours.shape == (9,)
    assert np.allclose(colours[:3], colours[3:6], atol=2)
    assert np.abs(colours - other).max() > 50
    assert band_colours(_frame([], 0.0), _boxes(900)[0]) is None


def _cross(after: list[Person], *, light: float = 1.0, looks: int = 4) -> list[set[int]]:
    """Two people apart, on top of each other, and apart again as `after` has it."""
    guard, now_s, changed = AppearanceGuard(), 0.0, []
    phases: list[tuple[list[Person], Float32Array, float]] = (
        [([(RED, 100.0), (BLUE, 400.0)], _boxes(100, 400), 1.0)] * 4
        + [([(RED, 250.0)], _boxes(245, 255), 1.0)] * 3
        + [(after, _boxes(100, 400), light)] * looks
    )
    for people, boxes, brightness in phases:
        now_s += 0.2
        changed.append(guard.changed(_frame(people, now_s, brightness), [1, 2], boxes, now_s))
    return changed


@pytest.mark.parametrize("light", [1.0, 0.93])
def test_who_comes_out_as_before_stays(light: float) -> None:
    assert _cross([(RED, 100), (BLUE, 400)], light=light) == [set()] * 11


def test_who_comes_out_swapped_is_cut_at_the_second_look() -> None:
    assert _cross([(BLUE, 100), (RED, 400)])[:9] == [set()] * 8 + [{1, 2}]


def test_without_a_crossing_a_change_of_colour_is_only_a_change_of_light() -> None:
    guard = AppearanceGuard()
    for step in range(12):
        colour = RED if step < 6 else BLUE
        frame = _frame([(colour, 100)], step / 5)
        assert guard.changed(frame, [1], _boxes(100), step / 5) == set()


def test_after_a_gap_the_colours_are_compared() -> None:
    guard = AppearanceGuard()
    times = [0.0, 0.2, 0.4, 2.0, 2.2]
    changed = [
        guard.changed(_frame([(RED if t < 1 else BLUE, 100)], t), [1], _boxes(100), t)
        for t in times
    ]
    assert changed == [set(), set(), set(), set(), {1}]


def test_a_forgotten_track_is_somebody_new() -> None:
    guard = AppearanceGuard()
    guard.changed(_frame([(RED, 100)], 0.0), [1], _boxes(100), 0.0)
    guard.forget(1)
    guard.forget(1)
    for now_s in (5.0, 5.2, 5.4):
        frame = _frame([(BLUE, 100)], now_s)
        assert guard.changed(frame, [1], _boxes(100), now_s) == set()


def test_a_tracker_that_swaps_two_people_ends_both_tracks() -> None:
    tracker = CameraTracker(CameraId("door"), detect_fps=5.0)
    confident = np.full(2, 0.9, np.float32)
    for step in range(30):
        now_s = step / 5
        # They meet, stand half in front of each other, and turn back. Boxes alone say that they
        # passed each other; the colours say that they did not.
        left = min(100 + 20 * step, 250) if step < 18 else max(250 - 20 * (step - 18), 100)
        right = max(460 - 20 * step, 280) if step < 18 else min(280 + 20 * (step - 18), 460)
        people = [(RED, float(left)), (BLUE, float(right))]
        tracked = tracker.update(
            Detections(_boxes(left, right), confident),
            captured_at_s=now_s,
            frame=_frame(people, now_s),
        )
    assert tracked.track_id.tolist() == [3, 4]
    assert [(t.track_id, t.reason) for t in tracker.take_ended()] == [(1, "left"), (2, "left")]
