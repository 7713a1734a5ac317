"""Recording a scene: one H.264 file per camera, the truth, and a cams.yaml that names the files."""

import datetime
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from streamreid.errors import StoreError
from streamreid.simulation.rendering import render
from streamreid.simulation.scene import Scene, SceneCamera, TrueBox
from streamreid.simulation.truth import SceneTruth, look_alikes_of, sightings_of, write_truth
from streamreid.types import UInt8Array

EPOCH_S = datetime.datetime(2026, 1, 5, 8, 0, 0, tzinfo=datetime.UTC).timestamp()
"""When every drawn scene begins: fixed, so that two renderings are equal byte for byte."""

CONFIG_FILE = "cams.yaml"


def record_scene(
    scene: Scene,
    folder: Path,
    *,
    alike: Iterable[Sequence[int]] = (),
    settings: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> SceneTruth:
    """Render every camera of a scene into `folder`.

    Args:
        scene: What to draw.
        folder: Where `<camera>.mp4`, `<camera>.gt.txt`, `truth.json` and `cams.yaml` go; made if
            needed.
        alike: Groups of people to be named as look-alikes beyond those in equal clothes.
        settings: Further lines for cams.yaml.
        progress: Told after each frame how many frames of all cameras are done.

    Returns:
        The truth that was written.

    Raises:
        StoreError: If the folder cannot be written.
    """
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        boxes = {
            camera.camera_id: _record_camera(scene, camera, folder, count)
            for camera in scene.cameras
        }
        started = {camera.camera_id: EPOCH_S + camera.started_at_s for camera in scene.cameras}
        truth = SceneTruth(
            fps=float(scene.fps),
            started_at_s=started,
            sightings=tuple(
                sighting
                for name, found in boxes.items()
                for sighting in sightings_of(found, name, started_at_s=started[name], fps=scene.fps)
            ),
            look_alikes=look_alikes_of(scene, alike),
            boxes=boxes,
        )
        write_truth(truth, folder)
        (folder / CONFIG_FILE).write_text(cameras_yaml(scene, settings), encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot write the scene ({error}); choose another folder or free some space"
        ) from error
    return truth


def cameras_yaml(scene: Scene, settings: Sequence[str] = ()) -> str:
    """A cams.yaml whose cameras are the files of a scene in the same folder."""
    lines = [
        "# Written by streamreid: a drawn scene with known truth (truth.json).",
        "streamreid: 1",
        "cameras:",
    ]
    for camera in scene.cameras:
        moment = datetime.datetime.fromtimestamp(EPOCH_S + camera.started_at_s, datetime.UTC)
        start = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        name = camera.camera_id
        lines.append(f'  {name}: {{url: "{name}.mp4", start_time: {start}}}')
    return "\n".join([*lines, *settings, ""])


def _record_camera(
    scene: Scene, camera: SceneCamera, folder: Path, count: Callable[[], None]
) -> tuple[TrueBox, ...]:
    found: list[TrueBox] = []

    def pictures() -> Iterable[UInt8Array]:
        for picture, boxes in render(scene, camera):
            found.extend(boxes)
            count()
            yield picture

    write_video(pictures(), folder / f"{camera.camera_id}.mp4", fps=scene.fps)
    return tuple(found)


def write_video(pictures: Iterable[UInt8Array], path: Path, *, fps: int) -> int:
    """Encode pictures as H.264 in MP4, yuv420p.

    Args:
        pictures: RGB, all `(H, W, 3)` uint8 with even sizes; at least one.
        path: The file; overwritten.
        fps: Frames a second.

    Returns:
        Number of frames written.

    Raises:
        OSError: If the file cannot be written (PyAV's errors are of this kind).
    """
    frames = 0
    stream: VideoStream | None = None
    # Without bitexact the file carries the moment of writing.
    with av.open(str(path), "w", container_options={"fflags": "+bitexact"}) as container:
        for picture in pictures:
            if stream is None:
                stream = container.add_stream("libx264", rate=fps)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
                # Equal pictures must give equal bytes: that takes one thread, and no macroblock
                # tree, whose assembly code was seen to give other bits from run to run.
                stream.thread_count = 1
                stream.options = {
                    "preset": "veryfast",
                    "crf": "27",
                    "g": str(2 * fps),
                    "x264-params": "mbtree=0",
                }
            planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = frames, Fraction(1, fps)
            container.mux(stream.encode(frame))
            frames += 1
        if stream is not None:
            container.mux(stream.encode(None))
    return frames
