"""The camera loop tells why a camera gives no pictures: once per reason, and when a file ends."""

import logging
from collections.abc import Iterator
from typing import Any, cast

import pytest

from streamreid.detection.motion import MotionDetector
from streamreid.pictures import crop_rgb
from streamreid.runtime.camera_loop import run_camera
from streamreid.runtime.camera_pipeline import CameraPipeline
from streamreid.tracking.crops import CropPicker
from streamreid.tracking.tracker import CameraTracker
from streamreid.transport.sender import Sender
from streamreid.types import Frame
from streamreid.video.sampler import FrameSampler
from streamreid.video.source import FrameSource, SourceInfo, SourceState, SourceStatus
from streamreid.video.zones import Zones
from tests.fakes import ManualClock
from tests.video.clips import CAMERA


class _SilentSource:
    """Gives no frame, only one state after another."""

    def __init__(self, *states: tuple[SourceState, str]) -> None:
        self.info = SourceInfo("rtsp://door", True, None, None, None, "arrival", "")
        self._states = [SourceStatus(state=state, last_error=error) for state, error in states]
        self._reads = 0

    def read(self, timeout_s: float) -> Frame | None:
        del timeout_s
        self._reads += 1
        return None

    def status(self) -> SourceStatus:
        return self._states[min(self._reads, len(self._states)) - 1]

    def __iter__(self) -> Iterator[Frame]:
        return iter(())

    def close(self) -> None:
        pass


class _Outbox:
    """A connection on which nothing has to be sent."""

    pending = 0

    def pump(self, timeout_s: float) -> None:
        del timeout_s

    def drain(self, timeout_s: float) -> bool:
        del timeout_s
        return True

    def bye(self, reason: str) -> None:
        self.reason = reason


class _Counters:
    def add(self, name: str, count: int = 1) -> None:
        pass

    def set(self, name: str, value: float) -> None:
        pass


def _pipeline() -> CameraPipeline:
    return CameraPipeline(
        sampler=FrameSampler(5.0),
        zones=Zones(mask=(), roi=()),
        gate=None,
        detector=MotionDetector(confidence=0.35),
        tracker=CameraTracker(CAMERA, detect_fps=5.0),
        picker=CropPicker(crop_rgb),
    )


@pytest.mark.parametrize(
    ("states", "told"),
    [
        pytest.param([("connecting", ""), ("ended", "")], [], id="nothing-to-say"),
        pytest.param(
            [("retrying", "refused"), ("retrying", "refused"), ("ended", "refused")],
            ["refused"],
            id="once-however-often",
        ),
        pytest.param(
            [("retrying", "refused"), ("misconfigured", "password"), ("ended", "password")],
            ["refused", "password"],
            id="another-reason",
        ),
        pytest.param(
            [("retrying", "gone"), ("live", "gone"), ("retrying", "gone"), ("ended", "gone")],
            ["gone", "gone"],
            id="again-after-it-came-back",
        ),
        pytest.param([("live", "cut off"), ("ended", "cut off")], ["cut off"], id="end-of-a-file"),
    ],
)
def test_the_reason_is_told(
    caplog: pytest.LogCaptureFixture, states: list[tuple[SourceState, str]], told: list[str]
) -> None:
    outbox = _Outbox()
    with caplog.at_level(logging.WARNING):
        reason = run_camera(
            cast(FrameSource, _SilentSource(*states)),
            _pipeline(),
            cast(Sender, outbox),
            cast(Any, _Counters()),
            clock=ManualClock(),
            stop=lambda: False,
        )
    assert (reason, outbox.reason) == ("end", "end")
    assert caplog.messages == told
