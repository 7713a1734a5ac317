"""The empty place that a drawn camera looks at: textured walls, a tiled floor, furniture."""

from dataclasses import dataclass

import cv2
import numpy as np

from streamreid.simulation.outfit import Rgb
from streamreid.types import Float32Array, UInt8Array


@dataclass(frozen=True, slots=True)
class Backdrop:
    """A place.

    Attributes:
        wall: Colour of the wall.
        floor: Colour of the floor.
        horizon: Where the wall meets the floor, share of the height from the top.
        tiles: Distance of the floor's lines at the lower edge, share of the width; 0 for none.
        furniture: How many posters, doors, windows and plants stand at the wall.
        outdoors: Whether bricks and windows replace plaster and posters.
    """

    wall: Rgb = (188, 182, 170)
    floor: Rgb = (126, 118, 108)
    horizon: float = 0.42
    tiles: float = 0.16
    furniture: int = 4
    outdoors: bool = False


def paint_backdrop(
    backdrop: Backdrop, width: int, height: int, rng: np.random.Generator
) -> UInt8Array:
    """Draw an empty place under white light.

    Args:
        backdrop: What kind of place.
        width: Pixels per row.
        height: Rows.
        rng: Chooses texture and furniture.

    Returns:
        RGB, shape `(height, width, 3)`, uint8.
    """
    base = int(backdrop.horizon * height)
    picture = np.empty((height, width, 3), np.float32)
    picture[:base] = backdrop.wall
    picture[base:] = backdrop.floor
    picture[:base] *= np.linspace(0.86, 1.05, base)[:, None, None]
    picture[base:] *= np.linspace(0.80, 1.08, height - base)[:, None, None]
    picture *= 1.0 + 0.06 * _clouds(rng, width, height)[:, :, None]
    canvas = np.clip(picture, 0, 255).astype(np.uint8)
    if backdrop.outdoors:
        _bricks(canvas[:base])
    _lines(canvas, backdrop, base)
    _furniture(canvas, backdrop, base, rng)
    skirting = max(2, height // 60)
    cv2.rectangle(canvas, (0, base - skirting), (width, base), _tone(backdrop.wall, 0.62), -1)
    return canvas


def _clouds(rng: np.random.Generator, width: int, height: int) -> Float32Array:
    """Smooth noise of several sizes, about -1 to 1: plaster, worn floors."""
    total = np.zeros((height, width), np.float32)
    for cells, strength in ((4, 0.5), (12, 0.3), (48, 0.25), (160, 0.25)):
        coarse = rng.standard_normal((cells * height // width + 1, cells)).astype(np.float32)
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        total += strength * np.asarray(smooth, np.float32)
    return np.clip(total, -1.5, 1.5)


def _bricks(wall: UInt8Array) -> None:
    rows, columns = wall.shape[:2]
    step = max(8, rows // 12)
    for row, y in enumerate(range(0, rows, step)):
        cv2.line(wall, (0, y), (columns, y), (122, 112, 104), 1, cv2.LINE_AA)
        for x in range((row % 2) * step, columns, 2 * step):
            cv2.line(wall, (x, y), (x, y + step), (122, 112, 104), 1, cv2.LINE_AA)


def _lines(canvas: UInt8Array, backdrop: Backdrop, base: int) -> None:
    """Joints of the floor: towards one vanishing point, and closer together further away."""
    if backdrop.tiles <= 0.0:
        return
    height, width = canvas.shape[:2]
    colour = _tone(backdrop.floor, 0.8)
    vanishing = (width // 2, int(base * 0.35))
    for share in np.arange(-2.0, 3.0, backdrop.tiles):
        near = np.array([share * width, height], np.float64)
        slope = (near[0] - vanishing[0]) / (height - vanishing[1])
        far = (int(vanishing[0] + slope * (base - vanishing[1])), base)
        cv2.line(canvas, far, (int(near[0]), height), colour, 1, cv2.LINE_AA)
    for step in range(1, 12):
        y = int(base + (height - base) * (0.72**step))
        cv2.line(canvas, (0, y), (width, y), colour, 1, cv2.LINE_AA)


def _furniture(canvas: UInt8Array, backdrop: Backdrop, base: int, rng: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    places = np.linspace(0.04, 0.82, backdrop.furniture) * width
    for place, x in enumerate(places.astype(int).tolist()):
        wide = int(width * rng.uniform(0.08, 0.13))
        red, green, blue = (int(value) for value in rng.integers(50, 210, 3))
        tone: Rgb = (red, green, blue)
        kind = "window" if backdrop.outdoors else ("door", "poster", "shelf", "poster")[place % 4]
        if kind == "door":
            _box(canvas, (x, int(base * 0.22)), (x + wide, base), tone)
            cv2.circle(
                canvas, (x + wide - 8, int(base * 0.65)), 3, (210, 200, 120), -1, cv2.LINE_AA
            )
        elif kind == "shelf":
            _box(canvas, (x, int(base * 0.5)), (x + wide, base + height // 40), tone)
            for shelf in np.linspace(0.6, 0.9, 3):
                y = int(base * shelf)
                cv2.line(canvas, (x, y), (x + wide, y), _tone(tone, 0.6), 2)
        else:
            top = int(base * rng.uniform(0.18, 0.34))
            low = top + int(wide * (0.8 if kind == "poster" else 1.1))
            _box(canvas, (x, top), (x + wide, min(low, base - 8)), tone)
            _poster(canvas, (x, top, x + wide, min(low, base - 8)), kind, rng)


def _poster(
    canvas: UInt8Array, box: tuple[int, int, int, int], kind: str, rng: np.random.Generator
) -> None:
    left, top, right, low = box
    if kind == "window":
        middle = (left + right) // 2
        cv2.line(canvas, (middle, top), (middle, low), (230, 230, 230), 2)
        cv2.line(canvas, (left, (top + low) // 2), (right, (top + low) // 2), (230, 230, 230), 2)
        return
    for _ in range(5):
        x, y = int(rng.integers(left + 4, right - 3)), int(rng.integers(top + 4, low - 3))
        shade = tuple(int(value) for value in rng.integers(30, 240, 3))
        cv2.circle(canvas, (x, y), int(rng.integers(2, 7)), shade, -1, cv2.LINE_AA)


def _box(canvas: UInt8Array, start: tuple[int, int], end: tuple[int, int], tone: Rgb) -> None:
    cv2.rectangle(canvas, start, end, tone, -1)
    cv2.rectangle(canvas, start, end, _tone(tone, 0.55), 2)


def _tone(colour: Rgb, share: float) -> Rgb:
    red, green, blue = colour
    return int(red * share), int(green * share), int(blue * share)
