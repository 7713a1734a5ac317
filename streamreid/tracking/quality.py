"""How useful a crop of a person is: size, completeness, overlap, shape and sharpness."""

import cv2
import numpy as np

from streamreid.types import Float32Array, UInt8Array

_GOOD_HEIGHT = 160.0
_BORDER_PIXELS = 2.0
_SHARP = 6.0
_SHARPNESS_SIZE = (32, 64)


def box_qualities(boxes_xyxy: Float32Array, width: int, height: int) -> Float32Array:
    """Quality by geometry alone.

    Args:
        boxes_xyxy: Boxes of all tracked people in the frame, shape `(N, 4)`, pixels.
        width: Pixels per row of the frame.
        height: Rows of the frame.

    Returns:
        Quality in [0, 1] per box, shape `(N,)`: the product of size, completeness, freedom from
        overlap, and shape, each in [0, 1].
    """
    boxes = np.asarray(boxes_xyxy, np.float32)
    if not len(boxes):
        return np.zeros(0, np.float32)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    size = np.sqrt(np.minimum(1.0, sides[:, 1] / _GOOD_HEIGHT))
    shape = np.clip(sides[:, 1] / sides[:, 0] / 1.8, 0.3, 1.0)
    quality = size * shape * _completeness(boxes, width, height) * (1.0 - _covered(boxes, sides))
    return np.asarray(np.clip(quality, 0.0, 1.0), np.float32)


def sharpness(image: UInt8Array) -> float:
    """How sharp a crop is, in [0.3, 1].

    Args:
        image: RGB, shape `(h, w, 3)`, uint8.

    Returns:
        Mean strength of the edges at a fixed small size, relative to that of a sharp crop, so
        that neither the size of the person nor sensor noise counts as sharpness.
    """
    small = cv2.resize(image[..., 1], _SHARPNESS_SIZE, interpolation=cv2.INTER_AREA)
    edges = cv2.Laplacian(small, cv2.CV_16S, ksize=1)
    return float(np.clip(np.abs(edges).mean() / _SHARP, 0.3, 1.0))


def _completeness(boxes: Float32Array, width: int, height: int) -> Float32Array:
    """Lower for each side of the picture that cuts the person off."""
    limits = np.array([width, height], np.float32)
    cut = np.concatenate(
        [boxes[:, :2] <= _BORDER_PIXELS, boxes[:, 2:] >= limits - _BORDER_PIXELS], axis=1
    )
    return np.asarray(0.5 ** cut.sum(axis=1), np.float32)


def _covered(boxes: Float32Array, sides: Float32Array) -> Float32Array:
    """Largest share of each box that another box covers; people further down stand in front."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0.0, None), axis=2) / np.prod(sides, axis=1)[:, None]
    in_front = boxes[None, :, 3] > boxes[:, None, 3]
    # Somebody behind hides nothing, but still puts a second person into the crop.
    shared = np.where(in_front, shared, 0.5 * shared)
    np.fill_diagonal(shared, 0.0)
    return np.asarray(np.clip(shared.max(axis=1), 0.0, 0.95), np.float32)
