"""What a drawn camera does to the light: cast, gamma, vignette, blur, mirror and noise."""

from dataclasses import dataclass

import cv2
import numpy as np

from streamreid.types import Float32Array, UInt8Array


@dataclass(frozen=True, slots=True)
class CameraLook:
    """How one camera renders colours.

    Attributes:
        gains: Exposure times white balance for red, green and blue.
        gamma: Exponent on [0, 1]; above 1 darkens the middle tones.
        saturation: 1 keeps colours, 0 makes them grey.
        vignette: Share of the light lost in the corners, [0, 1].
        slope: Light falls off by this share from the left edge to the right one; may be negative.
        blur: Standard deviation of the lens blur, pixels; 0 for none.
        noise: Standard deviation of the sensor noise, 8-bit steps.
        mirror: Whether left and right are swapped.
        light_side: Where the light comes from, -1 left to 1 right (see `Light`).
    """

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    saturation: float = 1.0
    vignette: float = 0.15
    slope: float = 0.0
    blur: float = 0.0
    noise: float = 3.0
    mirror: bool = False
    light_side: float = -0.5


class Sensor:
    """Applies a `CameraLook` to whole pictures, and fresh noise to every one.

    Args:
        look: The camera's look.
        width: Pixels per row.
        height: Rows.
        rng: Source of the noise.
    """

    def __init__(self, look: CameraLook, width: int, height: int, rng: np.random.Generator) -> None:
        self._look = look
        self._rng = rng
        self._curves = _curves(look)
        self._shading = _shading(look, width, height)
        # Drawing fresh noise for each frame costs more than all the rest; a larger sheet of it,
        # entered at a random place, never repeats on the same pixel in a row.
        sheet = rng.standard_normal((height + 64, width + 64, 3)) * look.noise
        self._noise = np.clip(np.round(sheet), -60, 60).astype(np.int16)

    def expose(self, scene: UInt8Array) -> UInt8Array:
        """Turn a scene under white light, RGB `(H, W, 3)` uint8, into what the camera gives."""
        return self.add_noise(self.develop(scene, (0, 0)))

    def develop(self, scene: UInt8Array, corner: tuple[int, int]) -> UInt8Array:
        """Colours and shading, no noise; `corner` is the row and column of the top left pixel."""
        rows, columns = scene.shape[:2]
        top, left = corner
        shading = self._shading[top : top + rows, left : left + columns]
        pixels = scene
        if self._look.saturation != 1.0:
            grey = cv2.cvtColor(cv2.cvtColor(scene, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            share = self._look.saturation
            pixels = np.asarray(cv2.addWeighted(scene, share, grey, 1.0 - share, 0.0), np.uint8)
        pixels = np.asarray(cv2.LUT(pixels, self._curves), np.uint8)
        lit = cv2.multiply(pixels, shading, dtype=cv2.CV_8U)
        if self._look.blur > 0.0:
            lit = cv2.GaussianBlur(lit, (0, 0), self._look.blur)
        return np.asarray(lit, np.uint8)

    def add_noise(self, picture: UInt8Array) -> UInt8Array:
        """Add fresh noise, and mirror where the camera does."""
        rows, columns = picture.shape[:2]
        top, left = (int(value) for value in self._rng.integers(0, 64, 2))
        noise = self._noise[top : top + rows, left : left + columns]
        noisy = np.asarray(cv2.add(picture, noise, dtype=cv2.CV_8U), np.uint8)
        return np.ascontiguousarray(noisy[:, ::-1]) if self._look.mirror else noisy


def _curves(look: CameraLook) -> UInt8Array:
    steps = np.linspace(0.0, 1.0, 256)[:, None] ** look.gamma
    curve = np.clip(steps * np.array(look.gains) * 255.0, 0.0, 255.0)
    return np.asarray(curve.reshape(256, 1, 3), np.uint8)


def _shading(look: CameraLook, width: int, height: int) -> Float32Array:
    x = np.linspace(-1.0, 1.0, width)[None, :]
    y = np.linspace(-1.0, 1.0, height)[:, None]
    light = 1.0 - look.vignette * (x**2 + y**2) / 2.0 - look.slope * (x + 1.0) / 2.0
    return np.repeat(light[:, :, None], 3, axis=2).astype(np.float32)
