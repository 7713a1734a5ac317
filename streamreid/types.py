"""The frozen values that every part exchanges: ids, frames, detections, tracks, crops."""

from dataclasses import dataclass
from typing import Literal, NewType

import numpy as np
import numpy.typing as npt

CameraId = NewType("CameraId", str)
"""Name of a camera in cams.yaml, `^[A-Za-z0-9_-]{1,64}$`."""

TrackId = NewType("TrackId", int)
"""One person in one camera without interruption; unique only with camera and incarnation."""

TrackKey = NewType("TrackKey", int)
"""Row id of a track in the store: unique over all cameras and runs."""

CropKey = NewType("CropKey", int)
"""Row id of a crop in the store; also its entry id in the gallery."""

IdentityId = NewType("IdentityId", int)
"""One person over all cameras; never reused."""

TimeSource = Literal["rtcp", "arrival", "file"]
"""Where a capture time comes from: sender report, arrival here, or start + place in a file."""

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded video frame as YUV 4:2:0 planes; no BGR copy is ever made.

    Attributes:
        camera_id: Camera that took the frame.
        index: Number of the frame since the source was opened, from 0.
        segment: Raised by one at every jump of time, reconnect or change of size.
        captured_at_s: Capture time in epoch seconds.
        time_source: Where the capture time comes from.
        y: Luma, shape `(H, W)`, uint8; may be a read-only view of the decoder's memory.
        u: First chroma plane, shape `(ceil(H/2), ceil(W/2))`, uint8.
        v: Second chroma plane, same shape as `u`.
        full_range: True when luma uses 0..255 instead of 16..235.
    """

    camera_id: CameraId
    index: int
    segment: int
    captured_at_s: float
    time_source: TimeSource
    y: UInt8Array
    u: UInt8Array
    v: UInt8Array
    full_range: bool = False

    @property
    def width(self) -> int:
        """Pixels per row."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(self.y.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The people found in one frame, as parallel arrays.

    Attributes:
        boxes_xyxy: Boxes in full-frame pixels, shape `(N, 4)`, float32.
        confidence: Detector confidence in [0, 1], shape `(N,)`, float32.
    """

    boxes_xyxy: Float32Array
    confidence: Float32Array

    def __post_init__(self) -> None:
        if self.boxes_xyxy.ndim != 2 or self.boxes_xyxy.shape[1] != 4:
            raise ValueError(f"boxes_xyxy must be (N, 4), got {self.boxes_xyxy.shape}")
        if self.confidence.shape != (len(self.boxes_xyxy),):
            raise ValueError(
                f"confidence must be ({len(self.boxes_xyxy)},), got {self.confidence.shape}"
            )

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    @classmethod
    def empty(cls) -> "Detections":
        """Nobody in the frame."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class TrackedDetections:
    """The detections of one frame that belong to a track, as parallel arrays.

    Attributes:
        track_id: Track of each detection, shape `(N,)`, int64.
        boxes_xyxy: Boxes in full-frame pixels, shape `(N, 4)`, float32.
        confidence: Detector confidence in [0, 1], shape `(N,)`, float32.
    """

    track_id: Int64Array
    boxes_xyxy: Float32Array
    confidence: Float32Array

    def __post_init__(self) -> None:
        count = len(self.track_id)
        if self.boxes_xyxy.shape != (count, 4) or self.confidence.shape != (count,):
            raise ValueError(
                f"expected boxes ({count}, 4) and confidence ({count},), "
                f"got {self.boxes_xyxy.shape} and {self.confidence.shape}"
            )

    def __len__(self) -> int:
        return len(self.track_id)


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One person cut out of one frame.

    Attributes:
        camera_id: Camera that saw the person.
        track_id: Track inside that camera and incarnation; meaningless elsewhere.
        captured_at_s: Capture time in epoch seconds; not decode or arrival time.
        track_started_at_s: Capture time of the first detection of the track.
        box_xyxy: Box in the full frame, shape `(4,)`, float32 pixels.
        confidence: Detector confidence in [0, 1].
        quality: Picker's quality in [0, 1]: size, sharpness, completeness, overlap.
        image: RGB pixels, shape `(H, W, 3)`, uint8, read-only, own memory.
    """

    camera_id: CameraId
    track_id: TrackId
    captured_at_s: float
    track_started_at_s: float
    box_xyxy: Float32Array
    confidence: float
    quality: float
    image: UInt8Array

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(
                f"image must be (H, W, 3) uint8, got {self.image.shape} {self.image.dtype}"
            )
        if min(self.image.shape[:2]) < 1:
            raise ValueError(f"image must not be empty, got {self.image.shape}")
        if self.box_xyxy.shape != (4,):
            raise ValueError(f"box_xyxy must be (4,), got {self.box_xyxy.shape}")
        self.image.setflags(write=False)


@dataclass(frozen=True, slots=True, eq=False)
class TrackSummary:
    """The end of a track in one camera.

    Attributes:
        camera_id: Camera of the track.
        track_id: Track inside that camera and incarnation.
        started_at_s: Capture time of the first detection, epoch seconds.
        ended_at_s: Capture time of the last detection, epoch seconds.
        detection_count: Number of detections in the track.
        reason: Why it ended: `left`, `segment` (time jump, reconnect), `end` (source ended, stop).
    """

    camera_id: CameraId
    track_id: TrackId
    started_at_s: float
    ended_at_s: float
    detection_count: int
    reason: Literal["left", "segment", "end"]
