"""Small made-up training sets: every identity has its own colours, every camera its own light."""

from pathlib import Path

import cv2
import numpy as np
import torch

from streamreid.training.images import ImageSet


def make_images(
    *,
    identities: int = 6,
    cameras: int = 2,
    each: int = 2,
    sources: int = 1,
    size: tuple[int, int] = (64, 32),
    seed: int = 0,
    light_step: float = 0.3,
) -> ImageSet:
    """Images whose upper and lower half tell the identity; cameras differ by `light_step`."""
    rng = np.random.default_rng(seed)
    pixels, labels = [], []
    for source in range(sources):
        for identity in range(identities):
            colours = rng.integers(40, 216, (2, 3))
            for camera in range(cameras):
                for _ in range(each):
                    flat = np.repeat(colours, size[0] // 2, axis=0)[:, None, :]
                    lit = flat.repeat(size[1], axis=1) * (0.7 + light_step * camera)
                    noisy = lit + rng.normal(0, 8, lit.shape)
                    pixels.append(np.clip(noisy, 0, 255).astype(np.uint8))
                    labels.append((source * identities + identity, camera, source))
    columns = torch.tensor(labels)
    return ImageSet(torch.from_numpy(np.stack(pixels)), columns[:, 0], columns[:, 1], columns[:, 2])


def write_folder(root: Path, images: ImageSet) -> Path:
    """The same images as files with Market-like names."""
    folder = root / "bounding_box_train"
    folder.mkdir(parents=True)
    for number in range(len(images)):
        identity, camera = int(images.identity[number]), int(images.camera[number])
        name = f"{identity + 1:04d}_c{camera + 1}s1_{number:06d}_00.png"
        cv2.imwrite(str(folder / name), images.pixels[number].numpy()[:, :, ::-1])
    return folder
