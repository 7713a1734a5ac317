"""One camera's stages on a drawn walk: real gate, motion detector, tracker and picker."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from streamreid.detection.detector import Detector
from streamreid.detection.gate import MotionGate
from streamreid.detection.motion import MotionDetector
from streamreid.pictures import crop_rgb
from streamreid.runtime.camera_pipeline import CameraPipeline
from streamreid.runtime.detection_rows import MAX_ROWS, RowBuffer
from streamreid.tracking.crops import CropPicker
from streamreid.tracking.tracker import CameraTracker
from streamreid.types import CameraId, Detections, Frame, TrackedDetections
from streamreid.video.sampler import FrameSampler
from streamreid.video.zones import Zones

CAMERA = CameraId("door")
WIDTH, HEIGHT, FPS = 320, 240, 10.0


def _frame(index: int, x: int | None, segment: int = 0) -> Frame:
    """A noisy grey room; somebody of 30 x 90 pixels stands at column `x`."""
    noise = np.random.default_rng(index)
    y = noise.integers(98, 103, (HEIGHT, WIDTH), np.uint8)
    if x is not None:
        y[120:210, max(0, x) : x + 30] = noise.integers(195, 205, (90, x + 30 - max(0, x)))
    chroma = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    return Frame(CAMERA, index, segment, index / FPS, "file", y, chroma, chroma)


def _walk() -> Iterator[Frame]:
    """Three empty seconds, a walk through the picture, three empty seconds."""
    empty = [None] * 30
    columns: list[int | None] = [*empty, *range(4, 280, 5), *empty]
    for index, column in enumerate(columns):
        yield _frame(index, column)


class BrightnessDetector:
    """Finds the one bright person of the drawn room in a single frame, like a network would."""

    description = "brightness"

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """One box around everything bright."""
        found = []
        for frame in frames:
            rows, columns = np.nonzero(frame.y > 150)
            if not len(rows):
                found.append(Detections.empty())
                continue
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            found.append(Detections(np.array([box], np.float32), np.array([0.9], np.float32)))
        return found


def _pipeline(
    detector: Detector | None = None, mask: Sequence[Sequence[Sequence[float]]] = ()
) -> CameraPipeline:
    return CameraPipeline(
        sampler=FrameSampler(5.0),
        zones=Zones(mask=mask),
        gate=MotionGate() if detector else None,
        detector=detector or MotionDetector(),
        tracker=CameraTracker(CAMERA, detect_fps=5.0, lost_s=1.0),
        picker=CropPicker(crop_rgb),
    )


@pytest.mark.parametrize("detector", [None, BrightnessDetector()], ids=["motion", "gated"])
def test_one_walk_is_one_track_with_crops_and_an_end(detector: Detector | None) -> None:
    pipeline = _pipeline(detector)
    frames = list(_walk())
    looks = [pipeline.look(frame) for frame in frames if pipeline.due(frame)]
    assert len(looks) == pytest.approx(len(frames) / 2, abs=2)
    detected = sum(look.detected for look in looks)
    assert detected < len(looks) if detector else detected == len(looks)
    looks.append(pipeline.finish())
    crops = [crop for look in looks for crop in look.crops]
    ended = [track for look in looks for track in look.ended]
    assert len(ended) == 1
    assert ended[0].reason == "left"
    assert 3 <= len(crops) <= 10
    assert {crop.track_id for crop in crops} == {ended[0].track_id}
    times = [crop.captured_at_s for crop in crops]
    assert times == sorted(times)


def test_nothing_inside_the_mask_is_ever_seen() -> None:
    everywhere = [[(0.0, 0.0), (WIDTH, 0.0), (WIDTH, HEIGHT), (0.0, HEIGHT)]]
    pipeline = _pipeline(mask=everywhere)
    looks = [pipeline.look(frame) for frame in _walk() if pipeline.due(frame)]
    assert sum(len(look.tracked) + len(look.crops) for look in looks) == 0


def test_a_new_segment_ends_every_track() -> None:
    pipeline = _pipeline()
    for frame in list(_walk())[:50:2]:
        pipeline.look(frame)
    assert pipeline.open_tracks == 1
    looked = pipeline.look(_frame(200, 100, segment=1))
    assert [track.reason for track in looked.ended] == ["segment"]


def test_rows_are_sent_once_in_order_and_bounded() -> None:
    buffer = RowBuffer(interval_s=1.0)
    tracked = TrackedDetections(
        np.array([4, 9]), np.zeros((2, 4), np.float32), np.ones(2, np.float32)
    )
    assert buffer.take() is None
    for index in range(5):
        buffer.add(_frame(index, None), tracked)
        assert not buffer.due(index / FPS)
    assert buffer.due(1.0)
    rows = buffer.take()
    assert rows is not None
    assert rows.track_id.tolist() == [4, 9] * 5
    assert rows.captured_at_s.tolist() == sorted(rows.captured_at_s)
    assert set(rows.track_started_at_s) == {0.0}
    assert buffer.take() is None
    for index in range(MAX_ROWS // 2):
        buffer.add(_frame(0, None), tracked)
        assert buffer.due(0.0) == (index == MAX_ROWS // 2 - 1)
