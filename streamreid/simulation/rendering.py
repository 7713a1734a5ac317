"""Drawing scenes: frames of a camera with its people in them, and where they truly are."""

import math
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from streamreid.simulation.backdrop import paint_backdrop
from streamreid.simulation.camera_look import Sensor
from streamreid.simulation.canvas import Light
from streamreid.simulation.figure import SPRITE_HEIGHT, Sprite, draw_person
from streamreid.simulation.scene import Scene, SceneCamera, TrueBox, Walk
from streamreid.types import UInt8Array

GAIT_PHASES = 12
"""Pictures per double step; at 10 frames a second nobody sees more."""


MIN_VISIBLE = 0.35
"""A person of whom less than this share lies inside the picture has no true box."""


def render(scene: Scene, camera: SceneCamera) -> Iterator[tuple[UInt8Array, list[TrueBox]]]:
    """Draw the frames of one camera.

    Args:
        scene: The scene.
        camera: One of its cameras.

    Yields:
        RGB picture `(height, width, 3)` uint8 and the true boxes in it.
    """
    times_s = [camera.started_at_s + index / scene.fps for index in range(scene.frame_count)]
    yield from render_moments(scene, camera, times_s)


def render_moments(
    scene: Scene, camera: SceneCamera, times_s: Iterable[float]
) -> Iterator[tuple[UInt8Array, list[TrueBox]]]:
    """Draw one camera at chosen moments.

    Args:
        scene: The scene.
        camera: One of its cameras.
        times_s: When, seconds in the scene.

    Yields:
        As `render`; frames are numbered from 1 in the order of the moments.
    """
    number = scene.cameras.index(camera)
    rng = np.random.default_rng((scene.seed, number))
    empty = paint_backdrop(camera.backdrop, scene.width, scene.height, rng)
    sensor = Sensor(camera.look, scene.width, scene.height, rng)
    developed = sensor.develop(empty, (0, 0))
    walks = [walk for walk in scene.walks if walk.camera_id == camera.camera_id]
    painter = _Painter(scene, camera)
    for frame, now_s in enumerate(times_s, start=1):
        present = [walk for walk in walks if walk.enter_s <= now_s < walk.leave_s]
        picture, boxes = painter.paint(empty, developed, sensor, present, now_s, frame)
        yield sensor.add_noise(picture), boxes


class _Painter:
    """Puts people into the empty place of one camera; keeps the sprites it has drawn."""

    def __init__(self, scene: Scene, camera: SceneCamera) -> None:
        self._scene = scene
        self._camera = camera
        self._light = Light(side=camera.look.light_side)
        self._sprites: dict[tuple[int, int, bool], Sprite] = {}

    def paint(
        self,
        empty: UInt8Array,
        developed: UInt8Array,
        sensor: Sensor,
        walks: list[Walk],
        now_s: float,
        frame: int,
    ) -> tuple[UInt8Array, list[TrueBox]]:
        """Add the people of one moment; further ones first."""
        if not walks:
            return developed, []
        drawn = empty.copy()
        boxes: list[TrueBox] = []
        rows: list[int] = []
        places = sorted(((self._place(walk, now_s), walk) for walk in walks), key=lambda p: p[0][1])
        for (x, y, size), walk in places:
            sprite = self._sprite(walk, now_s)
            box = _stamp(drawn, sprite, (x, y), size)
            rows += [max(0, int(y - 1.15 * size)), min(len(drawn), int(y + 0.12 * size))]
            visible = _inside(box, self._scene, mirror=self._camera.look.mirror)
            if visible is not None:
                boxes.append(TrueBox(frame, walk.person, visible))
        top, low = min(rows), max(rows)
        picture = developed.copy()
        if top < low:
            picture[top:low] = sensor.develop(drawn[top:low], (top, 0))
        return picture, boxes

    def _place(self, walk: Walk, now_s: float) -> tuple[float, float, float]:
        """Column and row of the feet, and the height of a usual person there, in pixels."""
        path, scene = self._camera.trail, self._scene
        share = (now_s - walk.enter_s) / (walk.leave_s - walk.enter_s)
        if walk.backwards:
            share = 1.0 - share
        x = path.start_xy[0] + share * (path.end_xy[0] - path.start_xy[0])
        y = path.start_xy[1] + share * (path.end_xy[1] - path.start_xy[1])
        size = path.start_height + share * (path.end_height - path.start_height)
        aside = walk.lane * path.lane
        across = abs(math.sin(path.yaw))
        # Somebody further to the front is lower in the picture and larger.
        y += aside * (1.0 - across)
        x += 2.0 * aside * across
        size *= 1.0 + aside * (1.0 - across)
        return x * scene.width, y * scene.height, size * scene.height

    def _sprite(self, walk: Walk, now_s: float) -> Sprite:
        outfit = self._scene.outfits[walk.person - 1]
        steps = (now_s - walk.enter_s) * 0.95 / outfit.stature + 0.37 * walk.person
        phase = int(steps * GAIT_PHASES) % GAIT_PHASES
        key = (walk.person, phase, walk.backwards)
        if key not in self._sprites:
            yaw = self._camera.trail.yaw + (math.pi if walk.backwards else 0.0)
            self._sprites[key] = draw_person(
                outfit, yaw=yaw, phase=phase / GAIT_PHASES, light=self._light
            )
        return self._sprites[key]


def _stamp(
    picture: UInt8Array, sprite: Sprite, feet: tuple[float, float], size: float
) -> tuple[float, float, float, float]:
    """Draw shadow and sprite in place; returns the box of the whole person, also outside."""
    scale = size / SPRITE_HEIGHT
    height, width = sprite.alpha.shape
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    left = round(feet[0] - shape[0] / 2)
    top = round(feet[1] - sprite.foot_row * scale)
    _shadow(picture, feet, size)
    rows, columns = picture.shape[:2]
    y0, y1 = max(0, top), min(rows, top + shape[1])
    x0, x1 = max(0, left), min(columns, left + shape[0])
    x_low, y_low, x_high, y_high = (value * scale for value in sprite.box_xyxy)
    box = (left + x_low, top + y_low, left + x_high, top + y_high)
    if y0 >= y1 or x0 >= x1:
        return box
    window = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    rgb = cv2.resize(sprite.rgb, shape, interpolation=cv2.INTER_AREA)[window]
    alpha = cv2.resize(sprite.alpha, shape, interpolation=cv2.INTER_AREA)[window]
    behind = picture[y0:y1, x0:x1]
    clear = cv2.cvtColor(255 - alpha, cv2.COLOR_GRAY2RGB)
    dimmed = cv2.multiply(behind, clear, scale=1.0 / 255.0)
    picture[y0:y1, x0:x1] = cv2.add(dimmed, rgb)
    return box


def _shadow(picture: UInt8Array, feet: tuple[float, float], size: float) -> None:
    """A soft dark ellipse under the feet."""
    half_x, half_y = max(2, int(size * 0.20)), max(1, int(size * 0.045))
    x, y = int(feet[0]), int(feet[1])
    rows, columns = picture.shape[:2]
    x0, x1 = max(0, x - half_x), min(columns, x + half_x)
    y0, y1 = max(0, y - half_y), min(rows, y + half_y)
    if x0 >= x1 or y0 >= y1:
        return
    across = (np.arange(x0, x1) - x) / half_x
    along = (np.arange(y0, y1) - y) / half_y
    depth = np.clip(1.0 - across[None, :] ** 2 - along[:, None] ** 2, 0.0, 1.0)
    patch = picture[y0:y1, x0:x1]
    patch[:] = (patch * (1.0 - 0.35 * depth[:, :, None])).astype(np.uint8)


def _inside(
    box: tuple[float, float, float, float], scene: Scene, *, mirror: bool
) -> tuple[float, float, float, float] | None:
    """The part of a box inside the picture, or None when too little of it is."""
    left, top, right, low = box
    if mirror:
        left, right = scene.width - right, scene.width - left
    x0, x1 = max(0.0, left), min(float(scene.width), right)
    y0, y1 = max(0.0, top), min(float(scene.height), low)
    area = (right - left) * (low - top)
    if x1 <= x0 or y1 <= y0 or (x1 - x0) * (y1 - y0) < MIN_VISIBLE * area:
        return None
    return round(x0, 2), round(y0, 2), round(x1, 2), round(y1, 2)
