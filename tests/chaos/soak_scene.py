"""The scene of the soak: a dozen people walk past four cameras again and again, truth known."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from streamreid.simulation.demo_scene import demo_cameras
from streamreid.simulation.outfit import outfits
from streamreid.simulation.recording import record_scene
from streamreid.simulation.scene import Scene, Walk
from streamreid.simulation.truth import TRUTH_FILE, SceneTruth, read_truth

FPS = 6
WIDTH, HEIGHT = 384, 216
CALM_S = 20.0
"""Empty at the beginning: the models are loaded and the background is seen before anybody comes."""

LEAVE_S = 25.0
"""Empty at the end: what was seen is decided upon before the run ends."""

_SPARE_S = 15.0
"""The clip is longer than the run, so that no camera ever comes to its end."""

_TRIP_S = 40.0

_CROWD_SEED = 3
_HEADWAY_S = 8.0
_DWELL_S = 6.0
_TRANSIT_S = (3.0, 5.0, 2.0)


def soak_scene(seconds: float, *, seed: int = 1) -> Scene:
    """People walk through all cameras in turn, most in one direction, and come back later.

    Args:
        seconds: Length of the run, at least 90.
        seed: Chooses pace, direction and place.

    Returns:
        The scene. Nobody is in two cameras at once, and one person's walks never overlap.
    """
    rng = np.random.default_rng((seed, 17))
    people = int(np.clip(seconds // 30, 4, 12))
    cameras = demo_cameras()
    names = [camera.camera_id for camera in cameras]
    walks: list[Walk] = []
    begin_s, number = CALM_S, 0
    while begin_s < seconds - LEAVE_S - _TRIP_S:
        against = bool(rng.random() < 0.2)
        pace, now_s = float(rng.uniform(0.9, 1.1)), begin_s
        for place, name in enumerate(reversed(names) if against else names):
            dwell_s = _DWELL_S * pace
            lane = -1.0 if against else float(rng.uniform(-0.4, 1.0))
            person = 1 + number % people
            walks.append(Walk(person, name, now_s, now_s + dwell_s, backwards=against, lane=lane))
            pause_s = _TRANSIT_S[min(place, len(_TRANSIT_S) - 1)]
            now_s += dwell_s + pause_s * float(rng.uniform(0.9, 1.15))
        begin_s += _HEADWAY_S * float(rng.uniform(0.8, 1.2))
        number += 1
    return Scene(
        cameras,
        outfits(people, seed=_CROWD_SEED),
        tuple(walks),
        duration_s=seconds + _SPARE_S,
        fps=FPS,
        width=WIDTH,
        height=HEIGHT,
        seed=seed,
    )


def drawn_scene(folder: Path, seconds: float, *, seed: int = 1) -> SceneTruth:
    """Draw the scene into `folder`, unless it is there already."""
    if not (folder / TRUTH_FILE).exists():
        drawn = folder.with_name(folder.name + ".drawn")
        truth = record_scene(soak_scene(seconds, seed=seed), drawn)
        for camera in truth.boxes:
            _for_streaming(drawn / f"{camera}.mp4")
        drawn.rename(folder)
    return read_truth(folder)


def _for_streaming(path: Path) -> None:
    """Encode a clip again, as cameras do: a key frame every second, and frames sent as they come.

    The server's time stamps are wrong for frames that are sent in another order.
    """
    other = path.with_suffix(".new.mp4")
    with av.open(str(path)) as source, av.open(str(other), "w") as target:
        stream = target.add_stream("libx264", rate=FPS)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "23", "g": str(FPS), "bf": "0"}
        for index, frame in enumerate(source.decode(video=0)):
            copy = av.VideoFrame.from_ndarray(frame.to_ndarray(format="yuv420p"), format="yuv420p")
            copy.pts, copy.time_base = index, Fraction(1, FPS)
            target.mux(stream.encode(copy))
        target.mux(stream.encode(None))
    other.replace(path)
