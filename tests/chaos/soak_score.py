"""IDF1 over cameras of a soaked store against the scene's truth, blind moments left out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from streamreid.cli.store_tracks import FrameClock, store_boxes
from streamreid.evaluation.track_files import TrackBoxes, boxes_of_rows
from streamreid.evaluation.tracking_metrics import TrackingReport, evaluate_tracks
from streamreid.simulation.truth import SceneTruth
from streamreid.store.reader import open_reader
from streamreid.types import CameraId

Windows = Mapping[str, Sequence[tuple[float, float]]]
"""Per camera, from when to when, seconds in the scene."""


def score(store: Path, truth: SceneTruth, *, origin_s: float, left_out: Windows) -> TrackingReport:
    """Judge a store.

    Args:
        store: The database of the run.
        truth: What was shown.
        origin_s: When the scene began, epoch seconds.
        left_out: Moments in which a camera was down; neither truth nor boxes count there.
    """
    clocks = {camera: FrameClock(origin_s, truth.fps) for camera in truth.boxes}
    with open_reader(store) as reader:
        found = store_boxes(reader, clocks)
    true = {
        camera: boxes_of_rows([(box.frame, box.person, *box.box_xyxy) for box in boxes])
        for camera, boxes in truth.boxes.items()
    }
    return evaluate_tracks(
        {name: _seen(boxes, name, truth.fps, left_out) for name, boxes in true.items()},
        {name: _seen(boxes, name, truth.fps, left_out) for name, boxes in found.items()},
        seconds=lambda camera, frame: clocks[camera].seconds(frame),
    )


def without_unseen(truth: SceneTruth, left_out: Windows) -> dict[str, list[tuple[float, float]]]:
    """Only the windows of people who came and went while their camera was down.

    Returns:
        Windows that cover such sightings and nothing else.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for one in truth.sightings:
        began_s = truth.started_at_s[one.camera_id]
        from_s, to_s = one.from_s - began_s, one.to_s - began_s
        windows = left_out.get(one.camera_id, ())
        if any(low <= from_s and to_s <= high for low, high in windows):
            found.setdefault(one.camera_id, []).append((from_s - 0.01, to_s + 0.01))
    return found


def _seen(boxes: TrackBoxes, camera: CameraId, fps: float, left_out: Windows) -> TrackBoxes:
    """The boxes outside of the windows."""
    at_s = (boxes.time - 1) / fps
    kept = np.ones(len(boxes.time), bool)
    for from_s, to_s in left_out.get(camera, ()):
        kept &= ~((at_s > from_s) & (at_s < to_s))
    return TrackBoxes(boxes.time[kept], boxes.identity[kept], boxes.boxes_xyxy[kept])
