"""The motion gate: closed when nothing happens, never blind to a person."""

from dataclasses import replace

import pytest

from streamreid.detection.gate import MotionGate
from streamreid.detection.motion import MotionDetector
from streamreid.detection.postprocess import input_size
from streamreid.pictures import letterbox_rgb, small_luma
from tests.detection.scenes import walking_scene
from tests.video.clips import flat_frame


def test_an_empty_noisy_scene_keeps_it_closed_but_for_patrols() -> None:
    gate = MotionGate()
    frames = walking_scene(150, first_s=1e9, noise=4.0)
    decisions = [gate.update(frame, tracks=0) for frame in frames]
    assert [decision.reason for decision in decisions[:3]] == ["start"] * 3
    assert {decision.reason for decision in decisions[5:]} == {"idle", "patrol"}
    # 30 s of frames, a look every 10 s.
    assert sum(decision.open for decision in decisions[5:]) in (2, 3)


def test_a_person_who_walks_in_opens_it_at_once() -> None:
    gate = MotionGate()
    decisions = [gate.update(frame, tracks=0) for frame in walking_scene(60, first_s=6.0)]
    assert not any(decision.open for decision in decisions[10:30])
    assert all(decision.reason == "motion" for decision in decisions[30:])
    assert decisions[30].moving > 0.0


def test_a_person_who_stands_still_is_looked_at_every_second() -> None:
    gate = MotionGate()
    frames = walking_scene(150, first_s=3.0, stop_after_s=6.0)
    decisions = [gate.update(frame, tracks=1) for frame in frames]
    standing = decisions[-50:]
    assert {decision.reason for decision in standing} == {"idle", "keep_alive"}
    assert 9 <= sum(decision.open for decision in standing) <= 11


def test_a_new_segment_starts_anew() -> None:
    gate = MotionGate()
    for frame in walking_scene(50, first_s=1e9):
        gate.update(frame, tracks=0)
    later = flat_frame(size=(320, 240), segment=1, captured_at_s=5.0)
    assert gate.update(later, tracks=0).reason == "start"
    other_size = replace(flat_frame(size=(160, 120), captured_at_s=5.2), segment=2)
    assert gate.update(other_size, tracks=0).reason == "start"


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 8192), (8192, 2), (64000, 1), (641, 481)], ids=lambda s: f"{s[0]}x{s[1]}"
)
def test_absurd_sizes_cost_no_more_than_ordinary_ones(size: tuple[int, int]) -> None:
    gate, detector = MotionGate(), MotionDetector()
    for step in range(3):
        frame = flat_frame(size=size, captured_at_s=step / 5, luma=60 + 50 * step)
        gate.update(frame, tracks=0)
        assert len(detector.detect([frame])[0]) == 0
        assert letterbox_rgb(frame, input_size(frame, 640)).image.size <= 3 * 640 * 640
    assert small_luma(frame, 320).size <= 320 * 640
