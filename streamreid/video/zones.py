"""Parts of a picture that are hidden (mask) or that alone count (roi)."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from streamreid.types import Detections, Frame, UInt8Array

Polygon = Sequence[Sequence[float]]
"""Corners as (x, y) in pixels of the full frame."""

_BLACK_LIMITED, _BLACK_FULL, _NO_COLOUR = 16, 0, 128


class Zones:
    """The mask and the region of interest of one camera.

    Masked pixels are blackened before anything else sees the frame: no detector, no crop and no
    preview can show them. The region of interest only decides which detections count, by the
    point where a person stands, so that a crop may reach beyond it.

    Args:
        mask: Polygons that are hidden.
        roi: Polygons of which a person must stand in one; empty = the whole picture.
    """

    def __init__(self, *, mask: Sequence[Polygon] = (), roi: Sequence[Polygon] = ()) -> None:
        self._mask = [np.asarray(polygon, np.float64) for polygon in mask]
        self._roi = [np.asarray(polygon, np.float64) for polygon in roi]
        for polygon in (*self._mask, *self._roi):
            if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3:
                raise ValueError(f"a polygon needs at least 3 corners (x, y), got {polygon.shape}")
        self._hidden: dict[tuple[int, int], UInt8Array] = {}

    def hide(self, frame: Frame) -> Frame:
        """The frame with masked pixels black; the frame itself when there is no mask."""
        if not self._mask:
            return frame
        black = _BLACK_FULL if frame.full_range else _BLACK_LIMITED
        chroma_hidden = self._hidden_pixels(frame.u.shape, scale=0.5)
        return replace(
            frame,
            y=_painted(frame.y, self._hidden_pixels(frame.y.shape, scale=1.0), black),
            u=_painted(frame.u, chroma_hidden, _NO_COLOUR),
            v=_painted(frame.v, chroma_hidden, _NO_COLOUR),
        )

    def keep(self, detections: Detections) -> Detections:
        """The detections whose foot point stands outside every mask and inside the roi."""
        if not len(detections) or not (self._mask or self._roi):
            return detections
        boxes = detections.boxes_xyxy
        feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1)
        kept = np.array([self._counts(float(x), float(y)) for x, y in feet], bool)
        return Detections(boxes[kept], detections.confidence[kept])

    def _counts(self, x: float, y: float) -> bool:
        if any(_inside(polygon, x, y) for polygon in self._mask):
            return False
        return not self._roi or any(_inside(polygon, x, y) for polygon in self._roi)

    def _hidden_pixels(self, shape: tuple[int, ...], *, scale: float) -> UInt8Array:
        key = (int(shape[0]), int(shape[1]))
        hidden = self._hidden.get(key)
        if hidden is None:
            hidden = np.zeros(key, np.uint8)
            corners = [np.round(polygon * scale).astype(np.int32) for polygon in self._mask]
            for polygon in corners:
                # One by one: fillPoly leaves holes where polygons of one call overlap.
                cv2.fillPoly(hidden, [polygon], 255)
            self._hidden[key] = hidden
        return hidden


def _painted(plane: UInt8Array, hidden: UInt8Array, value: int) -> UInt8Array:
    painted = np.array(plane, np.uint8)
    painted[hidden > 0] = value
    painted.setflags(write=False)
    return painted


def _inside(polygon: npt.NDArray[np.float64], x: float, y: float) -> bool:
    return cv2.pointPolygonTest(polygon.astype(np.float32), (x, y), measureDist=False) >= 0
