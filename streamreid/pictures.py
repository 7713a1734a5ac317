"""Pictures straight from YUV planes: resizing, letterboxing and cropping without a full RGB frame.

Resizing the three planes and converting at the small size costs a third of converting the full
frame first (design: performance, section 4).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from streamreid.types import Float32Array, Frame, UInt8Array

_PADDING_GREY = 114
"""Grey around a letterboxed picture: the value that the YOLO family was trained with."""


@dataclass(frozen=True, slots=True, eq=False)
class Letterbox:
    """A frame fitted into a fixed size with its aspect ratio kept.

    Attributes:
        image: RGB, shape `(H, W, 3)`, uint8.
        scale: Letterboxed pixels per frame pixel.
        left: Padding on the left in pixels.
        top: Padding on top in pixels.
    """

    image: UInt8Array
    scale: float
    left: int
    top: int

    def to_frame_boxes(self, boxes_xyxy: Float32Array, frame: Frame) -> Float32Array:
        """Boxes of the letterboxed picture in pixels of the full frame, clipped to it.

        Args:
            boxes_xyxy: Boxes, shape `(N, 4)`, in pixels of `image`.
            frame: The frame that was letterboxed.
        """
        offset = np.array([self.left, self.top] * 2, np.float32)
        limit = np.array([frame.width, frame.height] * 2, np.float32)
        boxes = (boxes_xyxy - offset) / np.float32(self.scale)
        return np.asarray(np.clip(boxes, 0.0, limit), np.float32)


def resize_planes_to_rgb(frame: Frame, size: tuple[int, int]) -> UInt8Array:
    """The whole frame as a small RGB picture.

    Args:
        frame: Source frame.
        size: Width and height in pixels; odd numbers are rounded up to even ones.

    Returns:
        RGB, shape `(height, width, 3)`, uint8, own memory.
    """
    return _planes_to_rgb(frame.y, frame.u, frame.v, size, full_range=frame.full_range)


def letterbox_rgb(frame: Frame, size: tuple[int, int]) -> Letterbox:
    """Fit the frame into `size`, centred, with grey around it.

    Args:
        frame: Source frame.
        size: Width and height of the result in pixels.
    """
    width, height = size
    scale = min(width / frame.width, height / frame.height)
    inner_width = min(width, max(2, round(frame.width * scale / 2) * 2))
    inner_height = min(height, max(2, round(frame.height * scale / 2) * 2))
    inner = resize_planes_to_rgb(frame, (inner_width, inner_height))
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    if (inner_width, inner_height) == (width, height):
        return Letterbox(inner, scale, 0, 0)
    image = np.full((height, width, 3), _PADDING_GREY, np.uint8)
    image[top : top + inner_height, left : left + inner_width] = inner
    return Letterbox(image, scale, left, top)


def small_size(frame: Frame, width: int) -> tuple[int, int]:
    """Width and height of a small picture of the frame.

    The height is bounded too: a stream may claim 2 x 8192 pixels, and memory would follow it.

    Args:
        frame: Source frame.
        width: Pixels per row of the small picture.
    """
    return width, min(2 * width, max(2, round(frame.height * width / frame.width)))


def small_luma(frame: Frame, width: int) -> UInt8Array:
    """A small grey picture of the frame, noise averaged away.

    Args:
        frame: Source frame.
        width: Pixels per row of the result; the height follows.
    """
    width, height = small_size(frame, width)
    luma = frame.y
    if frame.width > 4 * width:
        # Averaging all pixels of a large frame costs ten times this and hides no more noise.
        luma = _resized(luma, 2 * width, 2 * height)
    return np.asarray(cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def clip_box(box_xyxy: Float32Array, width: int, height: int) -> tuple[int, int, int, int] | None:
    """Whole-pixel box inside the frame, or None if nothing of it is (or it is not finite).

    Args:
        box_xyxy: Box, shape `(4,)`, in pixels.
        width: Pixels per row of the frame.
        height: Rows of the frame.
    """
    if not np.all(np.isfinite(box_xyxy)):
        return None
    x1, y1 = (max(0, int(np.floor(value))) for value in box_xyxy[:2])
    x2 = min(width, int(np.ceil(box_xyxy[2])))
    y2 = min(height, int(np.ceil(box_xyxy[3])))
    if x2 - x1 < 2 or y2 - y1 < 2:
        return None
    return x1, y1, x2, y2


def crop_rgb(frame: Frame, box_xyxy: Float32Array, *, max_height: int = 512) -> UInt8Array | None:
    """Cut a box out of the frame.

    Args:
        frame: Source frame.
        box_xyxy: Box in pixels of the frame, shape `(4,)`; widened by at most one pixel per side
            so that luma and chroma stay aligned.
        max_height: Taller or (by a factor) wider crops are scaled down, which bounds memory.

    Returns:
        RGB, shape `(h, w, 3)`, uint8, own memory; None if nothing of the box lies in the frame.
    """
    clipped = clip_box(box_xyxy, frame.width, frame.height)
    if clipped is None:
        return None
    x1, y1 = clipped[0] & ~1, clipped[1] & ~1
    x2, y2 = clipped[2], clipped[3]
    luma = frame.y[y1:y2, x1:x2]
    chroma = (slice(y1 // 2, (y2 + 1) // 2), slice(x1 // 2, (x2 + 1) // 2))
    width, height = x2 - x1, y2 - y1
    scale = min(1.0, max_height / height, max_height / width)
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    return _planes_to_rgb(luma, frame.u[chroma], frame.v[chroma], size, full_range=frame.full_range)


def _planes_to_rgb(
    y: UInt8Array, u: UInt8Array, v: UInt8Array, size: tuple[int, int], *, full_range: bool
) -> UInt8Array:
    width, height = ((value + 1) & ~1 for value in size)
    if full_range:
        # OpenCV's I420 conversion knows only 16..235; its YCrCb conversion only 0..255.
        merged = cv2.merge([_resized(plane, width, height) for plane in (y, v, u)])
        return np.asarray(cv2.cvtColor(merged, cv2.COLOR_YCrCb2RGB), np.uint8)
    area = width * height
    packed = np.empty(area * 3 // 2, np.uint8)
    _resize_into(y, packed[:area].reshape(height, width))
    half = (height // 2, width // 2)
    _resize_into(u, packed[area : area + area // 4].reshape(half))
    _resize_into(v, packed[area + area // 4 :].reshape(half))
    planar = packed.reshape(height * 3 // 2, width)
    return np.asarray(cv2.cvtColor(planar, cv2.COLOR_YUV2RGB_I420), np.uint8)


def _resize_into(plane: UInt8Array, target: UInt8Array) -> None:
    if plane.shape == target.shape:
        target[:] = plane
    else:
        height, width = target.shape
        cv2.resize(plane, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)


def _resized(plane: UInt8Array, width: int, height: int) -> UInt8Array:
    if plane.shape == (height, width):
        return plane
    resized = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)
