"""Random changes of training images that a matcher must not care about.

Geometry is one affine warp per image (OpenCV); colour is one 3x3 matrix and one offset per image,
because brightness, contrast, saturation and hue are all linear in RGB. Every random number comes
from the generator that the caller passes, so that a batch can be made again.
"""

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamreid.reid.preprocess import to_unit_range

_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How strongly images are changed; zero switches a change off.

    Attributes:
        flip: Probability of a horizontal mirror image.
        rotate_deg: Largest rotation either way, degrees.
        scale: Largest relative change of size and of aspect ratio.
        shift: Largest shift, as a share of the width in both directions.
        colour: Factor range `[1 / colour, colour]` of brightness, contrast and saturation.
        hue: Largest rotation of the hue, as a share of the full circle.
        grey: Probability of losing all colour.
        blur: Probability of losing resolution (shrunk and enlarged again).
        blur_factor: Largest factor of that loss.
        erase: Probability that a rectangle is hidden.
        erase_side: Longest side of that rectangle, as a share of the image's width.
        erase_with: A rectangle of one random colour, or the white square of the published recipe.
        border: What a warp uncovers: the nearest pixels, or black as in the published recipe.
    """

    flip: float = 0.5
    rotate_deg: float = 5.0
    scale: float = 0.1
    shift: float = 0.08
    colour: float = 1.6
    hue: float = 0.06
    grey: float = 0.05
    blur: float = 0.3
    blur_factor: float = 4.0
    erase: float = 0.6
    erase_side: float = 0.8
    erase_with: Literal["colour", "white square"] = "colour"
    border: Literal["edge", "black"] = "edge"


def augment(pixels: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Make a changed copy of a batch.

    Args:
        pixels: RGB, shape `[N, H, W, 3]`, uint8.
        config: Strength of the changes.
        generator: Source of all random numbers.

    Returns:
        Float32, shape `[N, 3, H, W]`, values in [0, 1].
    """
    warped = np.stack([_warp(image, config, generator) for image in pixels.numpy()])
    images = to_unit_range(torch.from_numpy(warped))
    images = _shift_colours(images, config, generator)
    return _erase(images, config, generator)


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low


def _warp(
    image: npt.NDArray[np.uint8], config: AugmentConfig, generator: torch.Generator
) -> npt.NDArray[np.uint8]:
    """Lose resolution, then flip, rotate, scale and shift in a single interpolation."""
    height, width = image.shape[:2]
    draw = torch.rand(9, generator=generator).tolist()
    if draw[0] < config.blur:
        factor = 1.0 + draw[1] * (config.blur_factor - 1.0)
        small = (max(8, round(width / factor)), max(8, round(height / factor)))
        shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        enlarged = cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)
        image = enlarged.astype(np.uint8, copy=False)
    angle = math.radians((2 * draw[2] - 1) * config.rotate_deg)
    scale_x = 1.0 + (2 * draw[3] - 1) * config.scale
    scale_y = 1.0 + (2 * draw[4] - 1) * config.scale
    shift_x = (2 * draw[5] - 1) * config.shift * width
    shift_y = (2 * draw[6] - 1) * config.shift * width
    mirror = -1.0 if draw[7] < config.flip else 1.0
    linear = np.array(
        [
            [math.cos(angle) * scale_x * mirror, -math.sin(angle) * scale_y],
            [math.sin(angle) * scale_x * mirror, math.cos(angle) * scale_y],
        ]
    )
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    offset = centre + np.array([shift_x, shift_y]) - linear @ centre
    matrix = np.concatenate([linear, offset[:, None]], axis=1)
    border = cv2.BORDER_REPLICATE if config.border == "edge" else cv2.BORDER_CONSTANT
    return cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border
    ).astype(np.uint8, copy=False)


def _shift_colours(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation and hue of each image by one affine map of its colours."""
    count = len(images)
    span = math.log(config.colour)
    brightness = _uniform(generator, -span, span, count).exp()
    contrast = _uniform(generator, -span, span, count).exp()
    saturation = _uniform(generator, -span, span, count).exp()
    saturation[torch.rand(count, generator=generator) < config.grey] = 0.0
    angle = _uniform(generator, -config.hue, config.hue, count) * (2 * math.pi)
    luma = torch.tensor(_LUMA).expand(3, 3)
    rotation = _hue_rotation(angle)
    grey_part = (1 - saturation)[:, None, None] * luma
    matrix = saturation[:, None, None] * rotation + grey_part
    matrix = matrix * (brightness * contrast)[:, None, None]
    mean = (images.mean(dim=(2, 3)) * torch.tensor(_LUMA)).sum(dim=1)
    offset = mean * brightness * (1 - contrast)
    mixed = torch.bmm(matrix, images.flatten(2)) + offset[:, None, None]
    return mixed.clamp_(0.0, 1.0).view_as(images)


def _hue_rotation(angle: Tensor) -> Tensor:
    """Rotations about the grey axis, shape `[N, 3, 3]` (Rodrigues' formula)."""
    axis = 1.0 / math.sqrt(3.0)
    cross = torch.tensor([[0.0, -axis, axis], [axis, 0.0, -axis], [-axis, axis, 0.0]])
    cosine = angle.cos()[:, None, None]
    sine = angle.sin()[:, None, None]
    return torch.eye(3) * cosine + cross * sine + (1 - cosine) / 3.0


def _erase(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Hide a rectangle of some images behind one random colour."""
    height, width = images.shape[2:]
    for image in images:
        draw = torch.rand(8, generator=generator).tolist()
        if draw[0] >= config.erase:
            continue
        longest = config.erase_side * width
        tall, wide = max(1, int(draw[1] * longest)), max(1, int(draw[2] * longest))
        top, left = int(draw[3] * (height - tall)), int(draw[4] * (width - wide))
        colour = torch.tensor(draw[5:8])
        if config.erase_with == "white square":
            wide = tall
            left = int(draw[4] * (width - wide))
            colour = torch.ones(3)
        image[:, top : top + tall, left : left + wide] = colour[:, None, None]
    return images


def plain(pixels: Tensor) -> Tensor:
    """The unchanged images, as inference sees them: float32 `[N, 3, H, W]` in [0, 1]."""
    return to_unit_range(pixels)
