"""Detector `motion`: moving blobs of the shape of a person. No weights; static cameras only."""

from collections.abc import Sequence

import cv2
import numpy as np

from streamreid.detection.background import Background
from streamreid.detection.detector import strongest
from streamreid.pictures import small_size
from streamreid.types import CameraId, Detections, Float32Array, Frame, UInt8Array

_PERSON_ASPECT = 0.41
"""Width over height of a standing person (the usual figure of pedestrian detection)."""


class MotionDetector:
    """Reports foreground blobs that could be people.

    It cannot tell a person from a dog or a door, loses people who stand still for half a minute
    (six seconds when it is new), and joins people who touch. It is for drawn scenes, for static
    cameras, and for a start without weights.

    Args:
        confidence: Boxes below it are not reported, in [0, 1].
        width: Pixels per row of the picture that is examined.
        min_height: Smallest person as a share of the picture's height.
        memory_s: Seconds over which the background forgets; one tenth of it is how long a person
            may stand still.
    """

    def __init__(
        self,
        *,
        confidence: float = 0.35,
        width: int = 480,
        min_height: float = 0.08,
        memory_s: float = 300.0,
    ) -> None:
        self._confidence = confidence
        self._width = width
        self._min_height = min_height
        self._memory_s = memory_s
        self._backgrounds: dict[CameraId, Background] = {}

    @property
    def description(self) -> str:
        """Kind, weights and back-end, as recorded with a run."""
        return "motion (MOG2, no weights)"

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Find moving people; frames of one camera must come in order.

        Args:
            frames: Frames of any size and of any cameras.

        Returns:
            One `Detections` per frame in pixels of the full frame, most confident first.
        """
        return [self._detect(frame) for frame in frames]

    def _detect(self, frame: Frame) -> Detections:
        background = self._backgrounds.get(frame.camera_id)
        if background is None:
            background = Background(memory_s=self._memory_s, variance_threshold=20.0, shadows=True)
            self._backgrounds[frame.camera_id] = background
        mask = background.foreground(
            _small_colours(frame, self._width),
            segment=frame.segment,
            captured_at_s=frame.captured_at_s,
        )
        if mask is None:
            return Detections.empty()
        boxes, confidence = self._people(_joined(mask))
        scale = np.array([frame.width / mask.shape[1], frame.height / mask.shape[0]] * 2)
        kept = confidence >= self._confidence
        return strongest(Detections((boxes[kept] * scale).astype(np.float32), confidence[kept]))

    def _people(self, mask: UInt8Array) -> tuple[Float32Array, Float32Array]:
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        boxes: list[list[float]] = []
        confidence: list[float] = []
        rows = mask.shape[0]
        for x, y, width, height, area in stats[1:count].tolist():
            if height < self._min_height * rows or area < 0.2 * width * height:
                continue
            # People side by side make one wide blob: cut it into person-wide pieces.
            pieces = max(1, round(width / (1.6 * _PERSON_ASPECT * height)))
            if pieces > 4:
                continue
            for piece in range(pieces):
                left = x + width * piece / pieces
                boxes.append([left, y, left + width / pieces, y + height])
                confidence.append(_likeness(width / pieces, height, area / (width * height)))
        return (
            np.asarray(boxes, np.float32).reshape(-1, 4),
            np.asarray(confidence, np.float32).reshape(-1),
        )


def _small_colours(frame: Frame, width: int) -> UInt8Array:
    """Y, U and V as one small picture, shape `(h, width, 3)`: colour tells what luma does not."""
    size = small_size(frame, width)
    planes = [
        cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
        for plane in (frame.y, frame.u, frame.v)
    ]
    return np.asarray(cv2.merge(planes), np.uint8)


def _joined(mask: UInt8Array) -> UInt8Array:
    """Remove specks, then join the parts of a body, which lie above each other."""
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    reach = max(3, mask.shape[0] // 24) | 1
    kernel = np.ones((reach, 3), np.uint8)
    return np.asarray(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, kernel), np.uint8)


def _likeness(width: float, height: float, fill: float) -> float:
    """How much a blob looks like a standing person, in [0, 1]."""
    aspect = width / height
    shape = np.exp(-0.5 * (np.log(aspect / _PERSON_ASPECT) / 0.6) ** 2)
    return float(np.clip(0.2 + 0.75 * shape * min(1.0, fill / 0.5), 0.0, 0.95))
