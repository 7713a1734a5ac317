"""Small sound values for tests; change what the test is about."""

from typing import Any, Literal

import numpy as np

from streamreid.messages import DetectionsMessage, Hello
from streamreid.types import CameraId, Crop, TrackId, TrackSummary

CAMERA = CameraId("door")


def make_crop(
    *,
    camera_id: CameraId = CAMERA,
    track_id: int = 1,
    captured_at_s: float = 10.0,
    height: int = 8,
    width: int = 4,
    **changes: Any,
) -> Crop:
    """A crop whose pixels depend on its track and time."""
    rng = np.random.default_rng([track_id, int(captured_at_s * 1000)])
    values: dict[str, Any] = {
        "camera_id": camera_id,
        "track_id": TrackId(track_id),
        "captured_at_s": captured_at_s,
        "track_started_at_s": min(5.0, captured_at_s),
        "box_xyxy": np.array([1.5, 2.0, 30.25, 90.0], np.float32),
        "confidence": 0.75,
        "quality": 0.5,
        "image": rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
    }
    return Crop(**{**values, **changes})


def make_track(
    *, track_id: int = 1, reason: Literal["left", "segment", "end"] = "left"
) -> TrackSummary:
    """The end of a short track."""
    return TrackSummary(CAMERA, TrackId(track_id), 5.0, 12.5, 60, reason)


def make_detections(*, seq: int = 0, count: int = 3) -> DetectionsMessage:
    """Rows of one track, one second apart."""
    rows = np.arange(count, dtype=np.float64)
    return DetectionsMessage(
        seq=seq,
        captured_at_s=10.0 + rows,
        track_id=np.ones(count, np.int64),
        track_started_at_s=np.full(count, 5.0),
        boxes_xyxy=np.stack([rows, rows, rows + 10, rows + 20], axis=1).astype(np.float32),
        confidence=np.full(count, 0.5, np.float32),
    )


def make_hello(*, camera_id: CameraId = CAMERA, incarnation: int = 7, live: bool = True) -> Hello:
    """A worker that introduces itself."""
    return Hello(camera_id, incarnation, live, 640, 360, "arrival" if live else "file")
