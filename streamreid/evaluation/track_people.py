"""Which true person each track follows: the link between found tracks and known scenes."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from streamreid.evaluation.track_files import TrackBoxes, boxes_of_rows
from streamreid.evaluation.tracking_metrics import box_overlap
from streamreid.types import CameraId

MIN_IOU = 0.3
"""Overlap from which a box may show a person; loose, because only the identity is asked for."""


_NOBODY = boxes_of_rows(())


def people_of_tracks(
    truth: Mapping[CameraId, TrackBoxes], tracks: Mapping[CameraId, TrackBoxes]
) -> dict[int, int | None]:
    """Find the person that most boxes of each track lie on.

    Args:
        truth: True boxes per camera; `identity` is the person.
        tracks: Found boxes per camera; `identity` is the track, unique over all cameras.

    Returns:
        The person of every track, None where no box lies on anybody.
    """
    people: dict[int, int | None] = {}
    for camera_id, found in tracks.items():
        votes: dict[int, Counter[int]] = {
            track: Counter() for track in np.unique(found.identity).tolist()
        }
        true = truth.get(camera_id, _NOBODY)
        for time in np.unique(found.time).tolist():
            here, there = found.time == time, true.time == time
            overlap = box_overlap(found.boxes_xyxy[here], true.boxes_xyxy[there])
            for track, row in zip(found.identity[here].tolist(), overlap, strict=True):
                if row.size and row.max() >= MIN_IOU:
                    votes[track][int(true.identity[there][int(row.argmax())])] += 1
        for track, count in votes.items():
            people[track] = count.most_common(1)[0][0] if count else None
    return people
