"""Drawing a walking person from any side: an articulated body, clothes with patterns, a bag.

Lengths are shares of a usual body height. A body faces +x; z is its left; the camera sees it under
a yaw of 0 (walks to the right), pi/2 (towards the camera), pi (to the left) or anything between.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamreid.simulation.canvas import Canvas, Light, plain, shoe_end
from streamreid.simulation.garments import cloth_paint, darker, face_paint, leg_paints
from streamreid.simulation.outfit import Outfit
from streamreid.types import UInt8Array

SPRITE_HEIGHT = 300
"""Rows of a sprite of the usual stature, head to sole: finer than it is ever shown."""

_WIDTH = 260
_ROWS = 350
_FOOT_MARGIN = 18

GROUND_ROW = _ROWS - _FOOT_MARGIN
"""Row of a sprite on which the person stands."""

_HIP, _SHOULDER, _NECK = 0.52, 0.815, 0.85
_THIGH, _SHIN = 0.245, 0.235
_UPPER_ARM, _FOREARM = 0.165, 0.15
_STRIDE_RAD = 0.44
_ARM_SWING_RAD = 0.40


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A drawn person, cut out.

    Attributes:
        rgb: Colours times `alpha`, shape `(H, W, 3)`, uint8.
        alpha: Opacity, shape `(H, W)`, uint8.
        foot_row: Row of the ground.
        box_xyxy: Smallest box around the person, pixels of the sprite.
    """

    rgb: UInt8Array
    alpha: UInt8Array
    foot_row: int
    box_xyxy: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _View:
    """The projection of one yaw: body (x, y, z) to picture (u, v) and depth."""

    cos: float
    sin: float

    def __call__(self, x: float, y: float, z: float) -> tuple[float, float]:
        return x * self.cos + z * self.sin, y

    def nearness(self, x: float, z: float) -> float:
        return x * self.sin - z * self.cos


def draw_person(outfit: Outfit, *, yaw: float, phase: float, light: Light) -> Sprite:
    """Draw one moment of a walk.

    Args:
        outfit: What the person looks like.
        yaw: Direction of walking, radians: 0 to the right, pi/2 towards the camera.
        phase: Moment of the gait in [0, 1); 0 and 0.5 are the two widest steps.
        light: Where the light comes from.

    Returns:
        The sprite; multiply its size by wanted height / `SPRITE_HEIGHT`.
    """
    canvas = Canvas(_WIDTH, _ROWS, SPRITE_HEIGHT * outfit.stature, _FOOT_MARGIN)
    view = _View(math.cos(yaw), math.sin(yaw))
    angle = 2.0 * math.pi * phase
    bob = 0.008 * math.cos(2.0 * angle)
    strokes: list[tuple[float, Callable[[], None]]] = []
    for side in (-1.0, 1.0):
        strokes += _leg(canvas, view, outfit, side, angle, bob, light, yaw)
        strokes += _arm(canvas, view, outfit, side, angle, bob, light, yaw)
    strokes.append((0.0, lambda: _trunk(canvas, outfit, yaw, bob, light)))
    strokes.append((0.001, lambda: _head(canvas, view, outfit, yaw, bob, light)))
    strokes += _bag(canvas, view, outfit, angle, bob, light, yaw)
    for _, stroke in sorted(strokes, key=lambda item: item[0]):
        stroke()
    return _cut_out(canvas)


_Stroke = tuple[float, Callable[[], None]]


def _leg(
    canvas: Canvas,
    view: _View,
    outfit: Outfit,
    side: float,
    angle: float,
    bob: float,
    light: Light,
    yaw: float,
) -> list[_Stroke]:
    swing = _STRIDE_RAD * math.sin(angle) * side
    # The knee bends while its leg comes forward.
    bend = 0.75 * max(0.0, math.cos(angle) * side) ** 1.5 + 0.06
    z = 0.05 * side * outfit.build
    hip = (0.0, _HIP + bob, z)
    knee = (math.sin(swing) * _THIGH, hip[1] - math.cos(swing) * _THIGH, z)
    shin = swing - bend
    ankle = (knee[0] + math.sin(shin) * _SHIN, knee[1] - math.cos(shin) * _SHIN, z * 0.8)
    toe = (ankle[0] + 0.085 * math.cos(shin * 0.6), ankle[1] - 0.018 + 0.05 * min(shin, 0.0), z)
    upper, lower = leg_paints(outfit)
    wide = outfit.build**0.7
    near = view.nearness(0.0, z)
    dark = 1.0 if near > -0.02 else 0.86

    def stroke() -> None:
        canvas.limb(
            view(*hip),
            view(*knee),
            (0.066 * wide, 0.047 * wide),
            darker(upper, dark),
            light,
            yaw=yaw,
        )
        canvas.limb(
            view(*knee), view(*ankle), (0.047 * wide, 0.031), darker(lower, dark), light, yaw=yaw
        )
        shoe = darker(plain(outfit.shoes), dark)
        canvas.limb(view(*ankle), view(*toe), (0.030, 0.022), shoe, light, yaw=yaw)

    # Both legs lie behind the garment that hangs over them.
    return [(near - 0.2, stroke)]


def _arm(
    canvas: Canvas,
    view: _View,
    outfit: Outfit,
    side: float,
    angle: float,
    bob: float,
    light: Light,
    yaw: float,
) -> list[_Stroke]:
    swing = -_ARM_SWING_RAD * math.sin(angle) * side
    z = (0.118 * outfit.build) * side
    shoulder = (0.0, _SHOULDER - 0.022 + bob, z)
    elbow = (
        shoulder[0] + math.sin(swing) * _UPPER_ARM,
        shoulder[1] - math.cos(swing) * _UPPER_ARM,
        z * 1.12,
    )
    fore = swing + 0.30
    hand = (elbow[0] + math.sin(fore) * _FOREARM, elbow[1] - math.cos(fore) * _FOREARM, z * 1.1)
    sleeve = darker(plain(outfit.top), 0.93)
    lower = shoe_end(sleeve if outfit.long_sleeves else plain(outfit.skin), outfit.skin, 0.2)
    wide = outfit.build**0.6
    depth = view.nearness(0.0, z)
    dark = 1.0 if depth > -0.02 else 0.84

    def stroke() -> None:
        canvas.limb(
            view(*shoulder),
            view(*elbow),
            (0.040 * wide, 0.032 * wide),
            darker(sleeve, dark),
            light,
        )
        canvas.limb(
            view(*elbow), view(*hand), (0.031 * wide, 0.024), darker(lower, dark), light, yaw=yaw
        )

    return [(depth, stroke)]


def _trunk(canvas: Canvas, outfit: Outfit, yaw: float, bob: float, light: Light) -> None:
    wide = outfit.build
    low = _HIP - 0.035 - outfit.coat
    flare = 0.12 * outfit.coat
    top = np.array(
        [
            (_NECK, 0.035, 0.035),
            (_SHOULDER + 0.018, 0.080 * wide, 0.052),
            (_SHOULDER - 0.01, 0.112 * wide, 0.064),
            (0.72, 0.112 * wide, 0.076 * wide**0.5),
            (0.62, 0.098 * wide, 0.070 * wide),
            (_HIP, 0.102 * wide, 0.072 * wide),
            (low, 0.104 * wide + flare, 0.076 * wide + flare),
        ],
        np.float32,
    )
    top[:, 0] += bob
    if outfit.bottom == "skirt":
        skirt = np.array(
            [
                (_HIP + 0.03, 0.09 * wide, 0.068 * wide),
                (_HIP - 0.08, 0.105 * wide, 0.088 * wide),
                (_HIP - 0.22, 0.125 * wide, 0.118),
            ],
            np.float32,
        )
        skirt[:, 0] += bob
        canvas.body(skirt, plain(outfit.bottom_colour), light, yaw=yaw)
    canvas.body(top, cloth_paint(outfit), light, yaw=yaw, lean=(0.012 * math.cos(yaw), 0.0))


def _head(
    canvas: Canvas, view: _View, outfit: Outfit, yaw: float, bob: float, light: Light
) -> None:
    u, _ = view(0.018, 0.0, 0.0)
    v = 0.932 + bob
    canvas.limb(
        (u * 0.5, _NECK - 0.02 + bob), (u, v - 0.03), (0.030, 0.030), plain(outfit.skin), light
    )
    if outfit.hair in ("long", "hood"):
        back, _ = view(-0.012, 0.0, 0.0)
        canvas.limb(
            (back, v + 0.005), (back, v - 0.085), (0.056, 0.050), plain(outfit.hair_colour), light
        )
    face = face_paint(outfit)
    canvas.limb((u, v + 0.018), (u, v - 0.026), (0.049, 0.041), face, light, yaw=yaw)
    if outfit.hair == "bun":
        bun, _ = view(-0.045, 0.0, 0.0)
        canvas.limb(
            (bun, v + 0.05), (bun, v + 0.05), (0.024, 0.024), plain(outfit.hair_colour), light
        )
    if outfit.hair == "cap":
        tip, _ = view(0.085, 0.0, 0.0)
        canvas.limb(
            (u, v + 0.022), (tip, v + 0.018), (0.016, 0.010), plain(outfit.hair_colour), light
        )


def _bag(
    canvas: Canvas,
    view: _View,
    outfit: Outfit,
    angle: float,
    bob: float,
    light: Light,
    yaw: float,
) -> list[_Stroke]:
    paint = plain(outfit.bag_colour)
    if outfit.bag == "backpack":
        x = -0.115
        top, low = view(x, 0.79 + bob, 0.0), view(x, 0.61 + bob, 0.0)
        wide = float(np.hypot(0.085 * math.sin(yaw), 0.052 * math.cos(yaw)))
        return [
            (view.nearness(x, 0.0), lambda: canvas.limb(top, low, (wide * 0.9, wide), paint, light))
        ]
    if outfit.bag in ("shoulder", "hand"):
        sling = outfit.bag == "shoulder"
        z = 0.135 * outfit.build
        x = 0.0 if sling else 0.10 * math.sin(-angle)
        height = 0.54 if sling else 0.40
        middle = view(x, height + bob, z)
        wide = float(np.hypot(0.030 * math.sin(yaw), 0.085 * math.cos(yaw)))
        ends = ((middle[0], middle[1] + 0.045), (middle[0], middle[1] - 0.045))
        strap = (view(0.0, 0.83 + bob, -0.06 if sling else z), middle)

        def stroke() -> None:
            if sling:
                canvas.limb(*strap, (0.009, 0.009), darker(paint, 0.8), light)
            canvas.limb(*ends, (wide * 0.85, wide), paint, light)

        return [(view.nearness(0.0, z) + 0.01, stroke)]
    return []


def _cut_out(canvas: Canvas) -> Sprite:
    alpha = (np.clip(canvas.alpha, 0.0, 1.0) * 255.0).astype(np.uint8)
    rgb = np.clip(canvas.rgb, 0.0, 255.0).astype(np.uint8)
    rows = np.flatnonzero((alpha > 127).any(axis=1))
    columns = np.flatnonzero((alpha > 127).any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Sprite(rgb, alpha, GROUND_ROW, box)
