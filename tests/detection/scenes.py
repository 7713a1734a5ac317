"""Drawn scenes: people-shaped figures that walk before a noisy wall."""

import numpy as np

from streamreid.types import CameraId, Frame
from tests.video.clips import CAMERA


def walking_scene(
    count: int,
    *,
    fps: float = 5.0,
    size: tuple[int, int] = (320, 240),
    figures: int = 1,
    speed: float = 20.0,
    stop_after_s: float = float("inf"),
    first_s: float = 3.0,
    camera_id: CameraId = CAMERA,
    noise: float = 2.0,
) -> list[Frame]:
    """Frames of figures that walk to the right at half height, one below the other.

    Args:
        count: Number of frames.
        fps: Frames a second.
        size: Width and height.
        figures: How many people.
        speed: Pixels a second.
        stop_after_s: When they stand still.
        first_s: When they appear; before it the scene is empty.
        camera_id: Camera of the frames.
        noise: Standard deviation of the sensor noise.
    """
    rng = np.random.default_rng(7)
    width, height = size
    wall = rng.integers(90, 140, (height // 8, width // 8)).repeat(8, 0).repeat(8, 1)
    frames = []
    for index in range(count):
        now_s = index / fps
        luma = wall.astype(np.float64)
        for figure in range(figures if now_s >= first_s else 0):
            walked_s = min(now_s, stop_after_s) - first_s
            left = round(10 + 60 * figure + speed * walked_s)
            top = height // 4
            luma[top : top + height // 2, left : left + height // 5] = 30 + 180 * (figure % 2)
        luma += rng.normal(0, noise, luma.shape)
        y = luma.clip(16, 235).astype(np.uint8)
        grey = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
        frames.append(Frame(camera_id, index, 0, 1000.0 + now_s, "file", y, grey, grey))
    return frames
