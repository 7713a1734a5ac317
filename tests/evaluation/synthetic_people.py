"""A small data set of drawn people: colours make the identity, cameras change the light."""

from pathlib import Path

import numpy as np
from PIL import Image

from streamreid.types import UInt8Array


def draw_person(identity: int, camera: int, seed: int, size: tuple[int, int]) -> UInt8Array:
    """A coloured figure, `(h, w, 3)` uint8; the same identity always wears the same colours."""
    height, width = size
    colours = np.random.default_rng(identity).integers(40, 255, (4, 3))
    noise = np.random.default_rng((identity, camera, seed))
    image = np.full((height, width, 3), 90 + 20 * camera, np.float32)
    bands = np.linspace(0, height, 5).astype(int)
    for band, colour in enumerate(colours):
        image[bands[band] : bands[band + 1], width // 5 : -width // 5] = colour
    lit = image * (0.9 + 0.05 * camera) + noise.normal(0, 6, image.shape)
    return lit.clip(0, 255).astype(np.uint8)


def plant_people(
    root: Path,
    *,
    identities: int = 6,
    cameras: int = 3,
    per_camera: int = 3,
    size: tuple[int, int] = (64, 32),
    suffix: str = ".png",
    timed: bool = True,
) -> Path:
    """Write a Market-like tree: the first image of each identity and camera is a query.

    Everybody walks from camera to camera, 60 s apart, and identities follow each other by 200 s.
    """
    for split in ("query", "bounding_box_test"):
        (root / split).mkdir(parents=True, exist_ok=True)
    for identity in range(1, identities + 1):
        for camera in range(1, cameras + 1):
            for number in range(per_camera):
                frame = 25 * (200 * identity + 60 * camera + number)
                where = f"c{camera}s1_{frame:06d}" if timed else f"c{camera}"
                split = "query" if number == 0 else "bounding_box_test"
                path = root / split / f"{identity:04d}_{where}_{number:02d}{suffix}"
                Image.fromarray(draw_person(identity, camera, number, size)).save(path)
    return root


def embed_bands(crops: list[UInt8Array]) -> "np.ndarray":
    """Mean colour of each of 8 bands, centred and unit norm, `[N, 3, 8, 1]` float32."""
    maps = []
    for crop in crops:
        middle = crop[:, crop.shape[1] // 3 : -crop.shape[1] // 3].astype(np.float32)
        bands = np.stack([band.mean(axis=(0, 1)) for band in np.array_split(middle, 8)], axis=1)
        bands = bands - bands.mean(axis=0, keepdims=True) + 1e-3
        maps.append((bands / np.linalg.norm(bands, axis=0))[:, :, None])
    return np.stack(maps).astype(np.float32)
