"""Training images held in memory as uint8, with their identities, cameras and sources."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from streamreid.errors import DatasetError
from streamreid.evaluation.datasets import ImageRecord
from streamreid.evaluation.features import read_rgb
from streamreid.reid.preprocess import resize
from streamreid.types import UInt8Array


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Resized images and their labels, as parallel arrays.

    Attributes:
        pixels: RGB, shape `[N, H, W, 3]`, uint8.
        identity: Shape `[N]`, int64; labels from 0 without gaps, different in every source.
        camera: Shape `[N]`, int64; only compared inside one source.
        source: Shape `[N]`, int64; which data set the image comes from.
    """

    pixels: Tensor
    identity: Tensor
    camera: Tensor
    source: Tensor

    def __post_init__(self) -> None:
        count = len(self.pixels)
        if not len(self.identity) == len(self.camera) == len(self.source) == count:
            raise ValueError("pixels, identity, camera and source must have the same length")

    def __len__(self) -> int:
        return len(self.pixels)

    def select(self, keep: Tensor) -> "ImageSet":
        """Keep the images where the boolean mask `[N]` is true, and renumber identities."""
        _, identity = torch.unique(self.identity[keep], return_inverse=True)
        return ImageSet(self.pixels[keep], identity, self.camera[keep], self.source[keep])


def load_images(
    sources: Sequence[Sequence[ImageRecord]],
    size: tuple[int, int],
    *,
    progress: Callable[[], None] | None = None,
) -> ImageSet:
    """Decode and resize all images of all sources.

    Args:
        sources: For each data set its training records.
        size: Height and width, pixels.
        progress: Called after every image.

    Raises:
        DatasetError: A file is missing or no image.
    """
    count = sum(len(records) for records in sources)
    pixels = torch.empty((count, *size, 3), dtype=torch.uint8)
    labels: list[tuple[int, int, int]] = []
    for source, records in enumerate(sources):
        for record in records:
            pixels[len(labels)] = torch.from_numpy(resize(_pixels(record), size).copy())
            labels.append((source, record.identity, record.camera))
            if progress is not None:
                progress()
    identities = {key: number for number, key in enumerate(sorted({row[:2] for row in labels}))}
    return ImageSet(
        pixels=pixels,
        identity=torch.tensor([identities[row[:2]] for row in labels]),
        camera=torch.tensor([row[2] for row in labels]),
        source=torch.tensor([row[0] for row in labels]),
    )


def _pixels(record: ImageRecord) -> UInt8Array:
    try:
        return read_rgb(record.path)
    except DatasetError as exc:
        raise DatasetError(f"{exc}; replace the file, or leave it out of the list") from exc
