"""Scenes for any simulated network: drawn cameras and people for the visits of a crowd."""

import math
from collections.abc import Sequence

import numpy as np

from streamreid.simulation.backdrop import Backdrop
from streamreid.simulation.camera_look import CameraLook
from streamreid.simulation.network import Network, Visit
from streamreid.simulation.outfit import Rgb, outfits
from streamreid.simulation.scene import Scene, SceneCamera, Trail, Walk
from streamreid.types import CameraId


def network_scene(
    network: Network,
    visits: Sequence[Visit],
    *,
    seed: int,
    duration_s: float | None = None,
    fps: int = 10,
    width: int = 640,
    height: int = 360,
) -> Scene:
    """Draw a simulated network.

    Args:
        network: The cameras; a clock offset moves the capture times of its video.
        visits: Who is where, when.
        seed: Chooses clothes, rooms, light and noise.
        duration_s: Length of every video; until the last person has left if None.
        fps: Frames a second.
        width: Pixels per row, even.
        height: Rows, even.

    Returns:
        The scene; people in the same clothes wear equal outfits.
    """
    rng = np.random.default_rng((seed, 5))
    clothes = outfits(max(visit.appearance for visit in visits) + 1, seed=seed)
    appearance = {visit.person: visit.appearance for visit in visits}
    people = range(1, max(appearance) + 1)
    # Somebody may stand in the picture from its first frame on; three seconds show it empty.
    begin_s = min(visit.true_enter_s for visit in visits) - 3.0
    offset_s = {node.camera_id: node.clock_offset_s for node in network.nodes}
    walks = tuple(
        Walk(
            visit.person,
            visit.camera_id,
            visit.enter_s - begin_s,
            visit.leave_s - begin_s,
            backwards=bool(rng.random() < 0.5),
            lane=float(rng.uniform(-1.0, 1.0)),
        )
        for visit in visits
    )
    end_s = max(visit.true_leave_s for visit in visits) - begin_s + 1.0
    return Scene(
        cameras=tuple(
            drawn_camera(node.camera_id, np.random.default_rng((seed, 9, place)), offset_s)
            for place, node in enumerate(network.nodes)
        ),
        outfits=tuple(clothes[appearance.get(person, 0)] for person in people),
        walks=walks,
        duration_s=math.ceil(end_s) if duration_s is None else duration_s,
        fps=fps,
        width=width,
        height=height,
        seed=seed,
    )


def drawn_camera(
    camera_id: CameraId, rng: np.random.Generator, offset_s: dict[CameraId, float]
) -> SceneCamera:
    """A camera with a place, a light and a view of its own."""
    cast = rng.uniform(0.82, 1.14, 3)
    near = float(rng.uniform(0.48, 0.68))
    to_right = bool(rng.random() < 0.5)
    level = float(rng.uniform(0.86, 0.95))
    start, end = (-0.14, level), (1.14, level - 0.03)
    trail = Trail(
        start if to_right else end,
        end if to_right else start,
        start_height=near,
        end_height=near * float(rng.uniform(0.9, 1.1)),
        yaw=(0.0 if to_right else math.pi) + float(rng.uniform(-0.5, 0.5)),
    )
    look = CameraLook(
        gains=(float(cast[0]), float(cast[1]), float(cast[2])),
        gamma=float(rng.uniform(0.85, 1.15)),
        saturation=float(rng.uniform(0.8, 1.1)),
        vignette=float(rng.uniform(0.05, 0.35)),
        slope=float(rng.uniform(-0.15, 0.15)),
        blur=float(rng.choice([0.0, 0.0, 0.6])),
        noise=float(rng.uniform(2.0, 5.0)),
        mirror=bool(rng.random() < 0.5),
        light_side=float(rng.uniform(-1.0, 1.0)),
    )
    backdrop = Backdrop(
        wall=_tint(rng, 130, 215),
        floor=_tint(rng, 90, 155),
        horizon=float(rng.uniform(0.34, 0.5)),
        tiles=float(rng.choice([0.0, 0.12, 0.16, 0.2])),
        furniture=int(rng.integers(3, 6)),
        outdoors=bool(rng.random() < 0.3),
    )
    return SceneCamera(camera_id, trail, look, backdrop, offset_s.get(camera_id, 0.0))


def _tint(rng: np.random.Generator, low: int, high: int) -> Rgb:
    level = int(rng.integers(low, high))
    red, green, blue = (int(np.clip(level + rng.integers(-14, 15), 0, 255)) for _ in range(3))
    return red, green, blue
