"""Does a track still show the same person? A cheap look at colours after people have crossed.

A tracker that sees boxes only swaps people who cross now and then. Two halves of one track are two
people for ever, while two tracks of one person are joined again by matching. So where the colours
say that somebody else came out of a crossing, the track is cut.
"""

from dataclasses import dataclass

import numpy as np

from streamreid.types import Float32Array, Float64Array, Frame, UInt8Array

_BANDS = ((0.15, 0.4), (0.4, 0.6), (0.6, 0.9))
"""Parts of the height: chest, hips, legs; the head and the feet show too much background."""

_SPREAD = np.array([12.0, 5.0, 5.0] * len(_BANDS))
"""How much luma and chroma of a part wander while one person walks."""

_TOUCHING_IOU = 0.05
_BORDER_PIXELS = 3.0
_FORGETTING = 0.3


@dataclass(slots=True)
class _Memory:
    """What one track looked like when nobody was near."""

    colours: Float64Array
    seen_at_s: float
    disturbed: bool = False
    mismatches: int = 0


class AppearanceGuard:
    """Notices that a track came out of a crossing or a gap with other colours.

    Args:
        threshold: Root mean square distance of the colours, in spreads, from which it is somebody
            else. On the PETS clip 95 % of looks at one person lie below 1.45, three quarters of
            those at two people above 1.48.
        confirm: Looks in a row that must agree.
        gap_s: Seconds unseen after which a track is checked again.
    """

    def __init__(self, *, threshold: float = 1.5, confirm: int = 2, gap_s: float = 0.7) -> None:
        self._threshold = threshold
        self._confirm = confirm
        self._gap_s = gap_s
        self._memories: dict[int, _Memory] = {}

    def changed(
        self, frame: Frame, keys: list[int], boxes_xyxy: Float32Array, now_s: float
    ) -> set[int]:
        """Look at the people of one frame.

        Args:
            frame: The frame.
            keys: Track of each box, in any numbering that is not reused before `forget`.
            boxes_xyxy: Their boxes, shape `(N, 4)`, full-frame pixels.
            now_s: Capture time of the frame, epoch seconds.

        Returns:
            The tracks that show somebody else than before.
        """
        near = _near_others(boxes_xyxy, frame)
        return {
            key
            for row, key in enumerate(keys)
            if self._look(frame, key, boxes_xyxy[row], bool(near[row]), now_s)
        }

    def forget(self, key: int) -> None:
        """A track has ended."""
        self._memories.pop(key, None)

    def clear(self) -> None:
        """Every track has ended."""
        self._memories.clear()

    def _look(self, frame: Frame, key: int, box: Float32Array, near: bool, now_s: float) -> bool:
        memory = self._memories.get(key)
        if memory is not None:
            gap = now_s - memory.seen_at_s > self._gap_s
            memory.disturbed |= near or gap
            memory.seen_at_s = now_s
        if near:
            return False
        colours = band_colours(frame, box)
        if colours is None:
            return False
        if memory is None:
            self._memories[key] = _Memory(colours, now_s)
            return False
        return self._compare(memory, colours)

    def _compare(self, memory: _Memory, colours: Float64Array) -> bool:
        distance = float(np.sqrt(np.mean(((colours - memory.colours) / _SPREAD) ** 2)))
        if memory.disturbed and distance > self._threshold:
            memory.mismatches += 1
            return memory.mismatches >= self._confirm
        memory.disturbed, memory.mismatches = False, 0
        memory.colours += _FORGETTING * (colours - memory.colours)
        return False


def band_colours(frame: Frame, box_xyxy: Float32Array) -> Float64Array | None:
    """Mean Y, U and V of three parts of a person.

    Args:
        frame: The frame.
        box_xyxy: Box of the person, shape `(4,)`, full-frame pixels.

    Returns:
        Shape `(9,)`: Y, U, V of chest, hips and legs; None if a part lies outside the frame.
    """
    x1, y1, x2, y2 = (float(value) for value in box_xyxy)
    left, right = x1 + 0.25 * (x2 - x1), x1 + 0.75 * (x2 - x1)
    means: list[float] = []
    for low, high in _BANDS:
        top, bottom = y1 + low * (y2 - y1), y1 + high * (y2 - y1)
        for plane, scale in ((frame.y, 1), (frame.u, 2), (frame.v, 2)):
            part = _part(plane, left / scale, top / scale, right / scale, bottom / scale)
            if part.size == 0:
                return None
            means.append(float(part.mean()))
    return np.array(means)


def _part(plane: UInt8Array, left: float, top: float, right: float, bottom: float) -> UInt8Array:
    first_row, first_column = max(0, int(top)), max(0, int(left))
    # Every pixel of a large person is not needed for a mean.
    step = max(1, int(bottom - top) // 16)
    rows = slice(first_row, max(first_row + 1, int(bottom)), step)
    return plane[rows, first_column : max(first_column + 1, int(right)) : step]


def _near_others(boxes: Float32Array, frame: Frame) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Whether each person touches another or the border, so that its colours say little."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0.0, None), axis=2)
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0), axis=1)
    overlap = shared / (areas[:, None] + areas[None, :] - shared)
    np.fill_diagonal(overlap, 0.0)
    limits = np.array([frame.width, frame.height], np.float32) - _BORDER_PIXELS
    cut = (boxes[:, :2] < _BORDER_PIXELS).any(axis=1) | (boxes[:, 2:] > limits).any(axis=1)
    return np.asarray((overlap > _TOUCHING_IOU).any(axis=1) | cut, bool)
