"""Which frames are looked at."""

import pytest

from streamreid.video.sampler import FrameSampler
from tests.video.clips import flat_frame


@pytest.mark.parametrize(
    ("camera_fps", "detect_fps", "picked"),
    [(25.0, 5.0, 50), (29.97, 5.0, 50), (10.0, 5.0, 50), (120.0, 5.0, 50), (4.0, 5.0, 40)],
)
def test_rates(camera_fps: float, detect_fps: float, picked: int) -> None:
    sampler = FrameSampler(detect_fps)
    frames = (flat_frame(captured_at_s=1e9 + i / camera_fps) for i in range(round(10 * camera_fps)))
    assert sum(sampler.due(frame) for frame in frames) == pytest.approx(picked, abs=3)


def test_the_first_frame_of_a_segment_is_always_looked_at() -> None:
    sampler = FrameSampler(1.0)
    assert sampler.due(flat_frame(captured_at_s=100.0))
    assert not sampler.due(flat_frame(captured_at_s=100.1))
    assert sampler.due(flat_frame(captured_at_s=50.0, segment=1))


@pytest.mark.parametrize("rate_fps", [0.0, -1.0, float("nan")])
def test_impossible_rates(rate_fps: float) -> None:
    with pytest.raises(ValueError, match="rate_fps"):
        FrameSampler(rate_fps)
