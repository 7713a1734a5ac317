"""Reads the images of a data set and turns them into packed feature maps, naming broken files."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from streamreid.errors import DatasetError
from streamreid.evaluation.datasets import ImageRecord
from streamreid.reid.matching import FeatureMaps
from streamreid.types import UInt8Array

Embed = Callable[[Sequence[UInt8Array]], Tensor]
"""RGB crops of any size to feature maps `[N, C, h, w]` with unit norm over channels."""

Progress = Callable[[int], None]
"""Told how many more units of work are done."""


@dataclass(frozen=True, slots=True)
class BrokenImage:
    """An image file that cannot be used.

    Attributes:
        path: The file.
        reason: What is wrong with it.
    """

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Feature maps of the images that could be read.

    Attributes:
        maps: Packed maps, one per record.
        records: The images that they belong to.
        broken: The images that could not be read; they are in neither of the others.
    """

    maps: FeatureMaps
    records: tuple[ImageRecord, ...]
    broken: tuple[BrokenImage, ...]


def read_rgb(path: Path) -> UInt8Array:
    """Decode one image file.

    Args:
        path: Any file type that Pillow reads.

    Returns:
        RGB pixels, shape `(H, W, 3)`, uint8.

    Raises:
        DatasetError: If the file is missing, damaged or no image.
    """
    try:
        with warnings.catch_warnings():
            # Pillow only warns of images that are suspiciously large; a crop never is.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return np.array(image.convert("RGB"))
    except UnidentifiedImageError as exc:
        raise DatasetError(f"{path} is no image file (or empty)") from exc
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning) as exc:
        raise DatasetError(f"{path} cannot be decoded: {exc}") from exc
    except Image.DecompressionBombError as exc:
        raise DatasetError(f"{path} is too large for a person's image: {exc}") from exc


def extract(
    records: Sequence[ImageRecord],
    embed: Embed,
    *,
    split: str,
    dtype: torch.dtype = torch.int8,
    batch: int = 32,
    progress: Progress = lambda _: None,
) -> Features:
    """Compute the feature maps of a split.

    Args:
        records: Images in order.
        embed: The network.
        split: Name of the split, for messages.
        dtype: Storage dtype of the maps.
        batch: Images held and passed at once.
        progress: Told after every batch how many images are done.

    Returns:
        Maps and records of all images that could be read, and the others by name.

    Raises:
        DatasetError: If there are no images, or none of them can be read.
    """
    parts: list[FeatureMaps] = []
    kept: list[ImageRecord] = []
    broken: list[BrokenImage] = []
    for start in range(0, len(records), batch):
        crops: list[UInt8Array] = []
        for record in records[start : start + batch]:
            try:
                crops.append(read_rgb(record.path))
            except DatasetError as exc:
                broken.append(BrokenImage(record.path, str(exc)))
            else:
                kept.append(record)
        if crops:
            parts.append(FeatureMaps.pack(embed(crops), dtype=dtype))
        progress(len(records[start : start + batch]))
    if not parts:
        why = f": {broken[0].reason}" if broken else ""
        raise DatasetError(
            f"the {split} split has no readable image among {len(records)}{why}; "
            "check the folder or list"
        )
    return Features(_joined(parts), tuple(kept), tuple(broken))


def _joined(parts: Sequence[FeatureMaps]) -> FeatureMaps:
    scales = [part.scales for part in parts if part.scales is not None]
    return FeatureMaps(
        torch.cat([part.data for part in parts]),
        parts[0].height,
        parts[0].width,
        torch.cat(scales) if scales else None,
    )
