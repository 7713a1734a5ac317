"""From crops to network input: one resize, shared by training and inference.

Pillow's bicubic filter is used in both. It low-passes when it shrinks, which OpenCV's bicubic does
not, so large crops from good cameras do not alias; it is also what the published code uses.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor


def resize(crop: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resize one crop with Pillow's bicubic filter; the aspect ratio is not kept.

    Args:
        crop: RGB pixels, shape `(h, w, 3)`, uint8.
        size: Height and width of the result, pixels.

    Returns:
        RGB pixels, shape `(H, W, 3)`, uint8.

    Raises:
        ValueError: If the crop is not a non-empty RGB uint8 image.
    """
    if crop.ndim != 3 or crop.shape[2] != 3 or crop.dtype != np.uint8 or 0 in crop.shape:
        raise ValueError(f"a crop must be (h, w, 3) uint8, got {crop.shape} {crop.dtype}")
    height, width = size
    if crop.shape[:2] == (height, width):
        return crop
    resized = Image.fromarray(crop).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def prepare(crops: Sequence[npt.NDArray[np.uint8]], size: tuple[int, int]) -> Tensor:
    """Resize crops and stack them into network input.

    No mean is subtracted here; a network that wants another range converts it itself.

    Args:
        crops: RGB pixels, each `(h, w, 3)` uint8, sizes may differ.
        size: Height and width that the network was trained on, pixels.

    Returns:
        Float32, shape `[N, 3, H, W]`, values in [0, 1].

    Raises:
        ValueError: If a crop is not a non-empty RGB uint8 image.
    """
    height, width = size
    pixels = np.empty((len(crops), height, width, 3), dtype=np.uint8)
    for index, crop in enumerate(crops):
        pixels[index] = resize(crop, size)
    return to_unit_range(torch.from_numpy(pixels))


def to_unit_range(pixels: Tensor) -> Tensor:
    """Convert uint8 `[N, H, W, 3]` to float32 `[N, 3, H, W]` in [0, 1]."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255.0)
