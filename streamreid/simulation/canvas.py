"""Painting shaded solids seen from the side: tapered limbs and bodies of round cross-section."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamreid.simulation.outfit import Rgb
from streamreid.types import Float32Array

Paint = Callable[[Float32Array, Float32Array], Float32Array]
"""Colour by azimuth (radians, 0 is the front) and height or length: both `(N,)` -> `(N, 3)`."""


@dataclass(frozen=True, slots=True)
class Light:
    """Where the light comes from.

    Attributes:
        side: -1 from the left of the picture, 1 from the right, 0 from the camera.
        ambient: Brightness in [0, 1] of what faces away from it.
    """

    side: float = -0.5
    ambient: float = 0.55

    def shade(self, lateral: Float32Array) -> Float32Array:
        """Brightness of a round body, by the lateral position in [-1, 1] on it."""
        depth = np.sqrt(np.maximum(0.0, 1.0 - lateral**2))
        facing = (self.side * lateral + depth) / np.hypot(self.side, 1.0)
        return np.asarray(self.ambient + (1.0 - self.ambient) * np.clip(facing, 0, 1), np.float32)


class Canvas:
    """A transparent picture in body coordinates: u to the right, v up, one unit is `scale` pixels.

    Args:
        width: Pixels per row; u = 0 is the middle.
        height: Rows; v = 0 lies `foot_margin` pixels above the bottom.
        scale: Pixels per unit.
        foot_margin: Rows below v = 0.
    """

    def __init__(self, width: int, height: int, scale: float, foot_margin: int) -> None:
        self.rgb = np.zeros((height, width, 3), np.float32)
        self.alpha = np.zeros((height, width), np.float32)
        self._scale = scale
        columns = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / scale
        rows = (height - foot_margin - np.arange(height, dtype=np.float32) - 0.5) / scale
        self._u, self._v = columns, rows

    def limb(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        radii: tuple[float, float],
        paint: Paint,
        light: Light,
        *,
        yaw: float = 0.0,
    ) -> None:
        """Paint a tapered capsule from `start` to `end` (u, v); its length coordinate is 0 to 1."""
        reach = max(radii) + 1.0 / self._scale
        window = self._window(
            min(start[0], end[0]) - reach,
            max(start[0], end[0]) + reach,
            min(start[1], end[1]) - reach,
            max(start[1], end[1]) + reach,
        )
        u, v = np.meshgrid(self._u[window[1]], self._v[window[0]])
        along = np.array([end[0] - start[0], end[1] - start[1]], np.float32)
        length = max(float(np.hypot(*along)), 1e-4)
        unit = along / length
        offset_u, offset_v = u - start[0], v - start[1]
        t = np.clip((offset_u * unit[0] + offset_v * unit[1]) / length, 0.0, 1.0)
        radius = radii[0] + (radii[1] - radii[0]) * t
        side = offset_u * -unit[1] + offset_v * unit[0]
        distance = np.hypot(offset_u - t * along[0], offset_v - t * along[1])
        cover = np.clip((radius - distance) * self._scale + 0.5, 0.0, 1.0)
        # The limb points down, so its own left is the picture's right.
        lateral = np.clip(side / radius, -1.0, 1.0).astype(np.float32)
        self._blend(window, cover, paint, light, lateral, t.astype(np.float32), yaw)

    def body(
        self,
        profile: Float32Array,
        paint: Paint,
        light: Light,
        *,
        yaw: float,
        lean: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Paint an upright solid of elliptical cross-section.

        Args:
            profile: Rows of (v, half width, half depth), v falling, shape `(N, 3)`.
            paint: Colour by azimuth and v.
            light: Where the light comes from.
            yaw: 0 walks to the right, pi/2 towards the camera; radians.
            lean: u of the axis at the top and at the bottom.
        """
        heights = profile[::-1, 0]
        widest = float(profile[:, 1:].max()) + max(abs(lean[0]), abs(lean[1])) + 1.0 / self._scale
        window = self._window(-widest, widest, float(heights[0]), float(heights[-1]))
        u, v = np.meshgrid(self._u[window[1]], self._v[window[0]])
        wide = np.interp(v, heights, profile[::-1, 1])
        deep = np.interp(v, heights, profile[::-1, 2])
        half = np.hypot(wide * np.sin(yaw), deep * np.cos(yaw)) + 1e-4
        axis = np.interp(v, [heights[0], heights[-1]], [lean[1], lean[0]])
        offset = u - axis
        ends = np.minimum(v - heights[0], heights[-1] - v)
        inside = np.minimum(half - np.abs(offset), ends)
        cover = np.clip(inside * self._scale + 0.5, 0.0, 1.0)
        lateral = np.clip(offset / half, -1.0, 1.0).astype(np.float32)
        self._blend(window, cover, paint, light, lateral, v.astype(np.float32), yaw)

    def _window(self, left: float, right: float, low: float, high: float) -> tuple[slice, slice]:
        columns = np.searchsorted(self._u, [left, right])
        rows = np.searchsorted(-self._v, [-high, -low])
        return slice(int(rows[0]), int(rows[1])), slice(int(columns[0]), int(columns[1]))

    def _blend(
        self,
        window: tuple[slice, slice],
        cover: Float32Array,
        paint: Paint,
        light: Light,
        lateral: Float32Array,
        height: Float32Array,
        yaw: float,
    ) -> None:
        drawn = cover > 0.0
        if not drawn.any():
            return
        azimuth = np.arcsin(lateral[drawn]) + np.float32(yaw - np.pi / 2)
        colour = paint(azimuth.astype(np.float32), height[drawn])
        colour = colour * light.shade(lateral[drawn])[:, None]
        strength = cover[drawn].astype(np.float32)
        rgb, alpha = self.rgb[window], self.alpha[window]
        rgb[drawn] = rgb[drawn] * (1.0 - strength[:, None]) + colour * strength[:, None]
        alpha[drawn] = alpha[drawn] + (1.0 - alpha[drawn]) * strength


def plain(colour: Rgb) -> Paint:
    """One colour everywhere."""
    value = np.array(colour, np.float32)
    return lambda azimuth, _: np.broadcast_to(value, (len(azimuth), 3))


def shoe_end(leg: Paint, shoe: Rgb, share: float) -> Paint:
    """A limb whose last `share` has another colour: shoes, hands, socks, bare shins."""
    value = np.array(shoe, np.float32)

    def paint(azimuth: Float32Array, t: Float32Array) -> Float32Array:
        return np.where((t > 1.0 - share)[:, None], value, leg(azimuth, t)).astype(np.float32)

    return paint
