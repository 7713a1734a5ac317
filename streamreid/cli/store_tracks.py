"""The boxes of a store on the frame numbers of a file's ground truth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from streamreid.evaluation.track_files import TrackBoxes, boxes_of_rows
from streamreid.store.reader import StoreReader
from streamreid.types import CameraId, Frame
from streamreid.video.sampler import FrameSampler


@dataclass(frozen=True, slots=True)
class FrameClock:
    """How the frames of one camera lie in time.

    Attributes:
        started_at_s: Capture time of frame 1, epoch seconds.
        fps: Frames a second.
    """

    started_at_s: float
    fps: float

    def frame(self, captured_at_s: float) -> int:
        """Number of the frame captured then, from 1."""
        return round((captured_at_s - self.started_at_s) * self.fps) + 1

    def seconds(self, frame: int) -> float:
        """Capture time of a frame, epoch seconds."""
        return self.started_at_s + (frame - 1) / self.fps


def store_boxes(
    reader: StoreReader,
    clocks: Mapping[CameraId, FrameClock],
    *,
    by: Literal["identity", "track"] = "identity",
) -> dict[CameraId, TrackBoxes]:
    """Read every detection of the named cameras.

    Args:
        reader: The store.
        clocks: Frame numbers per camera; other cameras are left out.
        by: What a box's identity is. With `identity`, boxes of undecided tracks, and second boxes
            of one identity in one frame, get a negative identity of their own: they are never
            right.

    Returns:
        Boxes per camera, in order of track and time.
    """
    rows: dict[CameraId, list[tuple[int, int, float, float, float, float]]] = {}
    seen: set[tuple[CameraId, int, int]] = set()
    for track in reader.tracks():
        clock = clocks.get(track.camera_id)
        if clock is None:
            continue
        own = track.track if by == "track" else track.identity_id
        for detection in reader.detections(track.track):
            frame = clock.frame(detection.captured_at_s)
            name = -track.track if own is None else int(own)
            if (track.camera_id, frame, name) in seen:
                name = -track.track
            seen.add((track.camera_id, frame, name))
            rows.setdefault(track.camera_id, []).append((frame, name, *detection.box_xyxy))
    return {camera: boxes_of_rows(found) for camera, found in rows.items()}


def looked_at(truth: TrackBoxes, clock: FrameClock, detect_fps: float) -> TrackBoxes:
    """Keep the true boxes of those frames that a camera worker gives to its detector.

    Args:
        truth: True boxes in every frame.
        clock: The camera's frames.
        detect_fps: Detections a second in the run.
    """
    sampler = FrameSampler(detect_fps)
    plane = np.zeros((1, 1), np.uint8)
    last = int(truth.time.max()) if len(truth) else 0
    chosen = [
        number
        for number in range(1, last + 1)
        if sampler.due(
            Frame(
                camera_id=CameraId(""),
                index=number - 1,
                segment=0,
                captured_at_s=clock.seconds(number),
                time_source="file",
                y=plane,
                u=plane,
                v=plane,
            )
        )
    ]
    kept = np.isin(truth.time, chosen)
    return TrackBoxes(truth.time[kept], truth.identity[kept], truth.boxes_xyxy[kept])
