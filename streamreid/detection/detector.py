"""What a detector is, and the box arithmetic that all of them share."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streamreid.types import Detections, Float32Array, Frame

MAX_DETECTIONS = 300
"""Most people reported in one frame: bounds memory and time against a picture full of noise."""


class Detector(Protocol):
    """Finds people in frames."""

    @property
    def description(self) -> str:
        """Kind, weights and back-end, as recorded with a run."""

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Find the people in each frame.

        Args:
            frames: Frames of any size; a detector with memory (`motion`) needs them in order.

        Returns:
            One `Detections` per frame, in pixels of the full frame, most confident first.

        Raises:
            DetectorError: The back-end failed.
        """


def strongest(detections: Detections, limit: int = MAX_DETECTIONS) -> Detections:
    """At most `limit` detections, the most confident ones, in falling order of confidence."""
    order = np.argsort(-detections.confidence, kind="stable")[:limit]
    return Detections(detections.boxes_xyxy[order], detections.confidence[order])


def box_areas(boxes_xyxy: Float32Array) -> Float32Array:
    """Areas of boxes `(N, 4)` in square pixels, shape `(N,)`."""
    sides = np.clip(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0.0, None)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)


def pairwise_intersection(a_xyxy: Float32Array, b_xyxy: Float32Array) -> Float32Array:
    """Areas that boxes share, shape `(len(a), len(b))`, square pixels."""
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    sides = np.clip(high - low, 0.0, None)
    return np.asarray(sides[..., 0] * sides[..., 1], np.float32)


def suppress_doubles(
    detections: Detections, *, iou: float = 0.6, inside: float = 0.9
) -> Detections:
    """Drop weaker boxes of a person that a stronger box already covers.

    End-to-end heads report some people twice; their second box overlaps strongly with the first
    or lies almost wholly inside it at a similar size.

    Args:
        detections: Detections of one frame, in any order.
        iou: Overlap over union beyond which the weaker box goes.
        inside: Share of the weaker box inside the stronger one beyond which it goes, if it is
            also at least half as large (a child in front of an adult stays).
    """
    ordered = strongest(detections)
    boxes = ordered.boxes_xyxy
    if len(boxes) < 2:
        return ordered
    areas = box_areas(boxes)
    shared = pairwise_intersection(boxes, boxes)
    union = np.maximum(areas[:, None] + areas[None, :] - shared, 1e-6)
    covered = shared / np.maximum(areas[None, :], 1e-6)
    similar = areas[None, :] > 0.5 * areas[:, None]
    doubles = (shared / union > iou) | ((covered > inside) & similar)
    kept: npt.NDArray[np.bool_] = np.ones(len(boxes), bool)
    for index in range(len(boxes)):
        if kept[index]:
            kept[index + 1 :] &= ~doubles[index, index + 1 :]
    return Detections(boxes[kept], ordered.confidence[kept])
