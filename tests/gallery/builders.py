"""Small real parts for gallery tests: a tiny network, crops of drawn people, entries."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from streamreid.gallery.local import LocalScorer
from streamreid.gallery.ring import MapLayout, Ring
from streamreid.gallery.scorer import GalleryEntry
from streamreid.gallery.shortlist import STRIPS
from streamreid.reid.extract import FeatureExtractor
from streamreid.reid.qaconv import FoldedHead, QAConv, fold
from streamreid.reid.runners import TorchRunner
from streamreid.types import CameraId, CropKey, TrackKey, UInt8Array

HEIGHT, WIDTH, CHANNELS = 6, 3, 16


class TinyNetwork(nn.Module):
    """One convolution of stride 8 with fixed random weights."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.convolution = nn.Conv2d(3, CHANNELS, 8, 8)

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(self.convolution(images - 0.5), dim=1)


def make_head() -> FoldedHead:
    layer = QAConv(CHANNELS, HEIGHT, WIDTH).eval()
    with torch.no_grad():
        layer.fc.weight.copy_(torch.linspace(0.2, 1.0, HEIGHT * WIDTH)[None])
        layer.fc.bias.zero_()
    return fold(layer)


def make_ring(capacity: int = 64, map_dtype: torch.dtype = torch.int8, device: str = "cpu") -> Ring:
    layout = MapLayout(
        HEIGHT, WIDTH, CHANNELS, map_dtype, CHANNELS * STRIPS, vector_dtype=torch.bfloat16
    )
    return Ring(layout, capacity, device)


def make_scorer(capacity: int = 64, **options: Any) -> LocalScorer:
    runner = TorchRunner(TinyNetwork(), device=torch.device("cpu"), dtype=torch.float32)
    extractor = FeatureExtractor(runner, (HEIGHT * 8, WIDTH * 8))
    ring = make_ring(capacity, options.pop("map_dtype", torch.int8), options.pop("device", "cpu"))
    return LocalScorer(extractor, make_head(), ring, **options)


def make_crops(people: Sequence[int], seed: int = 0) -> list[UInt8Array]:
    """One crop per person number: the same person differs only by noise."""
    noise = np.random.default_rng(seed)
    crops = []
    for person in people:
        pattern = np.random.default_rng(1000 + person).integers(0, 256, (6, 3, 3))
        image = np.repeat(np.repeat(pattern, 16, axis=0), 16, axis=1)
        noisy = image + noise.normal(0, 12, image.shape)
        crops.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return crops


def entry(number: int, *, track: int = 0, at_s: float = 0.0, camera: str = "a") -> GalleryEntry:
    return GalleryEntry(CropKey(number), CameraId(camera), TrackKey(track), at_s)
