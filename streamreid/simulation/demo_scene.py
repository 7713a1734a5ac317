"""The scene of `streamreid demo`: four cameras along one way, seven people, two of them alike."""

import math
from dataclasses import replace

import numpy as np

from streamreid.simulation.backdrop import Backdrop
from streamreid.simulation.camera_look import CameraLook
from streamreid.simulation.network import Duration
from streamreid.simulation.outfit import Outfit, look_alike, outfits
from streamreid.simulation.scene import Scene, SceneCamera, Trail, Walk
from streamreid.types import CameraId

PEOPLE = 7
LOOK_ALIKES = (3, 4)
"""The second wears what the first wears, but for bag, shoes and build; they walk close together."""

_CROWD_SEED = 11
_DWELL = Duration(6.0, spread=0.1)
_TRANSIT_S = (3.0, 5.0, 2.0)
_HEADWAY_S = 3.4


def demo_cameras() -> tuple[SceneCamera, ...]:
    """Four cameras: no two share light, cast, scale, direction, mirror or noise."""
    return (
        SceneCamera(
            CameraId("entrance"),
            Trail((-0.12, 0.93), (1.12, 0.90), start_height=0.62, end_height=0.58, yaw=0.0),
            CameraLook(gains=(1.06, 1.0, 0.84), gamma=0.95, noise=3.0, light_side=-0.7),
            Backdrop(wall=(196, 184, 160), floor=(140, 122, 100), horizon=0.46, tiles=0.16),
        ),
        SceneCamera(
            CameraId("corridor"),
            Trail(
                (-0.08, 0.66), (0.92, 1.10), start_height=0.38, end_height=0.84, yaw=0.7, lane=0.11
            ),
            CameraLook(
                gains=(0.86, 0.94, 1.0),
                gamma=1.08,
                saturation=0.85,
                vignette=0.3,
                slope=0.2,
                noise=5.0,
                mirror=True,
                light_side=0.6,
            ),
            Backdrop(wall=(150, 160, 162), floor=(98, 104, 110), horizon=0.40, tiles=0.11),
        ),
        SceneCamera(
            CameraId("lobby"),
            Trail((1.12, 0.84), (-0.12, 0.95), start_height=0.46, end_height=0.56, yaw=math.pi),
            CameraLook(
                gains=(1.12, 1.16, 1.10),
                gamma=0.82,
                saturation=0.9,
                blur=0.6,
                noise=2.0,
                slope=-0.1,
            ),
            Backdrop(wall=(206, 206, 210), floor=(150, 140, 146), horizon=0.36, tiles=0.2),
        ),
        SceneCamera(
            CameraId("yard"),
            Trail((1.10, 0.80), (-0.14, 0.97), start_height=0.42, end_height=0.70, yaw=2.9),
            CameraLook(
                gains=(0.90, 1.02, 1.10),
                gamma=1.0,
                saturation=1.15,
                vignette=0.1,
                noise=4.0,
                mirror=True,
                light_side=-1.2,
            ),
            Backdrop(
                wall=(158, 122, 104), floor=(120, 128, 110), horizon=0.50, tiles=0, outdoors=True
            ),
        ),
    )


def demo_outfits() -> tuple[Outfit, ...]:
    """Seven people; two of them dressed alike."""
    people = list(outfits(PEOPLE, seed=_CROWD_SEED))
    original, double = (number - 1 for number in LOOK_ALIKES)
    people[double] = look_alike(people[original], np.random.default_rng(_CROWD_SEED))
    return tuple(people)


def demo_scene(*, seed: int = 0) -> Scene:
    """Seven people walk past four cameras, one of them against the stream.

    Args:
        seed: Chooses how fast people walk and the noise; clothes and cameras stay.

    Returns:
        The scene, about a minute long.
    """
    rng = np.random.default_rng((seed, 7))
    cameras = demo_cameras()
    names = [camera.camera_id for camera in cameras]
    walks: list[Walk] = []
    for person in range(1, PEOPLE + 1):
        against = person == PEOPLE
        now_s = 2.5 + _HEADWAY_S * (person - 1)
        if person == LOOK_ALIKES[1]:
            # Close enough to be seen side by side: the hard rule knows that they are two.
            now_s -= 0.45 * _HEADWAY_S
        if against:
            now_s = 5.0
        pace = float(rng.uniform(0.9, 1.1))
        for place, name in enumerate(reversed(names) if against else names):
            dwell_s = _DWELL.draw(rng) * pace
            # People keep to one side when somebody comes towards them.
            lane = -1.0 if against else float(rng.uniform(-0.4, 1.0))
            walks.append(Walk(person, name, now_s, now_s + dwell_s, backwards=against, lane=lane))
            transit_s = _TRANSIT_S[min(place, len(_TRANSIT_S) - 1)]
            now_s += dwell_s + transit_s * float(rng.uniform(0.9, 1.15))
    end_s = max(walk.leave_s for walk in walks) + 1.0
    return Scene(cameras, demo_outfits(), tuple(walks), duration_s=math.ceil(end_s), seed=seed)


def short_scene(scene: Scene, *, duration_s: float, cameras: int) -> Scene:
    """The beginning of a scene and its first cameras, for quick tests."""
    kept = scene.cameras[:cameras]
    names = {camera.camera_id for camera in kept}
    walks = tuple(
        walk for walk in scene.walks if walk.camera_id in names and walk.enter_s < duration_s
    )
    return replace(scene, cameras=kept, walks=walks, duration_s=duration_s)
